//! Named cursors: places that consumers keep in the replicated state.

use alloc::vec::Vec;

use quorate_wire::limits::{CURSORS_MAX, NAME_BYTES_MAX, NAME_IDLE_SECONDS};
use quorate_wire::{ErrorCode, Name, Offset};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::kept::Kept;
use super::mix;
use super::named::{Declined, Moment, Outcome};
use crate::snapshot::COUNT_MAX;

/// After so many nanoseconds of log time, a cursor that was not set is forgotten.
const IDLE: u64 = NAME_IDLE_SECONDS * 1_000_000_000;

/// A cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The offset that its consumer wants next.
    pub offset: Offset,
    /// Log time of the command that last set it.
    pub set_at: u64,
}

/// A cursor in a snapshot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawCursor {
    name: [u8; NAME_BYTES_MAX],
    offset: U64,
    set_at: U64,
}

impl Cursor {
    /// Appends it to a snapshot.
    pub(super) fn encode(&self, name: &Name, bytes: &mut Vec<u8>) {
        let raw = RawCursor {
            name: name.to_bytes(),
            offset: U64::new(self.offset.0),
            set_at: U64::new(self.set_at),
        };
        bytes.extend_from_slice(raw.as_bytes());
    }

    /// Whether it is remembered at a log time.
    const fn lives(&self, now: u64) -> bool {
        now.saturating_sub(self.set_at) < IDLE
    }
}

/// All cursors of a group. Those that have expired lie here until their room is needed, and are not there for anybody.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    pub(super) table: Kept<Cursor>,
    /// No cursor was set before this log time, so that a full table is not searched for nothing.
    oldest: u64,
}

impl Cursors {
    /// The living cursor of a name.
    pub(super) fn get(&self, name: &Name, now: u64) -> Option<Cursor> {
        self.table
            .all()
            .get(name)
            .filter(|it| it.lives(now))
            .copied()
    }

    /// The living cursors behind a name, by name.
    pub(super) fn after(
        &self,
        name: Option<Name>,
        now: u64,
    ) -> impl Iterator<Item = (Name, Cursor)> {
        let behind = self.table.after(name);
        behind
            .filter(move |(_, cursor)| cursor.lives(now))
            .map(|(name, cursor)| (*name, *cursor))
    }

    pub(super) fn set(&mut self, name: Name, to: Offset, reset: bool, at: Moment) -> Outcome {
        if to > at.end {
            return Err(Declined::expecting(ErrorCode::CursorPastEnd, at.end.0));
        }
        let known = self.get(&name, at.log_time);
        if let Some(known) = known
            && to < known.offset
            && !reset
        {
            let expected = known.offset.0;
            return Err(Declined::expecting(ErrorCode::CursorBehind, expected));
        }
        if !self.table.all().contains_key(&name) && !self.has_room(at.log_time) {
            return Err(Declined::new(ErrorCode::CursorsFull));
        }
        let cursor = Cursor {
            offset: to,
            set_at: at.log_time,
        };
        self.table.change().insert(name, cursor);
        Ok(to.0)
    }

    /// Forgets a cursor. Says whether there was one.
    pub(super) fn delete(&mut self, name: &Name, at: Moment) -> Outcome {
        let known = self.get(name, at.log_time).is_some();
        self.table.change().remove(name);
        Ok(u64::from(known))
    }

    fn has_room(&mut self, now: u64) -> bool {
        let count = self.table.all().len();
        if count >= CURSORS_MAX && now.saturating_sub(self.oldest) >= IDLE {
            self.table.change().retain(|_, cursor| cursor.lives(now));
            let set = self.table.all().values().map(|cursor| cursor.set_at);
            self.oldest = set.min().unwrap_or(now);
        }
        self.table.all().len() < CURSORS_MAX
    }

    /// Takes the cursor that a snapshot has at the start of `bytes`.
    pub(super) fn load(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let (raw, rest) = RawCursor::ref_from_prefix(bytes).ok()?;
        *bytes = rest;
        let cursor = Cursor {
            offset: Offset(raw.offset.get()),
            set_at: raw.set_at.get(),
        };
        let table = self.table.change();
        let fits = table.len() < CURSORS_MAX && cursor.offset.0 <= COUNT_MAX;
        let before = table.insert(Name::from_bytes(raw.name)?, cursor);
        (fits && before.is_none()).then_some(())
    }

