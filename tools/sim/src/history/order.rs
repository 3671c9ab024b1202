//! The one order that a history speaks of: which chunk is at which offset, by all that appends and reads were told.
//!
//! Owns: the places. Never: looks at moments, except to know a chunk's first invocation and its first answer.

use std::collections::BTreeMap;

use quorate_wire::{ChunkId, Offset, Time};

use super::{Append, History, Name, Op, Read, name};

/// All that a history says about one chunk. Retries are one append: it takes effect once, after the first was invoked and
/// before any was answered.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) chunk: ChunkId,
    /// When it was first invoked, and by whom.
    pub(super) invoked: (Time, Op),
    /// When it was first answered, and whom.
    pub(super) answered: Option<(Time, Op)>,
    /// Where it is, and who was told so first.
    pub(super) place: Option<(Offset, Op)>,
}

/// The order. See the module's description.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) effects: Vec<Effect>,
    names: BTreeMap<Name, usize>,
    /// Which effect is where.
    places: BTreeMap<Offset, usize>,
}

impl Order {
    /// The order of a history, if it contradicts itself nowhere.
    pub(super) fn of(history: &History) -> Result<Self, String> {
        let mut order = Self::default();
        for (at, append) in history.appends.iter().enumerate() {
            order.merge(append, Op::Append(at));
        }
        for (at, append) in history.appends.iter().enumerate() {
            if let Some((_, offset)) = append.answered {
                order.place(history, &append.chunk, offset, Op::Append(at))?;
            }
        }
        for (at, read) in history.reads.iter().enumerate() {
            for (offset, chunk) in &read.shown {
                order.place(history, chunk, *offset, Op::Read(at))?;
            }
        }
        Ok(order)
    }

    fn merge(&mut self, append: &Append, op: Op) {
        let invoked = (append.invoked, op);
        let answered = append.answered.map(|(at, _)| (at, op));
        let at = *self.names.entry(name(&append.chunk)).or_insert_with(|| {
            self.effects.push(Effect {
                chunk: append.chunk,
                invoked,
                answered,
                place: None,
            });
            self.effects.len() - 1
        });
        let effect = self.effects.get_mut(at).expect("it has a name");
        assert_eq!(
            effect.chunk, append.chunk,
            "a retry appends the same events"
        );
        if append.invoked < effect.invoked.0 {
            effect.invoked = invoked;
        }
        let answers = effect.answered.into_iter().chain(answered);
        effect.answered = answers.min_by_key(|&(at, _)| at);
    }

    /// Somebody was told that a chunk is at an offset.
    fn place(
        &mut self,
        history: &History,
        chunk: &ChunkId,
        offset: Offset,
        op: Op,
    ) -> Result<(), String> {
        let says = |op| history.describe(op);
        let at = self.names.get(&name(chunk)).copied();
        let effect = at.and_then(|at| self.effects.get(at));
        let (Some(at), Some(effect)) = (at, effect.filter(|it| it.chunk == *chunk)) else {
            return Err(format!(
                "{} shows at offset {offset} what nobody appended: {chunk:?}",
                says(op)
            ));
        };
        if let Some((known, first)) = effect.place {
            if known == offset {
                return Ok(());
            }
            return Err(format!(
                "one chunk is at two offsets: {known} by {}, and {offset} by {}",
                says(first),
                says(op)
            ));
        }
        let end = offset.plus(u64::from(chunk.events));
        let before = self.places.range(..end).next_back();
        let before = before.and_then(|(&from, &at)| Some((from, self.effects.get(at)?)));
        if let Some((from, other)) = before
            && from.plus(u64::from(other.chunk.events)) > offset
            && let Some((_, first)) = other.place
        {
            return Err(format!(
                "two chunks share offsets: {:?} is at {from} by {}, and {chunk:?} at {offset} by {}",
                other.chunk,
                says(first),
                says(op)
            ));
        }
        self.places.insert(offset, at);
        if let Some(effect) = self.effects.get_mut(at) {
            effect.place = Some((offset, op));
        }
        Ok(())
    }
}

/// A read by itself: whole chunks that follow each other, from the asked offset on, and not past the end that it was told.
pub(super) fn is_slice(read: &Read) -> Result<(), String> {
    let mut next = None;
    for &(offset, chunk) in &read.shown {
        let joins = next.map_or(offset <= read.from, |next| next == offset);
        if !joins {
            let wanted = next.unwrap_or(read.from);
            return Err(format!(
                "{read} leaves a gap: {chunk:?} at offset {offset} comes where {wanted} is next"
            ));
        }
        next = Some(offset.plus(u64::from(chunk.events)));
    }
    if read.end() > read.committed {
        return Err(format!(
            "{read} shows more than is committed, by its own word"
        ));
    }
    Ok(())
}
