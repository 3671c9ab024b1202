//! Raft's messages as frames, and back.

use alloc::vec::Vec;

use quorate_raft::{Append, AppendReply, Message, Outcome, Run};
use quorate_wire::peer::{
    AppendMessage, AppendReplyMessage, TimeoutNowMessage, VoteMessage, VoteReplyMessage,
};
use quorate_wire::{
    FrameError, FrameHeader, FrameKind, GroupId, LogIndex, Position, SessionId, Term,
};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

const DURABLE: u8 = 1;
const CONFLICT: u8 = 2;

/// Adds a message's frame to `head`; `records` bytes of records will follow it.
pub(super) fn encode(message: &Message, group: GroupId, records: usize, head: &mut Vec<u8>) {
    match message {
        Message::PreVote { term, last } => {
            let message = vote(*term, *last, false);
            frame(FrameKind::PreVote, &message, group, 0, head);
        }
        Message::Vote { term, last, handed } => {
            let message = vote(*term, *last, *handed);
            frame(FrameKind::Vote, &message, group, 0, head);
        }
        Message::TimeoutNow { term } => {
            let message = TimeoutNowMessage {
                term: U64::new(term.0),
            };
            frame(FrameKind::TimeoutNow, &message, group, 0, head);
        }
        Message::PreVoteReply { term, granted } => {
            frame(
                FrameKind::PreVoteReply,
                &vote_reply(*term, *granted),
                group,
                0,
                head,
            );
        }
        Message::VoteReply { term, granted } => {
            frame(
                FrameKind::VoteReply,
                &vote_reply(*term, *granted),
                group,
                0,
                head,
            );
        }
        Message::Append(append) => frame(
            FrameKind::Append,
            &append_message(append),
            group,
            records,
            head,
        ),
        Message::AppendReply(reply) => {
            frame(FrameKind::AppendReply, &append_reply(reply), group, 0, head)
        }
    }
}

fn frame(
    kind: FrameKind,
    message: &impl AsMessage,
    group: GroupId,
    records: usize,
    head: &mut Vec<u8>,
) {
    let message = message.message();
    head.extend_from_slice(&FrameHeader::seal(kind, 0, group, &[message], records));
    head.extend_from_slice(message);
}

/// A message's bytes.
trait AsMessage {
    fn message(&self) -> &[u8];
}

impl<T: IntoBytes + zerocopy::Immutable> AsMessage for T {
    fn message(&self) -> &[u8] {
        self.as_bytes()
    }
}

fn vote(term: Term, last: Position, handed: bool) -> VoteMessage {
    VoteMessage {
        term: U64::new(term.0),
        last_term: U64::new(last.term.0),
        last_index: U64::new(last.index.0),
        handed: u8::from(handed),
        reserved: [0; 7],
    }
}

fn vote_reply(term: Term, granted: bool) -> VoteReplyMessage {
    VoteReplyMessage {
        term: U64::new(term.0),
        granted: u8::from(granted),
        reserved: [0; 7],
    }
}

fn append_message(append: &Append) -> AppendMessage {
    AppendMessage {
        term: U64::new(append.term.0),
        session: U64::new(append.session.0),
        round: U64::new(append.round),
        previous_term: U64::new(append.previous.term.0),
        previous_index: U64::new(append.previous.index.0),
        commit: U64::new(append.commit.0),
        entry_term: U64::new(append.entries.term.0),
        entry_count: U32::new(append.entries.count),
        reserved: U32::new(0),
    }
}

fn append_reply(reply: &AppendReply) -> AppendReplyMessage {
    let (outcome, index, hint) = match reply.outcome {
        Outcome::Durable(index) => (DURABLE, index, Position::default()),
        Outcome::Conflict { refused, hint } => (CONFLICT, refused, hint),
    };
    AppendReplyMessage {
        term: U64::new(reply.term.0),
        session: U64::new(reply.session.0),
        round: U64::new(reply.round),
        index: U64::new(index.0),
        hint_term: U64::new(hint.term.0),
        hint_index: U64::new(hint.index.0),
        outcome,
        reserved: [0; 7],
    }
}

/// Reads a Raft message, or says that the frame is none.
pub(super) fn decode(kind: FrameKind, message: &[u8]) -> Result<Message, FrameError> {
    match kind {
        FrameKind::PreVote => {
            let (term, last, _) = read_vote(message)?;
            Ok(Message::PreVote { term, last })
        }
        FrameKind::Vote => {
            let (term, last, handed) = read_vote(message)?;
            Ok(Message::Vote { term, last, handed })
        }
        FrameKind::PreVoteReply => {
            let (term, granted) = read_vote_reply(message)?;
            Ok(Message::PreVoteReply { term, granted })
        }
        FrameKind::VoteReply => {
            let (term, granted) = read_vote_reply(message)?;
            Ok(Message::VoteReply { term, granted })
        }
        FrameKind::TimeoutNow => {
            let message: TimeoutNowMessage = read(message);
            Ok(Message::TimeoutNow {
                term: Term(message.term.get()),
            })
        }
        FrameKind::Append => read_append(message),
        FrameKind::AppendReply => read_append_reply(message),
        FrameKind::Hello
        | FrameKind::Produce
        | FrameKind::Fetch
        | FrameKind::Status
        | FrameKind::Subscribe
        | FrameKind::Credit
        | FrameKind::Unsubscribe
        | FrameKind::Push
        | FrameKind::Unsubscribed
        | FrameKind::Admin
        | FrameKind::PeerHello
        | FrameKind::Repair
        | FrameKind::RepairReply
        | FrameKind::SnapshotOffer
        | FrameKind::SnapshotFetch
        | FrameKind::SnapshotChunk
        | FrameKind::ReadIndex
        | FrameKind::ReadIndexReply
        | FrameKind::HelloReply
        | FrameKind::ProduceReply
        | FrameKind::TracedReply
        | FrameKind::FetchReply
        | FrameKind::StatusReply
        | FrameKind::Audit
        | FrameKind::AuditReply
        | FrameKind::AdminReply
        | FrameKind::Command
        | FrameKind::CommandReply
        | FrameKind::Cursors
        | FrameKind::CursorsReply
        | FrameKind::Heartbeat
        | FrameKind::HeartbeatReply
        | FrameKind::Groups
        | FrameKind::GroupsReply
        | FrameKind::Error => Err(FrameError::Kind {
            kind: kind.to_byte(),
            flags: 0,
        }),
    }
}

