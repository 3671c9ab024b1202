//! Answers, as the bytes that a client gets.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use quorate_wire::audit::AuditReply;
use quorate_wire::client::{
    ErrorMessage, HelloReply, NodeEntry, ProduceReply, Stage, StatusReply, TracedReply,
    Unsubscribed,
};
use quorate_wire::limits::ERROR_TEXT_BYTES_MAX;
use quorate_wire::{
    ClusterName, ErrorCode, FrameHeader, FrameKind, GroupId, Leader, NodeId, Offset,
    PROTOCOL_VERSION, Time,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::{Filter, No, named, records};
use crate::lane::{AdminAnswer, Answer, Chunks, Refusal};
use crate::trace::Trace;

const GROUP: GroupId = GroupId(0);

/// What a node says of itself when a client greets.
#[derive(Clone, Debug)]
pub struct Greeting {
    reply: HelloReply,
    nodes: Vec<NodeEntry>,
}

impl Greeting {
    /// What `node` says: who the others are, and how much a connection may have in flight.
    ///
    /// # Panics
    /// An address is too long for its field: the configuration was not checked.
    #[must_use]
    pub fn new(
        cluster: ClusterName,
        node: NodeId,
        nodes: &[(NodeId, String)],
        window_bytes: usize,
        window_requests: usize,
    ) -> Self {
        let bounded = |size: usize| U32::new(u32::try_from(size).unwrap_or(u32::MAX));
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(id, address)| {
                NodeEntry::new(*id, address).expect("the configuration bounds addresses")
            })
            .collect();
        let reply = HelloReply {
            cluster: cluster.to_bytes(),
            node: U32::new(node.0),
            leader: U32::new(0),
            leader_term: U64::new(0),
            window_bytes: bounded(window_bytes),
            window_requests: bounded(window_requests),
            group_count: U32::new(1),
            version: PROTOCOL_VERSION,
            node_count: 0,
            reserved: U16::new(0),
        };
        Self { reply, nodes }
    }

    /// `nodes`: where the nodes are, if that is not what is configured.
    fn write(
        &self,
        correlation: u64,
        leader: Option<Leader>,
        nodes: Option<&[NodeEntry]>,
        to: &mut Vec<u8>,
    ) {
        let nodes = nodes.unwrap_or(&self.nodes);
        let (leader, leader_term) = Leader::to_fields(leader);
        let reply = HelloReply {
            leader,
            leader_term,
            node_count: u8::try_from(nodes.len()).expect("a group has few members"),
            ..self.reply
        };
        let nodes = nodes.as_bytes();
        frame(
            FrameKind::HelloReply,
            correlation,
            &[reply.as_bytes(), nodes],
            &[],
            to,
        );
    }
}

/// Writes the pipeline's answer to the end of `to`; of records, those that the request's filter wants. It is about these `chunks`
/// of a run whose first request has `correlation`. `now` is asked only for an answer that tells of its way.
pub fn write(
    answer: &Answer,
    (correlation, chunks): (u64, Chunks),
    filter: Option<&Filter>,
    greeting: &Greeting,
    now: impl FnOnce() -> Time,
    to: &mut Vec<u8>,
) {
    let first = correlation + u64::from(chunks.at);
    let correlation = first + u64::from(chunks.count - 1);
    match answer {
        Answer::Greeting { leader, nodes } => {
            greeting.write(correlation, *leader, nodes.as_deref(), to);
        }
        Answer::Produced {
            base_offset,
            term,
            level,
            trace,
        } => {
            let reply = ProduceReply {
                base_offset: U64::new(base_offset.0),
                term: U64::new(term.0),
                level: level.to_byte(),
                reserved: [0; 3],
                before: U32::new(chunks.count - 1),
            };
            let trace = trace.as_deref().copied();
            write_produced(reply, correlation, trace.map(|trace| (trace, now())), to);
        }
        Answer::Fetched(fetched) => records::write(fetched, correlation, filter, to),
        Answer::Status(status) => {
            let reply: &StatusReply = status;
            frame(
                FrameKind::StatusReply,
                correlation,
                &[reply.as_bytes()],
                &[],
                to,
            );
        }
        Answer::Audited(reply) => {
            let reply: &AuditReply = reply;
            frame(
                FrameKind::AuditReply,
                correlation,
                &[reply.as_bytes()],
                &[],
                to,
            );
        }
        Answer::Named(answer) => named::write(answer, correlation, to),
        Answer::Admin(AdminAnswer { reply, members }) => {
            let parts = [reply.as_bytes(), members.as_bytes()];
            frame(FrameKind::AdminReply, correlation, &parts, &[], to);
        }
        Answer::Refused(refusal) => {
            for correlation in first..=correlation {
                write_refusal(refusal, correlation, to);
            }
        }
    }
}

