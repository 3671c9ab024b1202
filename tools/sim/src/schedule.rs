//! What is due when. Equal moments keep the order in which they were scheduled.

use std::collections::BTreeMap;

use quorate_wire::Time;

/// Things that are due at some moment.
#[derive(Debug)]
pub struct Schedule<T> {
    items: BTreeMap<(Time, u64), T>,
    number: u64,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            number: 0,
        }
    }
}

impl<T> Schedule<T> {
    /// Adds one.
    pub fn push(&mut self, at: Time, item: T) {
        self.number += 1;
        self.items.insert((at, self.number), item);
    }

    /// Takes the first that is due.
    pub fn due(&mut self, now: Time) -> Option<T> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the first one is due.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.items.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Whether nothing is to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
