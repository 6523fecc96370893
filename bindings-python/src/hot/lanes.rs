//! When limits of time pass: those of the calls on one event loop in lists, one for each length of limit.
//!
//! Calls of one limit mostly begin in the order in which it passes, so a call joins at the end of its list and leaves from wherever it stands, in the
//! time that two links take. Nothing is left behind by a call that ends in time but the alarm: the loop wakes us once for the earliest.
//!
//! Calls are known by address, which nothing here follows; a call leaves before its memory is given back. A table lives for as long as an alarm
//! of it is set, and that keeps the loop: so no loop is taken for another that had its address.

use parking_lot::Mutex;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    table: u64,
    node: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The address of the call; 0 for the head of a list, whose `after` is the first and whose `before` the last.
    call: usize,
    due: u64,
    before: u32,
    after: u32,
}

#[derive(Debug)]
struct Table {
    id: u64,
    event_loop: usize,
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Lengths of limits, and the heads of their lists.
    lanes: Vec<(u64, u32)>,
    /// The moments that alarms are set for, the next last.
    alarms: Vec<u64>,
}

#[derive(Debug)]
struct Tables {
    last_id: u64,
    all: Vec<Table>,
}

/// Only locked between two calls of Python, so nobody waits who holds the interpreter.
static TABLES: Mutex<Tables> = Mutex::new(Tables { last_id: 0, all: Vec::new() });

impl Table {
    fn put(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn head(&mut self, length: u64) -> u32 {
        if let Some((_, head)) = self.lanes.iter().find(|(of, _)| *of == length) {
            return *head;
        }
        let head = self.put(Node { call: 0, due: 0, before: 0, after: 0 });
        self.nodes[head as usize] = Node { call: 0, due: 0, before: head, after: head };
        self.lanes.push((length, head));
        head
    }

    /// Behind those that are due before it. Calls nest, and the inner, which began later, waits first: so the last may be later.
    fn join(&mut self, length: u64, due: u64, call: usize) -> u32 {
        let head = self.head(length);
        let mut before = self.nodes[head as usize].before;
        while self.nodes[before as usize].due > due {
            before = self.nodes[before as usize].before;
        }
        let after = self.nodes[before as usize].after;
        let node = self.put(Node { call, due, before, after });
        self.nodes[before as usize].after = node;
        self.nodes[after as usize].before = node;
        node
    }

    fn leave(&mut self, node: u32) {
        let Node { before, after, .. } = self.nodes[node as usize];
        self.nodes[before as usize].after = after;
        self.nodes[after as usize].before = before;
        self.nodes[node as usize].call = 0;
        self.free.push(node);
    }

    /// The earliest call.
    fn first(&self) -> Option<(u32, Node)> {
        let firsts = self.lanes.iter().map(|(_, head)| self.nodes[*head as usize].after);
        firsts.map(|at| (at, self.nodes[at as usize])).filter(|(_, node)| node.call != 0).min_by_key(|(_, node)| node.due)
    }

    /// Whether an alarm has to be set for that moment, because none is set for an earlier one. It then counts as set.
    fn wants_alarm(&mut self, due: u64) -> bool {
        let wants = self.alarms.last().is_none_or(|next| due < *next);
        if wants {
            self.alarms.push(due);
        }
        wants
    }

    /// Drops the lists that nobody stands in.
    fn tidy(&mut self) {
        let (nodes, free) = (&self.nodes, &mut self.free);
        self.lanes.retain(|(_, head)| {
            let is_used = nodes[*head as usize].after != *head;
            if !is_used {
                free.push(*head);
            }
            is_used
        });
    }
}

/// Has a call wait for its limit. Gives its place, and whether an alarm has to be set for `due`, which then counts as set.
pub(super) fn join(event_loop: usize, length: u64, due: u64, call: usize) -> (Place, bool) {
    let mut tables = TABLES.lock();
    let at = tables.all.iter().position(|table| table.event_loop == event_loop).unwrap_or_else(|| {
        tables.last_id += 1;
        let (id, nodes, free) = (tables.last_id, Vec::new(), Vec::new());
        tables.all.push(Table { id, event_loop, nodes, free, lanes: Vec::new(), alarms: Vec::new() });
        tables.all.len() - 1
    });
    let table = &mut tables.all[at];
    let node = table.join(length, due, call);
    (Place { table: table.id, node }, table.wants_alarm(due))
}

/// A call ends, or its limit has come.
pub(super) fn leave(place: Place, call: usize) {
    let mut tables = TABLES.lock();
    let Some(table) = tables.all.iter_mut().find(|table| table.id == place.table) else { return };
    if table.nodes.get(place.node as usize).is_some_and(|node| node.call == call) {
        table.leave(place.node);
    }
}

/// Takes the earliest call whose limit has passed by `moment`.
pub(super) fn take(table: u64, moment: u64) -> Option<usize> {
    let mut tables = TABLES.lock();
    let table = tables.all.iter_mut().find(|one| one.id == table)?;
    let (at, node) = table.first().filter(|(_, node)| node.due <= moment)?;
    table.leave(at);
    Some(node.call)
}

/// The moment that another alarm has to be set for, if there is one to be set. It then counts as set.
pub(super) fn next_alarm(table: u64) -> Option<u64> {
    let mut tables = TABLES.lock();
    let table = tables.all.iter_mut().find(|one| one.id == table)?;
    table.tidy();
    let due = table.first()?.1.due;
    table.wants_alarm(due).then_some(due)
}

/// An alarm has come, or will not. The table stays, for those that are still in it.
pub(super) fn alarm_goes(table: u64, due: u64) {
    let mut tables = TABLES.lock();
    let Some(table) = tables.all.iter_mut().find(|one| one.id == table) else { return };
    if let Some(which) = table.alarms.iter().rposition(|set| *set == due) {
        table.alarms.remove(which);
    }
}

/// Drops a table without an alarm: nobody would come for its calls.
pub(super) fn drop_if_unused(table: u64) {
    TABLES.lock().all.retain(|one| one.id != table || !one.alarms.is_empty());
}

/// The table of a place.
pub(super) fn table_of(place: Place) -> u64 {
    place.table
}