fn read<T: FromBytes>(message: &[u8]) -> T {
    T::read_from_bytes(message).expect("the frame's gate has checked the length of the message")
}

fn read_vote(message: &[u8]) -> Result<(Term, Position, bool), FrameError> {
    let vote: VoteMessage = read(message);
    let last = Position {
        term: Term(vote.last_term.get()),
        index: LogIndex(vote.last_index.get()),
    };
    let handed = flag(
        vote.handed,
        "a vote is for whom the leader wants, 1, or not, 0",
    )?;
    Ok((Term(vote.term.get()), last, handed))
}

fn read_vote_reply(message: &[u8]) -> Result<(Term, bool), FrameError> {
    let reply: VoteReplyMessage = read(message);
    let granted = flag(reply.granted, "a vote is granted, 1, or refused, 0")?;
    Ok((Term(reply.term.get()), granted))
}

fn flag(byte: u8, what: &'static str) -> Result<bool, FrameError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(FrameError::Invalid { what }),
    }
}

fn read_append(message: &[u8]) -> Result<Message, FrameError> {
    let append: AppendMessage = read(message);
    let (previous, count) = (append.previous_index.get(), append.entry_count.get());
    if previous
        .checked_add(u64::from(count))
        .is_none_or(|last| last == u64::MAX)
    {
        return Err(FrameError::Invalid {
            what: "the records run past the last index",
        });
    }
    Ok(Message::Append(Append {
        term: Term(append.term.get()),
        session: SessionId(append.session.get()),
        round: append.round.get(),
        previous: Position {
            term: Term(append.previous_term.get()),
            index: LogIndex(previous),
        },
        entries: Run {
            term: Term(append.entry_term.get()),
            count,
        },
        commit: LogIndex(append.commit.get()),
    }))
}

fn read_append_reply(message: &[u8]) -> Result<Message, FrameError> {
    let reply: AppendReplyMessage = read(message);
    let index = LogIndex(reply.index.get());
    let outcome = match reply.outcome {
        DURABLE => Outcome::Durable(index),
        CONFLICT => Outcome::Conflict {
            refused: index,
            hint: Position {
                term: Term(reply.hint_term.get()),
                index: LogIndex(reply.hint_index.get()),
            },
        },
        _ => {
            return Err(FrameError::Invalid {
                what: "the outcome is durable, 1, or conflict, 2",
            });
        }
    };
    Ok(Message::AppendReply(AppendReply {
        term: Term(reply.term.get()),
        session: SessionId(reply.session.get()),
        round: reply.round.get(),
        outcome,
    }))
}

#[cfg(test)]
mod tests {
    use quorate_wire::Frame;

    use super::*;

    fn position(term: u64, index: u64) -> Position {
        Position {
            term: Term(term),
            index: LogIndex(index),
        }
    }

    #[test]
    fn every_message_comes_back_as_it_went() {
        let (term, session, round) = (Term(7), SessionId(3), 99);
        let reply = |outcome| {
            Message::AppendReply(AppendReply {
                term,
                session,
                round,
                outcome,
            })
        };
        let messages = [
            Message::PreVote {
                term,
                last: position(6, 41),
            },
            Message::PreVoteReply {
                term,
                granted: true,
            },
            Message::Vote {
                term,
                last: position(6, 41),
                handed: true,
            },
            Message::TimeoutNow { term },
            Message::VoteReply {
                term,
                granted: false,
            },
            Message::Append(Append {
                term,
                session,
                round,
                previous: position(5, 40),
                entries: Run {
                    term: Term(6),
                    count: 2,
                },
                commit: LogIndex(39),
            }),
            reply(Outcome::Durable(LogIndex(41))),
            reply(Outcome::Conflict {
                refused: LogIndex(40),
                hint: position(4, 38),
            }),
        ];
        for message in messages {
            let mut bytes = Vec::new();
            encode(&message, GroupId(0), 0, &mut bytes);
            let frame = Frame::parse(&bytes).expect("sound").expect("whole");
            assert_eq!(decode(frame.header.kind, frame.message), Ok(message));
        }
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        let append = Append {
            term: Term(1),
            session: SessionId(1),
            round: 1,
            previous: position(1, u64::MAX - 1),
            entries: Run {
                term: Term(1),
                count: 2,
            },
            commit: LogIndex(0),
        };
        let refused = decode(FrameKind::Append, append_message(&append).as_bytes());
        assert!(matches!(refused, Err(FrameError::Invalid { .. })));
        let vote = VoteReplyMessage {
            granted: 2,
            ..vote_reply(Term(1), true)
        };
        assert!(matches!(
            decode(FrameKind::VoteReply, vote.as_bytes()),
            Err(FrameError::Invalid { .. })
        ));
        assert!(matches!(
            decode(FrameKind::Status, &[]),
            Err(FrameError::Kind { .. })
        ));
    }
}
