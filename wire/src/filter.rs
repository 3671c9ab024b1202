//! Filters: which events a reader wants.
//!
//! ```text
//!   clause           clause                 clause
//!   |head|value    |head|value..pad     |head|value
//! ```
//! A filter is a list of clauses. Terms about the same thing (key, topic, slot) are alternatives; an event matches if it fits what
//! is said of each thing that anything is said of. Owns: the bytes of a filter, and whether an event matches. Never: keeps them.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{ALIGNMENT, FILTER_BYTES_MAX, FILTER_CLAUSES_MAX, TOPIC_BYTES_MAX};
use crate::{Event, Record, Slot, Slots};

/// Bytes of a clause before its value.
pub const CLAUSE_HEADER_BYTES: usize = 8;

/// What stands before a clause's value.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ClauseHeader {
    kind: u8,
    reserved: u8,
    value_len: U16,
    reserved_too: U32,
}
const _: () = assert!(size_of::<ClauseHeader>() == CLAUSE_HEADER_BYTES);

/// One thing that is said of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause<'a> {
    /// Its key is this one.
    Key(u64),
    /// Its key is one of these, both ends included.
    Keys {
        /// The lowest.
        first: u64,
        /// The highest; at least `first`.
        last: u64,
    },
    /// Its topic begins so.
    Topic(&'a [u8]),
    /// Its key's slot is in this set; at least one is.
    Slots(Slots),
}

/// What a clause is about. Terms about the same thing are alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Key,
    Topic,
    Slot,
}

/// Why a filter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There are more clauses than a filter may have.
    #[error("a filter of {clauses} clauses: at most {FILTER_CLAUSES_MAX}")]
    TooMany {
        /// How many.
        clauses: usize,
    },
    /// It is longer than a filter may be.
    #[error("a filter of {bytes} bytes: at most {FILTER_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It ends inside a clause, or holds more than its clauses.
    #[error("the filter has another length than its clauses")]
    Length,
    /// A kind of clause that this build does not know.
    #[error("unknown kind of filter clause {kind}")]
    Kind {
        /// The kind.
        kind: u8,
    },
    /// A clause's value is as long as no value of its kind.
    #[error("a filter clause of kind {kind} with a value of {bytes} bytes")]
    Value {
        /// The kind.
        kind: u8,
        /// The value's length.
        bytes: usize,
    },
    /// A range of keys ends before it begins.
    #[error("a range of keys that ends before it begins")]
    Range,
    /// A set without slots.
    #[error("a set of slots that is empty")]
    NoSlots,
    /// The padding is not zero.
    #[error("the padding behind a filter clause is not zero")]
    Padding,
}

