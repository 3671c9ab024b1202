//! The blocking producer of events whose source has an id for each, and no sequences.
//!
//! Owns: one connection to the leader, and the clock. Never: a thread, or an id of its own making. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::{CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, MESSAGE_BYTES_MAX};
use quorate_wire::{
    CHUNK_HEADER_BYTES, ChunkId, Epoch, ErrorCode, Event, EventId, FRAME_HEADER_BYTES, Offset,
    ProducerId, Sequence, seal_chunk,
};

use crate::caller::{Answer, Caller, Question};
use crate::named::{ask, config};
use crate::packer::append;
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{ClientError, ConsumerOptions, InvalidEvent, ProducerOptions};

/// How long a call goes on trying if the options do not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends events with their ids. Each is in the log once, whoever sends it and however often, as long as the cluster knows its id: an
/// hour of log time.
#[derive(Debug)]
pub struct IdProducer {
    caller: Caller,
    transport: Transport<PollSocket>,
    events_max: usize,
    bytes_max: usize,
}

impl IdProducer {
    /// Connects with the first call. Of the options, those count that say which nodes there are, how long to wait (`give_up`: by default
    /// 30 s), and how large a chunk may be.
    ///
    /// # Errors
    /// There is no node, or no chance to be had from the operating system.
    pub fn new(options: &ProducerOptions) -> Result<Self, ClientError> {
        let mut reading = ConsumerOptions::new(options.nodes.iter().cloned());
        reading.cluster = options.cluster;
        reading.connect_timeout = options.connect_timeout;
        reading.request_timeout = options.request_timeout;
        reading.patience = options.give_up.unwrap_or(PATIENCE);
        let events = options.batch_events.clamp(1, CHUNK_EVENTS_MAX);
        Ok(Self {
            caller: Caller::new(config(&reading)?),
            transport: Transport::new(FRAME_HEADER_BYTES + MESSAGE_BYTES_MAX),
            events_max: usize::try_from(events).expect("32 bits fit into a size"),
            bytes_max: options.batch_bytes.min(CHUNK_BYTES_MAX),
        })
    }

    /// Sends events, and waits until a quorum of disks has them. Says where each is: where it was put the first time, if its id is
    /// known. After an error, the same call does again what was not done.
    ///
    /// # Errors
    /// An event is over a limit, no node answers in time, or one refuses.
    pub fn send(&mut self, events: &[(EventId, Event<'_>)]) -> Result<Vec<Offset>, ClientError> {
        let mut offsets = Vec::with_capacity(events.len());
        let mut rest = events;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.fitting(rest));
            self.send_chunk(now, &mut offsets)?;
            rest = later;
        }
        Ok(offsets)
    }

    /// How many of the first events go into one chunk.
    fn fitting(&self, events: &[(EventId, Event<'_>)]) -> usize {
        let mut bytes = CHUNK_HEADER_BYTES;
        let fits = events
            .iter()
            .take(self.events_max)
            .take_while(|(_, event)| {
                bytes += EventId::BYTES + event.size();
                bytes <= self.bytes_max
            });
        fits.count().max(1)
    }

    fn send_chunk(
        &mut self,
        events: &[(EventId, Event<'_>)],
        offsets: &mut Vec<Offset>,
    ) -> Result<(), ClientError> {
        let question = question(events, (Epoch(0), Sequence(0)))?;
        match ask(&mut self.caller, &mut self.transport, question) {
            Ok(answer) => {
                let first = placed(&answer);
                offsets.extend(events.iter().zip(0..).map(|(_, at)| first.plus(at)));
                Ok(())
            }
            // Each by itself is known, or is not.
            Err(error) if error.code() == Some(ErrorCode::EventIdsMixed) && events.len() > 1 => {
                events
                    .iter()
                    .try_for_each(|event| self.send_chunk(std::slice::from_ref(event), offsets))
            }
            Err(error) => Err(error),
        }
    }
}

/// What asks for events with ids. `place` is the source's own: it is carried, and nobody looks at it.
///
/// # Errors
/// An event, or all of them together, is over a limit.
pub fn question(
    events: &[(EventId, Event<'_>)],
    place: (Epoch, Sequence),
) -> Result<Question, ClientError> {
    let mut chunk = vec![0; CHUNK_HEADER_BYTES];
    for (id, _) in events {
        chunk.extend_from_slice(&id.0);
    }
    for (_, event) in events {
        append(&mut chunk, event)?;
    }
    let id = ChunkId {
        producer: ProducerId::NONE,
        epoch: place.0,
        first: place.1,
        events: u32::try_from(events.len()).unwrap_or(u32::MAX),
    };
    seal_chunk(id, &mut chunk)
        .map_err(|error| ClientError::InvalidEvent(InvalidEvent::Chunk(error)))?;
    Ok(Question::Produce(chunk))
}

fn placed(answer: &Answer) -> Offset {
    match answer {
        Answer::Placed(offset) => *offset,
        Answer::Applied(_) | Answer::Cursors(_) | Answer::Standing(_) | Answer::Group(_) => {
            unreachable!("an answer is of the question's kind")
        }
    }
}