fn write_produced(
    reply: ProduceReply,
    correlation: u64,
    traced: Option<(Trace, Time)>,
    to: &mut Vec<u8>,
) {
    let Some((mut trace, now)) = traced else {
        let kind = FrameKind::ProduceReply;
        return frame(kind, correlation, &[reply.as_bytes()], &[], to);
    };
    trace.over(Stage::Reply, now);
    let traced = TracedReply {
        reply,
        stages: trace.times(),
        reserved_too: U32::new(0),
    };
    let kind = FrameKind::TracedReply;
    frame(kind, correlation, &[traced.as_bytes()], &[], to);
}

/// Writes the pipeline's refusal to the end of `to`.
pub(super) fn write_refusal(refusal: &Refusal, correlation: u64, to: &mut Vec<u8>) {
    write_error(refusal, &sentence(refusal), correlation, to);
}

/// Writes the last word to a subscription, which is to be read on from an offset.
pub(super) fn write_unsubscribed(next: Option<Offset>, correlation: u64, to: &mut Vec<u8>) {
    let reply = Unsubscribed {
        next: U64::new(next.map_or(0, |next| next.0)),
    };
    let kind = FrameKind::Unsubscribed;
    frame(kind, correlation, &[reply.as_bytes()], &[], to);
}

/// Writes this shard's own refusal to the end of `to`.
pub fn write_no(no: &No, correlation: u64, to: &mut Vec<u8>) {
    let refusal = Refusal {
        retry_after_ms: no.retry_after_ms,
        ..Refusal::new(no.code)
    };
    write_error(&refusal, &no.text, correlation, to);
}

fn write_error(refusal: &Refusal, text: &str, correlation: u64, to: &mut Vec<u8>) {
    let (leader, leader_term) = Leader::to_fields(refusal.leader);
    let message = ErrorMessage {
        code: U16::new(refusal.code.number()),
        reserved: U16::new(0),
        leader,
        leader_term,
        retry_after_ms: U32::new(refusal.retry_after_ms),
        reserved_too: U32::new(0),
        expected: U64::new(refusal.expected),
        limit: U64::new(refusal.limit),
    };
    let end = text.floor_char_boundary(ERROR_TEXT_BYTES_MAX);
    let text = &text.as_bytes()[..end];
    frame(
        FrameKind::Error,
        correlation,
        &[message.as_bytes(), text],
        &[],
        to,
    );
}

pub(super) fn frame(
    kind: FrameKind,
    correlation: u64,
    checked: &[&[u8]],
    tail: &[u8],
    to: &mut Vec<u8>,
) {
    head(kind, correlation, checked, tail.len(), to);
    to.extend_from_slice(tail);
}

/// A frame up to its tail, which is so many bytes long.
pub(super) fn head(
    kind: FrameKind,
    correlation: u64,
    checked: &[&[u8]],
    tail: usize,
    to: &mut Vec<u8>,
) {
    let header = FrameHeader::seal(kind, correlation, GROUP, checked, tail);
    to.extend_from_slice(&header);
    for part in checked {
        to.extend_from_slice(part);
    }
}

