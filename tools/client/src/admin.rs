//! What operators ask: who belongs to the group, and that another node leads.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quorate_wire::admin::{AdminAsk, AdminMember, AdminReply, Change};
use quorate_wire::{
    Address, ErrorCode, Frame, FrameError, FrameKind, LogIndex, MemberRole, NodeId, Term,
};
use zerocopy::FromBytes;

use crate::conversation::{Answer, Conversation, OpenError};
use crate::greeting::node_id;
use crate::{ClientError, LinkCause};

/// How long one node may take to answer before another one is asked.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// How long a leader may take to change the members.
const CHANGE_TIME: Duration = Duration::from_secs(10);

/// How long to wait for what somebody else has to do first.
const WAIT: Duration = Duration::from_millis(200);

/// How long to wait before the nodes are asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// A group, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Who answered.
    pub node: NodeId,
    /// The leader that it knows.
    pub leader: Option<NodeId>,
    /// Its term.
    pub term: Term,
    /// The members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub role: MemberRole,
    /// The node that answered is connected with it, or is it.
    pub up: bool,
    /// Its log has shown to be durable up to here, as far as the node that answered knows.
    pub durable: LogIndex,
    /// Where clients find it, if the node that answered knows.
    pub address: Option<String>,
}

/// Asks who belongs to the group: the leader, since it knows how far the others are, or the first that answers while nobody knows of
/// one.
///
/// # Errors
/// No node answers within `timeout`.
pub fn members(nodes: &[String], timeout: Duration) -> Result<Group, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut group = ask(nodes, AdminAsk::Members, timeout, &mut |_| {})?;
    if group.leader.is_none() {
        // It may have been removed, and know of an older group.
        let answers = nodes.iter();
        let mut answers = answers.flat_map(|node| ask_one(node, AdminAsk::Members, deadline));
        group = answers.find(|it| it.leader.is_some()).unwrap_or(group);
    }
    let leader = group.leader.filter(|&leader| leader != group.node);
    let leader = leader.and_then(|leader| group.members.iter().find(|it| it.node == leader));
    let Some(address) = leader.and_then(|leader| leader.address.clone()) else {
        return Ok(group);
    };
    let leader = ask(&[address], AdminAsk::Members, timeout, &mut |_| {});
    Ok(leader.unwrap_or(group))
}

/// Has the leader hand its lead over, to `to` or to whom it chooses. Returns when another node leads.
///
/// # Errors
/// No leader answers within `timeout`, or it could not hand over.
pub fn transfer(
    nodes: &[String],
    to: Option<NodeId>,
    timeout: Duration,
) -> Result<Group, ClientError> {
    ask(nodes, AdminAsk::Transfer { to }, timeout, &mut |_| {})
}

/// Has the leader change the members, one change after another, and waits where it has to: for another change, or for a learner that
/// is catching up. Returns when the change is committed. To ask for what is done already does no harm.
///
/// # Errors
/// The group cannot have these members, or it is not done within `timeout`.
pub fn change(nodes: &[String], change: Change, timeout: Duration) -> Result<Group, ClientError> {
    change_and_tell(nodes, change, timeout, &mut |_| {})
}

/// The same, and tells `waits` each time that it has to wait for what.
///
/// # Errors
/// The same.
pub fn change_and_tell(
    nodes: &[String],
    change: Change,
    timeout: Duration,
    waits: &mut dyn FnMut(&ClientError),
) -> Result<Group, ClientError> {
    ask(nodes, AdminAsk::Change(change), timeout, waits)
}

/// A node that is to be added, as a change of the members. `None`: the address for clients is too long.
#[must_use]
pub fn addition(node: NodeId, peer: SocketAddr, client: &str) -> Option<Change> {
    Some(Change::Add {
        node,
        peer,
        peer_text: Address::new(&peer.to_string())?,
        client: Address::new(client)?,
    })
}

