//! Whether one log explains a history: whether its appends and reads can be put into one order, each at a moment between question
//! and answer, in which every one is told what a log would tell.
//!
//! In general that is a search over all orders. A log answers with places, so that the order is given, and a read's place is the
//! end that it was told. What stands in that order has moments that go with it if nothing that comes earlier was invoked after
//! something that comes later was over:
//!
//! ```text
//!   offset    0        4            9       12
//!             |append A|  append B  |append C|
//!                                   ^ read, committed 9: after A and B, before C
//! ```
//!
//! Appends without an answer that no read has shown may stand where a history has holes; each event can fill one place.

use std::collections::BTreeMap;

use quorate_wire::{Offset, Time};

use super::order::{Effect, Order, is_slice};
use super::{Freshness, History, Op, Reader};

/// An operation at its place in the order.
#[derive(Debug)]
struct Placed {
    /// An append begins here; a read sees everything before.
    offset: Offset,
    end: Offset,
    /// When it was first invoked, and by whom. A retry has another invocation than answer.
    invoked: (Time, Op),
    over: Option<(Time, Op)>,
}

/// Offsets before an operation that nothing is known of.
#[derive(Debug)]
struct Hole {
    offset: Offset,
    end: Offset,
    behind: Op,
    /// What fills it was invoked by then.
    until: Option<Time>,
}

impl History {
    /// Proves that the history is linearizable, with reads that tell of the moment that they promise.
    ///
    /// A hole that chunks of several events would have to fill is measured, not filled: that is less than a proof, and none is
    /// left when the last read shows the whole log.
    ///
    /// # Errors
    /// It is not; the sentence names the operations that contradict each other.
    pub fn check(&self) -> Result<(), String> {
        self.reads.iter().try_for_each(is_slice)?;
        self.cursors_go_on()?;
        let order = Order::of(self)?;
        let placed = self.placed(&order.effects);
        self.time_agrees(&placed)?;
        let holes = self.holes(&placed)?;
        self.can_fill(&holes, &order.effects)
    }

    /// A cursor's reads join on to each other; and on one connection, the end of the log is never told to be earlier than before.
    fn cursors_go_on(&self) -> Result<(), String> {
        let (mut cursors, mut connections) = (BTreeMap::new(), BTreeMap::new());
        for read in &self.reads {
            let Reader::Cursor {
                consumer,
                cursor,
                node,
                connection,
            } = read.reader
            else {
                continue;
            };
            if let Some(before) = cursors.insert((consumer, cursor), read)
                && before.end() != read.from
            {
                return Err(format!("{read} does not go on where {before} ended"));
            }
            let connection = (consumer, cursor, connection, node);
            if let Some(before) = connections.insert(connection, read)
                && before.committed > read.committed
            {
                return Err(format!(
                    "{read} is told of an earlier end than {before}, by the same node"
                ));
            }
        }
        Ok(())
    }

    /// Everything that has a place, in the log's order.
    fn placed(&self, effects: &[Effect]) -> Vec<Placed> {
        let appends = effects.iter().filter_map(|effect| {
            let (offset, _) = effect.place?;
            Some(Placed {
                offset,
                end: offset.plus(u64::from(effect.chunk.events)),
                invoked: effect.invoked,
                over: effect.answered,
            })
        });
        let reads = self.reads.iter().enumerate().map(|(at, read)| {
            let invoked = match read.freshness {
                Freshness::Stale => Time(0),
                Freshness::Latest => read.invoked,
            };
            Placed {
                offset: read.committed,
                end: read.committed,
                invoked: (invoked, Op::Read(at)),
                over: Some((read.answered, Op::Read(at))),
            }
        });
        let mut placed: Vec<_> = appends.chain(reads).collect();
        // A read of this end is before the append that begins there; of two reads, either may be first.
        placed.sort_by_key(|it| (it.offset, it.end, it.invoked.0));
        placed
    }

    /// Nothing that stands earlier was invoked after something that stands later was over.
    fn time_agrees(&self, placed: &[Placed]) -> Result<(), String> {
        let mut latest: Option<(Time, Op)> = None;
        for it in placed {
            if latest.is_none_or(|(latest, _)| latest <= it.invoked.0) {
                latest = Some(it.invoked);
            }
            if let (Some((began, late)), Some((over, early))) = (latest, it.over)
                && over < began
            {
                return Err(format!(
                    "{} was over before {} began, and the log has them the other way round",
                    self.describe(early),
                    self.describe(late)
                ));
            }
        }
        Ok(())
    }

    fn holes(&self, placed: &[Placed]) -> Result<Vec<Hole>, String> {
        let (mut holes, mut before) = (Vec::new(), None::<&Placed>);
        for it in placed {
            let end = before.map_or(Offset(0), |before| before.end);
            if it.offset < end
                && let Some(before) = before
            {
                return Err(format!(
                    "{} is told of an end inside of {}",
                    self.describe(it.invoked.1),
                    self.describe(before.invoked.1)
                ));
            }
            if it.offset > end {
                holes.push(Hole {
                    offset: end,
                    end: it.offset,
                    behind: it.invoked.1,
                    until: None,
                });
            }
            before = Some(it);
        }
        let (mut until, mut later) = (None::<Time>, placed.iter().rev().peekable());
        for hole in holes.iter_mut().rev() {
            while let Some(it) = later.next_if(|it| it.offset >= hole.end) {
                until = until.into_iter().chain(it.over.map(|(at, _)| at)).min();
            }
            hole.until = until;
        }
        Ok(holes)
    }

    /// There are as many events of appends that may have taken effect as the holes need, each invoked in time.
    fn can_fill(&self, holes: &[Hole], effects: &[Effect]) -> Result<(), String> {
        let unplaced = effects.iter().filter(|effect| effect.place.is_none());
        let mut unplaced: Vec<_> = unplaced
            .map(|effect| (effect.invoked.0, u64::from(effect.chunk.events)))
            .collect();
        unplaced.sort_unstable();
        let mut unplaced = unplaced.into_iter().peekable();
        let mut events = 0;
        for hole in holes {
            // Later holes have no earlier end.
            let in_time = |at: Time| hole.until.is_none_or(|until| at <= until);
            while let Some((_, more)) = unplaced.next_if(|&(at, _)| in_time(at)) {
                events += more;
            }
            let needed = hole.end.0 - hole.offset.0;
            if events < needed {
                return Err(format!(
                    "a gap: offsets {} to {} before {} are nobody's",
                    hole.offset,
                    hole.end,
                    self.describe(hole.behind)
                ));
            }
            events -= needed;
        }
        Ok(())
    }
}