/// The sentences of what a pipeline refuses. A `#` stands for what was expected, a `~` for the limit.
const SENTENCES: &[(ErrorCode, &str)] = &[
    (
        ErrorCode::SequenceGap,
        "an earlier chunk is missing: sequence # comes next",
    ),
    (
        ErrorCode::EpochFenced,
        "a newer incarnation of this producer is at work: epoch #",
    ),
    (
        ErrorCode::SequenceTooOld,
        "the chunk is so old that its offset is no longer known, or it overlaps another",
    ),
    (
        ErrorCode::ProducerUnknown,
        "the group does not know this producer, and this is not its first chunk",
    ),
    (ErrorCode::ProducersFull, "no further producers fit"),
    (
        ErrorCode::EventIdsMixed,
        "some ids of the chunk are known and others not, or they are not known side by side: send the events one by one",
    ),
    (
        ErrorCode::EventIdsFull,
        "no further ids of events fit until some are forgotten",
    ),
    (
        ErrorCode::LeaderNotReady,
        "this node leads, and its term's first record is not committed yet",
    ),
    (
        ErrorCode::Overloaded,
        "the pipeline takes no more at the moment",
    ),
    (
        ErrorCode::ShuttingDown,
        "the node is about to stop, or was removed from its group",
    ),
    (
        ErrorCode::DiskFull,
        "the disk has no room for further records",
    ),
    (
        ErrorCode::Forming,
        "the node has not yet met all nodes of its cluster",
    ),
    (
        ErrorCode::LeadershipLost,
        "the leader lost its term before the record was committed: it may be in the log or not",
    ),
    (
        ErrorCode::Repairing,
        "the node's log is damaged, and it fetches what is missing from the other nodes",
    ),
    (
        ErrorCode::TransferFailed,
        "no other node took the lead over: it is not connected, or did not win in time",
    ),
    (
        ErrorCode::NotAMember,
        "the node is no member of the group, or none any more",
    ),
    (
        ErrorCode::ChangeInProgress,
        "another change of the members is under way, or the lead changes hands",
    ),
    (
        ErrorCode::LearnerBehind,
        "the learner is not connected, or lacks too much of the log to vote: # records",
    ),
    (
        ErrorCode::MembersRefused,
        "the group cannot have these members: too few or too many of them, or an id below #, where ids that were used end",
    ),
    (
        ErrorCode::NodeUnreachable,
        "the leader does not reach the node at its address, or the node refuses",
    ),
    (
        ErrorCode::OffsetPastEnd,
        "the offset is past the end: # (the start is ~)",
    ),
    (
        ErrorCode::OffsetBeforeStart,
        "the offset is before the start: # (the end is ~)",
    ),
    (
        ErrorCode::OffsetNotReached,
        "this node does not know the offset to be committed yet: its end is #",
    ),
    (
        ErrorCode::ConsistencyUnavailable,
        "this node cannot promise that a read is linearizable",
    ),
    (
        ErrorCode::RecordUnreadable,
        "the record that holds the offset cannot be read here",
    ),
    (
        ErrorCode::NameUnknown,
        "there is no cursor, or no consumer group, of this name",
    ),
    (
        ErrorCode::MemberUnknown,
        "the consumer group has no such member, or has it no more",
    ),
    (
        ErrorCode::GenerationFenced,
        "the members have changed since: this is generation #",
    ),
    (
        ErrorCode::SlotsNotOwned,
        "slots of another member are to be committed",
    ),
    (
        ErrorCode::EditionNotRaised,
        "this takes edition #, and the group uses ~: nodes of an earlier build are among its members",
    ),
    (
        ErrorCode::GroupHasMembers,
        "the consumer group has members: it can be deleted when they have left",
    ),
    (
        ErrorCode::GroupsFull,
        "no further consumer groups, or members of this one, fit",
    ),
    (ErrorCode::CursorsFull, "no further cursors fit"),
    (
        ErrorCode::CursorBehind,
        "the cursor is at # already, and was not told to move back",
    ),
    (
        ErrorCode::CursorPastEnd,
        "the offset is past the end of what is committed: #",
    ),
    (
        ErrorCode::CursorBeforeStart,
        "the offset is before the first one that is kept: #",
    ),
];

