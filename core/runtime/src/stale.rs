//! The last good values: which are kept, for how long, and which go. The values themselves stay in the language, by slot.

use std::collections::{BTreeMap, HashMap};

/// The bounds of one policy's stale values.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_age_ms: u64,
    pub(crate) max_entries: usize,
    pub(crate) max_bytes: u64,
}

struct Entry {
    slot: i64,
    bytes: u64,
    stored_ms: u64,
    /// Its place in the order of use.
    used: u64,
}

/// Which values are kept. The longest unused go first when there are too many, or too many bytes.
#[derive(Default)]
pub(crate) struct Stale {
    entries: HashMap<String, Entry>,
    order: BTreeMap<u64, String>,
    bytes: u64,
    uses: u64,
    slots: i64,
}

impl Stale {
    pub(crate) fn put(&mut self, bounds: &Bounds, key: &str, bytes: u64, now_ms: u64) -> (i64, Vec<i64>) {
        let mut forget: Vec<i64> = self.remove(key).into_iter().collect();
        // One value that is larger than all may be is not worth the others.
        if bytes > bounds.max_bytes {
            return (-1, forget);
        }
        while self.entries.len() >= bounds.max_entries || self.bytes + bytes > bounds.max_bytes {
            let Some(oldest) = self.order.values().next().cloned() else { break };
            forget.extend(self.remove(&oldest));
        }
        self.slots += 1;
        self.uses += 1;
        self.bytes += bytes;
        self.order.insert(self.uses, key.to_owned());
        self.entries.insert(key.to_owned(), Entry { slot: self.slots, bytes, stored_ms: now_ms, used: self.uses });
        (self.slots, forget)
    }

    /// The slot of a value no older than the bounds allow. One that is too old stays until it is replaced or pushed out: it may not be the
    /// language's turn to be told.
    pub(crate) fn find(&mut self, bounds: &Bounds, key: &str, now_ms: u64) -> i64 {
        self.uses += 1;
        let uses = self.uses;
        let Some(entry) = self.entries.get_mut(key).filter(|entry| now_ms.saturating_sub(entry.stored_ms) <= bounds.max_age_ms) else {
            return -1;
        };
        self.order.remove(&entry.used);
        entry.used = uses;
        self.order.insert(uses, key.to_owned());
        entry.slot
    }

    fn remove(&mut self, key: &str) -> Option<i64> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_age_ms: 1_000, max_entries: 2, max_bytes: 100 };

    #[test]
    fn a_value_serves_up_to_its_age() {
        let mut stale = Stale::default();
        let (slot, forget) = stale.put(&BOUNDS, "a", 10, 0);
        assert!(forget.is_empty());
        assert_eq!(stale.find(&BOUNDS, "a", 1_000), slot);
        assert_eq!(stale.find(&BOUNDS, "a", 1_001), -1);
        assert_eq!(stale.find(&BOUNDS, "b", 0), -1);
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let mut stale = Stale::default();
        let (a, _) = stale.put(&BOUNDS, "a", 10, 0);
        let (b, _) = stale.put(&BOUNDS, "b", 10, 0);
        stale.find(&BOUNDS, "a", 0);
        assert_eq!(stale.put(&BOUNDS, "c", 10, 0).1, [b], "a was used after b");
        assert_eq!(stale.put(&BOUNDS, "a", 95, 0).1, [a, 3], "its own old value, and c for want of bytes");
        assert_eq!(stale.put(&BOUNDS, "d", 101, 0), (-1, Vec::new()), "too large for anything");
    }
}
