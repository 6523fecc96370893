//! Faults that the models of tests/loom seed, each at one line of one protocol: a model that passes proves something only if it fails
//! once the protocol is broken. Outside those models [`seeded`] is constantly false and the faulty line is not compiled into anything.

/// A protocol broken in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The count of a count window is changed by a load and a store.
    CountByLoadAndStore,
    /// A slot of the count window's ring is exchanged whatever its generation.
    RingOfAnyGeneration,
    /// A word that carries a generation is changed whatever its generation.
    TagOfAnyGeneration,
    /// A bucket is begun anew by a load and a store.
    BucketByLoadAndStore,
    /// A late result takes over the life of a newer bucket.
    BucketTakenBack,
    /// A lease is ended by a store.
    LeaseEndedByStore,
    /// A half-open slot is taken by a store.
    SlotTakenByStore,
    /// A transition is made by a store.
    TransitionByStore,
    /// What was drained of a lane is remembered by a load and a store.
    DrainByLoadAndStore,
    /// A drain counts a lane whatever generation it was written in.
    LaneOfAnyGeneration,
    /// The gate is not looked at again after it was written.
    GateWrittenOnce,
    /// A removed port is not drained a last time.
    RemovedWithoutDrain,
    /// A leaving call looks for waiters first and frees its slot after.
    LeaveLooksFirst,
    /// An entering call looks for a free slot first and takes it after.
    EnterLooksFirst,
    /// The last waiter is served first.
    LastComeFirst,
    /// A waiter that gives up is not told that it was granted a slot.
    GrantForgotten,
    /// Cut work that ends frees its slot once more after that has lapsed.
    LapseForgotten,
    /// How many outcomes a count window holds is read without an order.
    HeadReadRelaxed,
    /// A success looks for failures first and counts after.
    TroubleLooksFirst,
    /// The arrival time is stored, not exchanged.
    TurnTakenByStore,
    /// A reservation is returned though it is not the last.
    AnyTurnGivenBack,
    /// The budget is looked at first and withdrawn from after.
    BudgetLooksFirst,
    /// A refused withdrawal is not taken back.
    RefusalKept,
    /// Everybody who finds a window of the adaptive limit over judges it.
    EverybodyJudges,
    /// The sums of such a window are taken by a load and a store.
    SumTakenByStore,
    /// The cap of chaos is looked at first and the strike counted after.
    ShareLooksFirst,
    /// The end of an experiment is looked at first and stored after.
    AbortLooksFirst,
}

/// Whether the running model has seeded `fault`.
#[cfg(not(loom))]
pub(crate) const fn seeded(_: Fault) -> bool {
    false
}

#[cfg(loom)]
std::thread_local! {
    /// Loom runs all threads of a model on one thread of the machine, so each test has a switch of its own.
    static SEEDED: core::cell::Cell<Option<Fault>> = const { core::cell::Cell::new(None) };
}

/// Whether the running model has seeded `fault`.
#[cfg(loom)]
pub fn seeded(fault: Fault) -> bool {
    SEEDED.get() == Some(fault)
}

/// Seeds `fault` in the models that the present thread runs from now on, or none.
#[cfg(loom)]
pub fn seed(fault: Option<Fault>) {
    SEEDED.set(fault);
}

/// Whether any fault is seeded.
#[cfg(loom)]
#[must_use]
pub fn is_seeded() -> bool {
    SEEDED.get().is_some()
}