fn sentence(refusal: &Refusal) -> String {
    if refusal.code == ErrorCode::NotLeader {
        return refusal.leader.map_or_else(
            || "no leader is known".to_owned(),
            |Leader { node, .. }| format!("node {node} leads"),
        );
    }
    let known = SENTENCES.iter().find(|(code, _)| *code == refusal.code);
    let text = known.map_or_else(|| refusal.code.name(), |(_, text)| text);
    let text = text.replace('#', &refusal.expected.to_string());
    text.replace('~', &refusal.limit.to_string())
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use quorate_wire::client::{
        AckLevel, ErrorMessage, HelloReply, NodeEntry, ProduceReply, Stage, TracedReply, error_text,
    };
    use quorate_wire::limits::ERROR_TEXT_BYTES_MAX;
    use quorate_wire::{
        ClusterName, ErrorCode, Frame, FrameKind, Leader, NodeId, Offset, Term, Time,
    };
    use zerocopy::FromBytes;

    use super::{Greeting, write, write_no};
    use crate::gate::No;
    use crate::lane::Chunks;
    use crate::lane::{Answer, Refusal};
    use crate::trace::Trace;

    fn greeting() -> Greeting {
        let cluster = ClusterName::new("flights").expect("it is a name");
        let nodes = [
            (NodeId(1), "127.0.0.1:9001".to_owned()),
            (NodeId(2), "b:2".to_owned()),
        ];
        Greeting::new(cluster, NodeId(2), &nodes, 16 << 20, 4096)
    }

    fn no_clock() -> Time {
        unreachable!("nothing is traced")
    }

    fn parse(bytes: &[u8]) -> Frame<'_> {
        let frame = Frame::parse(bytes)
            .expect("it is sound")
            .expect("it is whole");
        assert_eq!(frame.bytes(), bytes.len());
        frame
    }

    #[test]
    fn a_greeting_lists_the_nodes() {
        let mut bytes = Vec::new();
        let answer = Answer::Greeting {
            leader: Some(Leader {
                node: NodeId(1),
                term: Term(5),
            }),
            nodes: None,
        };
        write(
            &answer,
            (7, Chunks::ONE),
            None,
            &greeting(),
            no_clock,
            &mut bytes,
        );
        let frame = parse(&bytes);
        assert_eq!(
            (frame.header.kind, frame.header.correlation),
            (FrameKind::HelloReply, 7)
        );
        let reply = HelloReply::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((reply.node.get(), reply.leader.get()), (2, 1));
        assert_eq!(reply.leader_term.get(), 5);
        let nodes = NodeEntry::parse_all(frame.tail, reply.node_count).expect("they are listed");
        assert_eq!(nodes[1].address(), Some("b:2"));
    }

    #[test]
    fn a_produced_chunk_is_told_its_level_and_on_request_its_way() {
        let produced = |trace| Answer::Produced {
            base_offset: Offset(9),
            term: Term(3),
            level: AckLevel::Accepted,
            trace,
        };
        let mut bytes = Vec::new();
        write(
            &produced(None),
            (7, Chunks::ONE),
            None,
            &greeting(),
            no_clock,
            &mut bytes,
        );
        let frame = parse(&bytes);
        let usual = ProduceReply::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((usual.base_offset.get(), usual.term.get()), (9, 3));
        assert_eq!(AckLevel::from_byte(usual.level), Some(AckLevel::Accepted));
        let mut trace = Box::new(Trace::new(Time(100)));
        trace.over(Stage::Gate, Time(150));
        let mut bytes = Vec::new();
        let answer = produced(Some(trace));
        write(
            &answer,
            (7, Chunks::ONE),
            None,
            &greeting(),
            || Time(180),
            &mut bytes,
        );
        let frame = parse(&bytes);
        assert_eq!(frame.header.kind, FrameKind::TracedReply);
        let traced = TracedReply::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!(traced.reply, usual);
        let stages = [Stage::Gate, Stage::Lane, Stage::Reply].map(|at| traced.stages.get(at));
        assert_eq!(stages, [Some(50), None, Some(30)]);
    }

    #[test]
    fn a_sentence_is_cut_between_characters() {
        let mut bytes = Vec::new();
        let long = "x".repeat(ERROR_TEXT_BYTES_MAX - 1) + "é";
        write_no(&No::new(ErrorCode::Overloaded, long), 1, &mut bytes);
        assert_eq!(
            error_text(parse(&bytes).tail).len(),
            ERROR_TEXT_BYTES_MAX - 1
        );
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        let mut bytes = Vec::new();
        let refusal = Refusal {
            expected: 41,
            ..Refusal::new(ErrorCode::SequenceGap)
        };
        write(
            &Answer::Refused(refusal),
            (1, Chunks::ONE),
            None,
            &greeting(),
            no_clock,
            &mut bytes,
        );
        let frame = parse(&bytes);
        let message = ErrorMessage::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((message.code.get(), message.expected.get()), (204, 41));
        assert!(error_text(frame.tail).ends_with("sequence 41 comes next"));
        bytes.clear();
        write(
            &Answer::Refused(Refusal::new(ErrorCode::NotLeader)),
            (1, Chunks::ONE),
            None,
            &greeting(),
            no_clock,
            &mut bytes,
        );
        assert_eq!(error_text(parse(&bytes).tail), "no leader is known");
    }
}