/// Asks one node after the other, and whom they name, until one does what is asked or the time is up.
fn ask(
    nodes: &[String],
    ask: AdminAsk,
    timeout: Duration,
    tell: &mut dyn FnMut(&ClientError),
) -> Result<Group, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut turn = nodes.iter().cycle();
    let mut hint = None;
    // Why it was not done yet by who could have: more to the point than how the last attempt was cut short.
    let mut waits = None;
    loop {
        let address = hint.take().or_else(|| turn.next().cloned());
        let address = address.unwrap_or_default();
        let last = match ask_one(&address, ask, deadline) {
            Ok(group) => return Ok(group),
            Err(Failed::For(error)) => return Err(error),
            Err(Failed::Later(error)) => {
                if Instant::now() + WAIT >= deadline {
                    return Err(error);
                }
                tell(&error);
                waits = Some(error);
                std::thread::sleep(WAIT);
                continue;
            }
            Err(Failed::Here(cause, leader)) => {
                hint = leader;
                cause
            }
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(waits.unwrap_or_else(|| ClientError::Unreachable {
                nodes: nodes.to_vec(),
                last,
            }));
        }
        if hint.is_none() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Why one node did not do it.
enum Failed {
    /// Another one may, or the same later; perhaps the one at this address.
    Here(LinkCause, Option<String>),
    /// The same may, later.
    Later(ClientError),
    /// Nobody will.
    For(ClientError),
}

impl From<LinkCause> for Failed {
    fn from(cause: LinkCause) -> Self {
        Self::Here(cause, None)
    }
}

fn ask_one(address: &str, ask: AdminAsk, deadline: Instant) -> Result<Group, Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    let most = match ask {
        AdminAsk::Members | AdminAsk::Transfer { .. } => ANSWER_TIME,
        AdminAsk::Change(_) => CHANGE_TIME,
    };
    let until = Instant::now() + left.min(most);
    let opened = Conversation::open(address, left.min(ANSWER_TIME));
    let (mut conversation, welcome) = opened.map_err(|error| match error {
        OpenError::Link(cause) => Failed::Here(cause, None),
        OpenError::Refused(refusal) => Failed::For(refusal.into()),
    })?;
    conversation.ask(FrameKind::Admin, &ask.message(), until)?;
    match conversation.answer(FrameKind::AdminReply, until)? {
        Answer::Frame(frame) => {
            parse(&frame, &welcome.nodes).map_err(|error| Failed::For(ClientError::Protocol(error)))
        }
        Answer::Refused(refusal) => {
            let later = [
                ErrorCode::ChangeInProgress,
                ErrorCode::LearnerBehind,
                ErrorCode::NodeUnreachable,
            ];
            if later.contains(&refusal.code) {
                return Err(Failed::Later(refusal.into()));
            }
            let elsewhere = [
                ErrorCode::NotLeader,
                ErrorCode::LeaderNotReady,
                ErrorCode::LeadershipLost,
                ErrorCode::ShuttingDown,
            ];
            if !elsewhere.contains(&refusal.code) {
                return Err(Failed::For(refusal.into()));
            }
            let named = welcome.nodes.iter();
            let leader = refusal
                .leader
                .and_then(|leader| named.clone().find(|(node, _)| *node == leader.node))
                .map(|(_, address)| address.clone());
            Err(Failed::Here(refusal.into_cause(), leader))
        }
    }
}

fn parse(frame: &Frame<'_>, nodes: &[(NodeId, String)]) -> Result<Group, FrameError> {
    let invalid = |what| FrameError::Invalid { what };
    let reply =
        AdminReply::ref_from_bytes(frame.message).map_err(|_| invalid("the answer is cut"))?;
    let address = |node| {
        let known = nodes.iter().find(|(known, _)| *known == node);
        known.map(|(_, address)| address.clone())
    };
    let members = AdminMember::parse_all(frame.tail, reply.member_count)?.iter();
    let members = members.map(|member| {
        let node = node_id(member.node.get()).ok_or(invalid("a member has no id"))?;
        Ok(Member {
            node,
            role: MemberRole::from_byte(member.role).ok_or(invalid("a member has no role"))?,
            up: member.up != 0,
            durable: LogIndex(member.durable.get()),
            address: address(node),
        })
    });
    Ok(Group {
        node: node_id(reply.node.get()).ok_or(invalid("the node has no id"))?,
        leader: node_id(reply.leader.get()),
        term: Term(reply.term.get()),
        members: members.collect::<Result<_, _>>()?,
    })
}
