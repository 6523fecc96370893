//! What a driver says of an ended attempt, and what that means to each strategy.

/// What kind of end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value.
    Success,
    /// An error of the callee.
    Error,
    /// An error of whoever wrote the code.
    Programming,
    /// A rejection by a Seawall policy, a nested one included.
    Rejected,
    /// A configuration error of ours.
    Config,
    /// Cancelled by the caller or by the interpreter shutting down.
    Cancelled,
    /// A fault that chaos injected.
    Injected,
    /// A time-out error of a Seawall policy inside the callee.
    Timeout,
}

impl Kind {
    /// The kind behind its number on the boundary; an unknown number is an ordinary error.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Success,
            2 => Self::Programming,
            3 => Self::Rejected,
            4 => Self::Config,
            5 => Self::Cancelled,
            6 => Self::Injected,
            7 => Self::Timeout,
            _ => Self::Error,
        }
    }
}

/// Facts that only the language can know: which `on`, `ignore` and `on_result` matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits(pub u32);

impl Bits {
    /// `on_result` of the retry rejected the result.
    pub const RETRY_RESULT: u32 = 256;
    /// `on_result` of the circuit breaker rejected the result.
    pub const BREAKER_RESULT: u32 = 512;

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

/// The strategies that classify outcomes; the number is the place of their two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The retry.
    Retry = 0,
    /// The circuit breaker.
    Breaker = 1,
    /// The fallback.
    Fallback = 2,
    /// The dead letter.
    DeadLetter = 3,
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The kind of end.
    pub kind: Kind,
    /// What matched.
    pub bits: Bits,
    /// The HTTP status on the error or its response, else 0.
    pub status: u32,
    /// What the server asked for.
    pub pushback: Pushback,
}

/// What the server said about calling again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Nothing.
    None,
    /// Not again.
    Never,
    /// Not before so many milliseconds have passed.
    After(u64),
}

impl Pushback {
    /// The pushback behind its number on the boundary.
    #[must_use]
    pub const fn from_code(ms: i64) -> Self {
        match ms {
            -1 => Self::None,
            ms if ms < 0 => Self::Never,
            ms => Self::After(ms.unsigned_abs()),
        }
    }
}

/// What an outcome is to one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Success,
    /// It failed.
    Failure,
    /// Neither: no vote, no retry.
    Ignored,
}

impl Outcome {
    /// Whether the server said that it is overloaded: such a retry costs the budget double.
    #[must_use]
    pub const fn throttled(&self) -> bool {
        self.status == 429 || (self.status == 503 && !matches!(self.pushback, Pushback::None))
    }

    /// What this outcome is to `judge`, whose own `on` replaces the default if it has one.
    #[must_use]
    pub const fn verdict(&self, judge: Judge, has_on: bool) -> Verdict {
        match self.kind {
            Kind::Success => self.result_verdict(judge),
            Kind::Cancelled | Kind::Config => Verdict::Ignored,
            Kind::Injected => Verdict::Failure,
            _ => self.error_verdict(judge, has_on),
        }
    }

    const fn result_verdict(&self, judge: Judge) -> Verdict {
        let rejected = match judge {
            Judge::Retry => self.bits.has(Bits::RETRY_RESULT),
            Judge::Breaker => self.bits.has(Bits::BREAKER_RESULT),
            Judge::Fallback | Judge::DeadLetter => self.bits.has(Bits::RETRY_RESULT | Bits::BREAKER_RESULT),
        };
        if rejected { Verdict::Failure } else { Verdict::Success }
    }

    const fn error_verdict(&self, judge: Judge, has_on: bool) -> Verdict {
        let place = judge as u32 * 2;
        if self.bits.has(2 << place) {
            return Verdict::Ignored;
        }
        // A rejection never votes, not even where `on` names it: it says nothing about the callee.
        if matches!((self.kind, judge), (Kind::Rejected, Judge::Breaker)) {
            return Verdict::Ignored;
        }
        let counts = if has_on { self.bits.has(1 << place) } else { self.counts_by_default(judge) };
        if counts { Verdict::Failure } else { Verdict::Ignored }
    }

    const fn counts_by_default(&self, judge: Judge) -> bool {
        match judge {
            Judge::DeadLetter => true,
            Judge::Fallback => !matches!(self.kind, Kind::Programming),
            Judge::Retry | Judge::Breaker => {
                let client_error = self.status >= 400 && self.status < 500 && !matches!(self.status, 408 | 425 | 429);
                matches!(self.kind, Kind::Error | Kind::Timeout) && !client_error
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: Kind, bits: u32, status: u32) -> Outcome {
        Outcome { kind, bits: Bits(bits), status, pushback: Pushback::None }
    }

    #[test]
    fn client_errors_are_ignored_but_for_three() {
        for (status, verdict) in
            [(404, Verdict::Ignored), (408, Verdict::Failure), (425, Verdict::Failure), (429, Verdict::Failure), (500, Verdict::Failure)]
        {
            assert_eq!(error(Kind::Error, 0, status).verdict(Judge::Breaker, false), verdict, "{status}");
        }
    }

    #[test]
    fn on_replaces_and_ignore_subtracts() {
        assert_eq!(error(Kind::Error, 0, 0).verdict(Judge::Retry, true), Verdict::Ignored);
        assert_eq!(error(Kind::Programming, 1, 0).verdict(Judge::Retry, true), Verdict::Failure);
        assert_eq!(error(Kind::Error, 3, 0).verdict(Judge::Retry, true), Verdict::Ignored);
    }

    #[test]
    fn a_rejection_is_neutral_to_a_breaker_whatever_on_says() {
        assert_eq!(error(Kind::Rejected, 4, 0).verdict(Judge::Breaker, true), Verdict::Ignored);
        assert_eq!(error(Kind::Rejected, 1, 0).verdict(Judge::Retry, true), Verdict::Failure);
    }

    #[test]
    fn an_injected_fault_always_counts() {
        assert_eq!(error(Kind::Injected, 10, 0).verdict(Judge::Breaker, true), Verdict::Failure);
    }
}