impl<'a> Clause<'a> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Key(_) => 1,
            Self::Keys { .. } => 2,
            Self::Topic(_) => 3,
            Self::Slots(_) => 4,
        }
    }

    const fn about(&self) -> About {
        match self {
            Self::Key(_) | Self::Keys { .. } => About::Key,
            Self::Topic(_) => About::Topic,
            Self::Slots(_) => About::Slot,
        }
    }

    const fn value_bytes(&self) -> usize {
        match self {
            Self::Key(_) | Self::Slots(_) => 8,
            Self::Keys { .. } => 16,
            Self::Topic(topic) => topic.len(),
        }
    }

    /// Bytes that it takes in a filter, padding included.
    #[must_use]
    pub const fn size(&self) -> usize {
        (CLAUSE_HEADER_BYTES + self.value_bytes()).next_multiple_of(ALIGNMENT)
    }

    /// Writes it to the start of `to`, and returns the bytes taken, or `None` if `to` is too short.
    ///
    /// # Errors
    /// It says nothing that can be matched, or its topic is over the limit.
    pub fn write(&self, to: &mut [u8]) -> Result<Option<usize>, FilterError> {
        self.check()?;
        let size = self.size();
        let Some(to) = to.get_mut(..size) else {
            return Ok(None);
        };
        let header = ClauseHeader {
            kind: self.kind(),
            reserved: 0,
            value_len: U16::new(u16::try_from(self.value_bytes()).expect("it was checked")),
            reserved_too: U32::new(0),
        };
        let (head, rest) = to.split_at_mut(CLAUSE_HEADER_BYTES);
        let (value, padding) = rest.split_at_mut(self.value_bytes());
        head.copy_from_slice(header.as_bytes());
        match self {
            Self::Key(word) | Self::Slots(Slots(word)) => {
                value.copy_from_slice(&word.to_le_bytes());
            }
            Self::Keys { first, last } => {
                value.copy_from_slice([U64::new(*first), U64::new(*last)].as_bytes());
            }
            Self::Topic(topic) => value.copy_from_slice(topic),
        }
        padding.fill(0);
        Ok(Some(size))
    }

    /// Reads the clause at the start of `bytes`, and returns it with what follows it.
    fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FilterError> {
        let (header, rest) =
            ClauseHeader::ref_from_prefix(bytes).map_err(|_| FilterError::Length)?;
        let length = usize::from(header.value_len.get());
        let padded = length.next_multiple_of(ALIGNMENT);
        let (value, after) = rest.split_at_checked(padded).ok_or(FilterError::Length)?;
        let (value, padding) = value.split_at(length);
        let kind = header.kind;
        let wrong = FilterError::Value {
            kind,
            bytes: length,
        };
        let word = || Ok(U64::ref_from_bytes(value).map_err(|_| wrong)?.get());
        let clause = match kind {
            1 => Self::Key(word()?),
            2 => {
                let [first, last] = <[U64; 2]>::read_from_bytes(value).map_err(|_| wrong)?;
                Self::Keys {
                    first: first.get(),
                    last: last.get(),
                }
            }
            3 => Self::Topic(value),
            4 => Self::Slots(Slots(word()?)),
            _ => return Err(FilterError::Kind { kind }),
        };
        if padding.iter().any(|&byte| byte != 0) {
            return Err(FilterError::Padding);
        }
        clause.check()?;
        Ok((clause, after))
    }

    const fn check(&self) -> Result<(), FilterError> {
        match self {
            Self::Keys { first, last } if *first > *last => Err(FilterError::Range),
            Self::Slots(Slots::NONE) => Err(FilterError::NoSlots),
            Self::Topic(topic) if topic.len() > TOPIC_BYTES_MAX => Err(FilterError::Value {
                kind: self.kind(),
                bytes: topic.len(),
            }),
            Self::Key(_) | Self::Keys { .. } | Self::Topic(_) | Self::Slots(_) => Ok(()),
        }
    }

    fn fits(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Key(key) => event.key == *key,
            Self::Keys { first, last } => (*first..=*last).contains(&event.key),
            Self::Topic(topic) => event.topic.starts_with(topic),
            Self::Slots(slots) => slots.has(Slot::of(event.key)),
        }
    }
}

/// A filter, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    clauses: &'a [u8],
}