    /// One number for all that is kept.
    pub(super) fn fingerprint(&self) -> u64 {
        self.table.all().iter().fold(0, |print, (name, cursor)| {
            let print = super::named::mix_name(print, name);
            mix(mix(print ^ cursor.offset.0) ^ cursor.set_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use quorate_wire::LogIndex;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("it is a name")
    }

    fn at(log_time: u64) -> Moment {
        Moment {
            life: LogIndex(0),
            log_time,
            end: Offset(100),
        }
    }

    fn offset(cursors: &Cursors, text: &str, now: u64) -> Option<u64> {
        cursors.get(&name(text), now).map(|cursor| cursor.offset.0)
    }

    #[test]
    fn a_cursor_moves_on_and_back_only_when_told() {
        let mut cursors = Cursors::default();
        let a = name("a");
        assert_eq!(cursors.set(a, Offset(7), false, at(1)), Ok(7));
        assert_eq!(cursors.set(a, Offset(7), false, at(2)), Ok(7), "a retry");
        let behind = Declined::expecting(ErrorCode::CursorBehind, 7);
        assert_eq!(cursors.set(a, Offset(6), false, at(3)), Err(behind));
        assert_eq!(cursors.set(a, Offset(6), true, at(4)), Ok(6));
        assert_eq!(cursors.set(a, Offset(100), false, at(5)), Ok(100));
        let past = Declined::expecting(ErrorCode::CursorPastEnd, 100);
        assert_eq!(cursors.set(a, Offset(101), true, at(6)), Err(past));
        assert_eq!(offset(&cursors, "a", 6), Some(100));
        assert_eq!(cursors.delete(&a, at(7)), Ok(1));
        assert_eq!(cursors.delete(&a, at(7)), Ok(0), "a retry");
        assert_eq!(offset(&cursors, "a", 7), None);
    }

    #[test]
    fn a_cursor_that_nobody_sets_is_forgotten_after_a_week() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.set(name("a"), Offset(9), false, at(5)), Ok(9));
        assert_eq!(offset(&cursors, "a", 4 + IDLE), Some(9));
        assert_eq!(offset(&cursors, "a", 5 + IDLE), None);
        assert_eq!(cursors.after(None, 5 + IDLE).count(), 0);
        let again = cursors.set(name("a"), Offset(1), false, at(5 + IDLE));
        assert_eq!(again, Ok(1), "it is a new one");
    }

    #[test]
    fn a_full_table_refuses_until_something_expires() {
        let mut cursors = Cursors::default();
        let count = u64::try_from(CURSORS_MAX).expect("small");
        for number in 0..count {
            let set = cursors.set(name(&format!("c{number}")), Offset(0), false, at(number));
            assert_eq!(set, Ok(0));
        }
        let full = Err(Declined::new(ErrorCode::CursorsFull));
        let more = |cursors: &mut Cursors, now| cursors.set(name("x"), Offset(0), false, at(now));
        assert_eq!(more(&mut cursors, count), full);
        assert_eq!(more(&mut cursors, IDLE - 1), full);
        let known = cursors.set(name("c0"), Offset(1), false, at(IDLE - 1));
        assert_eq!(known, Ok(1), "a known one moves on");
        assert_eq!(more(&mut cursors, IDLE + 1), Ok(0), "one has expired");
        assert_eq!(cursors.table.all().len(), CURSORS_MAX);
    }

    #[test]
    fn the_list_goes_on_behind_a_name() {
        let mut cursors = Cursors::default();
        for text in ["b", "a", "c"] {
            assert_eq!(cursors.set(name(text), Offset(1), false, at(1)), Ok(1));
        }
        let names =
            |after| -> Vec<Name> { cursors.after(after, 1).map(|(name, _)| name).collect() };
        assert_eq!(names(None), [name("a"), name("b"), name("c")]);
        assert_eq!(names(Some(name("a"))), [name("b"), name("c")]);
        assert_eq!(names(Some(name("bb"))), [name("c")]);
    }
}
