//! Which events a consumer wants: the node leaves out what it can, and the consumer the rest.
//!
//! Owns: the filter's bytes as they go to the node. Called by: programs, and the cursor.

use quorate_wire::Event;
use quorate_wire::filter::{self, Clause, FilterError};

/// Which events a consumer wants; without clauses, all. Clauses about the same thing (key, topic, slot) are alternatives; an event
/// matches if it fits what is said of each thing that anything is said of.
///
/// ```
/// use quorate_client::{Clause, Filter, key_of};
///
/// # fn main() -> Result<(), quorate_client::FilterError> {
/// let filter = Filter::default()
///     .with(&Clause::Topic(b"flights/"))?
///     .with(&Clause::Key(key_of(b"N14228")))?;
/// # let _ = filter;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    bytes: Vec<u8>,
    clauses: u16,
}

impl Filter {
    /// The same with one more clause.
    ///
    /// # Errors
    /// The clause can match nothing, or the filter is then over a limit.
    pub fn with(mut self, clause: &Clause<'_>) -> Result<Self, FilterError> {
        let at = self.bytes.len();
        self.bytes.resize(at + clause.size(), 0);
        let room = self.bytes.get_mut(at..).unwrap_or_default();
        clause.write(room)?.expect("there is room for the clause");
        self.clauses = self.clauses.saturating_add(1);
        filter::Filter::parse(&self.bytes, usize::from(self.clauses))?;
        Ok(self)
    }

    /// Whether it wants everything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.clauses == 0
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        self.is_empty() || self.parsed().matches(event)
    }

    fn parsed(&self) -> filter::Filter<'_> {
        filter::Filter::parse(&self.bytes, usize::from(self.clauses))
            .expect("it was checked with each clause")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn clauses(&self) -> u16 {
        self.clauses
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::Slots;
    use quorate_wire::limits::FILTER_CLAUSES_MAX;

    use super::{Clause, Event, Filter};

    #[test]
    fn it_grows_up_to_its_bound() {
        let mut filter = Filter::default();
        assert!(filter.is_empty());
        for key in 0..FILTER_CLAUSES_MAX {
            let key = u64::try_from(key).expect("a few");
            filter = filter.with(&Clause::Key(key)).expect("there is room");
        }
        assert!(filter.clone().with(&Clause::Key(99)).is_err());
        assert!(filter.clone().with(&Clause::Slots(Slots::NONE)).is_err());
        let event = |key| Event {
            key,
            time: 0,
            topic: b"",
            payload: b"",
            priority: 0,
        };
        assert!(filter.matches(&event(3)) && !filter.matches(&event(99)));
        assert!(Filter::default().matches(&event(99)));
    }
}