impl<'a> Filter<'a> {
    /// Checks the filter that is exactly these bytes.
    ///
    /// # Errors
    /// They are not a filter of so many clauses.
    pub fn parse(bytes: &'a [u8], clauses: usize) -> Result<Self, FilterError> {
        if clauses > FILTER_CLAUSES_MAX {
            return Err(FilterError::TooMany { clauses });
        }
        if bytes.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong { bytes: bytes.len() });
        }
        let mut rest = bytes;
        for _ in 0..clauses {
            (_, rest) = Clause::parse(rest)?;
        }
        if rest.is_empty() {
            Ok(Self { clauses: bytes })
        } else {
            Err(FilterError::Length)
        }
    }

    /// Its clauses.
    pub fn clauses(&self) -> impl Iterator<Item = Clause<'a>> + use<'a> {
        let mut rest = self.clauses;
        core::iter::from_fn(move || {
            let (clause, after) = Clause::parse(rest).ok()?;
            rest = after;
            Some(clause)
        })
    }

    /// Whether an event is wanted. A filter without clauses wants all.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        // For each thing: nothing is said of it, or whether one of the clauses about it fits.
        let (mut key, mut topic, mut slot) = (None, None, None);
        for clause in self.clauses() {
            let said = match clause.about() {
                About::Key => &mut key,
                About::Topic => &mut topic,
                About::Slot => &mut slot,
            };
            *said = Some(*said == Some(true) || clause.fits(event));
        }
        [key, topic, slot]
            .into_iter()
            .all(|said| said != Some(false))
    }

    /// Whether an event of the record is wanted. A record without events is not.
    #[must_use]
    pub fn wants(&self, record: &Record<'_>) -> bool {
        record.events().any(|(_, event)| self.matches(&event))
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::{Clause, Filter, FilterError};
    use crate::limits::{FILTER_BYTES_MAX, FILTER_CLAUSES_MAX};
    use crate::{Event, Slot, Slots};

    fn encode(clauses: &[Clause<'_>]) -> Vec<u8> {
        let mut bytes = vec![0xee; clauses.iter().map(Clause::size).sum()];
        let mut at = 0;
        for clause in clauses {
            let written = clause.write(bytes.get_mut(at..).expect("there is room"));
            at += written.expect("it says something").expect("it fits");
        }
        bytes
    }

    fn event(key: u64, topic: &'static str) -> Event<'static> {
        Event {
            key,
            time: 0,
            topic: topic.as_bytes(),
            payload: b"",
            priority: 0,
        }
    }

    #[test]
    fn clauses_about_one_thing_are_alternatives_and_things_add_up() {
        let clauses = [
            Clause::Topic(b"flights/"),
            Clause::Key(7),
            Clause::Keys {
                first: 10,
                last: 12,
            },
            Clause::Topic(b"gates"),
        ];
        let bytes = encode(&clauses);
        let filter = Filter::parse(&bytes, 4).expect("it is sound");
        assert!(filter.clauses().eq(clauses));
        for (key, topic, wanted) in [
            (7, "flights/AA", true),
            (10, "gates", true),
            (12, "gates/1", true),
            (13, "gates", false),
            (9, "flights/", false),
            (7, "flights", false),
            (7, "", false),
        ] {
            assert_eq!(filter.matches(&event(key, topic)), wanted, "{key} {topic}");
        }
    }

    #[test]
    fn slots_are_those_of_the_keys() {
        let mut slots = Slots::NONE;
        slots.insert(Slot::of(7));
        slots.insert(Slot::of(8));
        let bytes = encode(&[Clause::Slots(slots)]);
        let filter = Filter::parse(&bytes, 1).expect("it is sound");
        for key in 0..200 {
            let wanted = [Slot::of(7), Slot::of(8)].contains(&Slot::of(key));
            assert_eq!(filter.matches(&event(key, "")), wanted, "{key}");
        }
    }

    #[test]
    fn no_clauses_want_everything_and_an_empty_prefix_does_too() {
        let filter = Filter::parse(&[], 0).expect("it is sound");
        assert!(filter.matches(&event(1, "")));
        let bytes = encode(&[Clause::Topic(b"")]);
        let filter = Filter::parse(&bytes, 1).expect("it is sound");
        assert!(filter.matches(&event(1, "any")));
    }

    #[test]
    fn what_cannot_match_is_refused() {
        let range = Clause::Keys { first: 2, last: 1 };
        assert_eq!(range.write(&mut [0; 64]), Err(FilterError::Range));
        assert_eq!(
            Clause::Slots(Slots::NONE).write(&mut [0; 64]),
            Err(FilterError::NoSlots)
        );
        let long = [b'x'; 256];
        assert!(Clause::Topic(&long).write(&mut [0; 512]).is_err());
    }

    #[test]
    fn every_wrong_byte_that_matters_is_refused() {
        let good = encode(&[Clause::Topic(b"abc"), Clause::Key(1)]);
        assert!(Filter::parse(&good, 2).is_ok());
        let with = |at: usize, byte: u8| {
            let mut bad = good.clone();
            *bad.get_mut(at).expect("it is there") = byte;
            Filter::parse(&bad, 2).map(|_| ())
        };
        assert_eq!(with(0, 9), Err(FilterError::Kind { kind: 9 }));
        assert_eq!(with(0, 1), Err(FilterError::Value { kind: 1, bytes: 3 }));
        assert_eq!(with(15, 1), Err(FilterError::Padding));
        assert_eq!(with(2, 200), Err(FilterError::Length));
        assert_eq!(Filter::parse(&good, 1), Err(FilterError::Length));
        assert_eq!(Filter::parse(&good, 3), Err(FilterError::Length));
        for cut in 1..good.len() {
            let cut = good.get(..cut).expect("it is shorter");
            assert!(Filter::parse(cut, 2).is_err());
        }
    }

    #[test]
    fn a_filter_is_bounded() {
        let clause = Clause::Key(1);
        let bytes = encode(&vec![clause; FILTER_CLAUSES_MAX + 1]);
        let most = bytes.get(..FILTER_CLAUSES_MAX * clause.size());
        let most = Filter::parse(most.expect("it is longer"), FILTER_CLAUSES_MAX);
        assert!(most.is_ok());
        assert_eq!(
            Filter::parse(&bytes, FILTER_CLAUSES_MAX + 1),
            Err(FilterError::TooMany {
                clauses: FILTER_CLAUSES_MAX + 1
            })
        );
        let long = encode(&[Clause::Topic(&[b'x'; 255]); 4]);
        assert!(long.len() > FILTER_BYTES_MAX);
        assert_eq!(
            Filter::parse(&long, 4),
            Err(FilterError::TooLong { bytes: long.len() })
        );
    }
}
