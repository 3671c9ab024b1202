//! A life of a state: records with chunks of a few producers, made, committed, void again.

use proptest::prelude::*;
use quorate_replication::log::Replay;
use quorate_replication::snapshot::{Header, Writer};
use quorate_replication::state::State;
use quorate_wire::{
    ChunkId, ClusterName, Epoch, GroupId, LogIndex, Offset, Position, ProducerId, RecordHeader,
    RecordKind, Sequence, Stamp, Term,
};

pub(crate) const GROUP: GroupId = GroupId(3);

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("flights").expect("a name")
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A record of one chunk: of this producer, of so many events, perhaps of its next epoch; `skip` leaves a gap of offsets.
    Append {
        producer: u64,
        events: u32,
        epoch: bool,
        skip: bool,
    },
    /// All but so many pending records are committed.
    Commit(usize),
    /// The last pending record becomes void.
    Void,
    /// The next record is made so many hours later.
    Pass(u64),
}

/// Anything that may happen, a few dozen times.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append =
        (0u64..6, 1u32..5, 0u8..12, any::<bool>()).prop_map(|(producer, events, epoch, skip)| {
            Step::Append {
                producer,
                events,
                epoch: epoch == 0,
                skip,
            }
        });
    let step = prop_oneof![
        6 => append,
        3 => (0usize..4).prop_map(Step::Commit),
        1 => Just(Step::Void),
        1 => (1u64..30).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

/// A state, and what its producers are about to send.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) state: State,
    /// For each producer that is known: epoch and next sequence, committed or not.
    pub(crate) known: std::collections::BTreeMap<u64, (u32, u64)>,
    /// Each chunk, the index of its record, and its offset.
    pub(crate) chunks: Vec<(LogIndex, ChunkId, Offset)>,
    made: Vec<(LogIndex, u64, (u32, u64))>,
    term: u64,
    /// By how much log time is ahead of the records.
    ahead: u64,
}

impl Life {
    /// The life of a state that keeps so many runs.
    pub(crate) fn within(runs_max: usize) -> Self {
        Self {
            state: State::new(runs_max),
            ..Self::default()
        }
    }

    /// The same life, of another node's state.
    pub(crate) fn of(&self, state: State) -> Self {
        Self {
            state,
            known: self.known.clone(),
            made: self.made.clone(),
            chunks: self.chunks.clone(),
            ..*self
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Append {
                producer,
                events,
                epoch,
                skip,
            } => {
                if skip {
                    self.append(None);
                }
                let before = self.known.get(&producer).copied();
                let (old, next) = before.unwrap_or_default();
                let id = ChunkId {
                    producer: ProducerId(producer),
                    epoch: Epoch(old + u32::from(epoch)),
                    first: Sequence(if epoch { 0 } else { next }),
                    events,
                };
                self.append(Some(id));
                let index = self.state.last();
                let offset = Offset(self.state.next_offset().0 - u64::from(events));
                self.chunks.push((index, id, offset));
                self.made.push((index, producer, (old, next)));
                self.known.insert(producer, (id.epoch.0, id.next().0));
            }
            Step::Commit(but) => {
                let upto = self.state.last().0.saturating_sub(but as u64);
                self.state.commit(LogIndex(upto));
            }
            Step::Pass(hours) => self.ahead += hours * 3_600_000_000_000,
            Step::Void => {
                let last = self.state.last();
                if last == self.state.applied() {
                    return;
                }
                self.state.truncate(last);
                if let Some((_, producer, before)) = self.made.pop_if(|made| made.0 == last) {
                    self.known.insert(producer, before);
                    self.chunks.pop();
                }
            }
        }
    }

    fn append(&mut self, chunk: Option<ChunkId>) {
        self.term += 1;
        let last = self.state.last();
        let stamp = Stamp {
            position: Position {
                term: Term(self.term),
                index: last.next(),
            },
            base_offset: self.state.next_offset(),
            log_time: self.state.log_time() + 7 + std::mem::take(&mut self.ahead),
            group: GROUP,
            event_count: chunk.map_or(0, |id| u16::try_from(id.events).expect("few")),
            kind: RecordKind::Noop,
            previous: self.state.header_crc(last).expect("the last record"),
        };
        // The state looks at headers and chunks' names only: a header is all that this record needs.
        let bytes = RecordHeader::stamp(
            &Stamp {
                event_count: 0,
                ..stamp
            },
            &[],
        );
        let mut header = RecordHeader::parse(&bytes).expect("it was just stamped");
        header.event_count = stamp.event_count;
        let offset = stamp.base_offset;
        self.state
            .append_own(&header, chunk.into_iter().map(|id| (id, offset)));
    }

    /// Chunks that a producer may send or send again, for all producers and one that is unknown.
    pub(crate) fn questions(&self) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        for (&producer, &(epoch, next)) in self.known.iter().chain([(&u64::MAX, &(0, 0))]) {
            for epoch in epoch.saturating_sub(1)..=epoch + 1 {
                for first in 0..=next + 1 {
                    for events in [1, 3] {
                        ids.push(ChunkId {
                            producer: ProducerId(producer),
                            epoch: Epoch(epoch),
                            first: Sequence(first),
                            events,
                        });
                    }
                }
            }
        }
        ids
    }
}

/// Begins a snapshot of a state as it is now.
pub(crate) fn begin(state: &mut State) -> Writer {
    Writer::new(&Header::new(cluster(), GROUP, state.freeze()))
}

/// All bytes of a snapshot that are ready.
pub(crate) fn take(writer: &mut Writer, bytes: &mut Vec<u8>) {
    while let Some(part) = writer.take(8192) {
        bytes.extend_from_slice(&part);
    }
}

/// All of a snapshot of a life's state.
pub(crate) fn whole(life: &mut Life) -> Vec<u8> {
    let mut writer = begin(&mut life.state);
    while life.state.copy(100, &mut writer) {}
    life.state.thaw();
    writer.end();
    let mut bytes = Vec::new();
    take(&mut writer, &mut bytes);
    assert!(writer.is_over());
    bytes
}
