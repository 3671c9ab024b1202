//! Caller and member by script: no sockets, no clock; every byte and every moment is written here.

mod support;

use std::time::Duration;

use quorate_client::caller::{Answer, Caller, CallerConfig, Question};
use quorate_client::endpoint::{Endpoint, LinkNumber};
use quorate_client::member::{Committed, Member, MemberConfig};
use quorate_client::{ErrorCode, Generation, MemberId, Name, Offset, Slots, Time};
use quorate_wire::named::{CommandReply, HeartbeatReply};
use quorate_wire::{Command, Frame, FrameKind};
use support::frames::{self, Refuse};
use zerocopy::{FromZeros, IntoBytes};

const MS: u64 = 1_000_000;

fn name() -> Name {
    Name::new("readers").expect("it is a name")
}

fn config() -> CallerConfig {
    CallerConfig {
        nodes: (1..=3).map(frames::address).collect(),
        cluster: None,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(2),
        patience: Duration::from_secs(10),
        linearizable: true,
        seed: 1,
    }
}

/// An endpoint and the test's side of its connection.
struct Script<E> {
    end: E,
    now: Time,
}

/// A request as the node sees it.
struct Asked {
    correlation: u64,
    kind: FrameKind,
    command: Option<Command>,
}

impl<E: Endpoint> Script<E> {
    fn link(&self) -> LinkNumber {
        self.end.wish().expect("a connection is wished").number
    }

    fn wished_node(&self) -> Option<usize> {
        let wish = self.end.wish()?;
        (1..=9).find(|&node| frames::address(node) == wish.address)
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.after(ms * MS);
        self.end.tick(self.now);
    }

    /// What has been written since the last time, and not the greeting.
    fn asked(&mut self) -> Option<Asked> {
        let bytes = self.end.output(self.now).to_vec();
        self.end.wrote(bytes.len());
        let frame = Frame::parse(&bytes).expect("it is sound")?;
        assert_eq!(frame.bytes(), bytes.len(), "one request at a time");
        let command = (frame.header.kind == FrameKind::Command)
            .then(|| Command::parse(frame.tail).expect("it is sound").0);
        Some(Asked {
            correlation: frame.header.correlation,
            kind: frame.header.kind,
            command,
        })
    }

    fn greet(&mut self, node: u32, leader: u32) {
        let link = self.link();
        self.end.connected(link, self.now);
        let hello = self.asked().expect("it greets");
        assert_eq!(hello.kind, FrameKind::Hello);
        let reply = frames::welcome(hello.correlation, node, leader, 3);
        self.hear(&reply);
    }

    fn hear(&mut self, bytes: &[u8]) {
        let link = self.link();
        assert_eq!(self.end.received(link, bytes, self.now), bytes.len());
    }

    fn applied(&mut self, asked: &Asked, value: u64) {
        let reply = CommandReply {
            value: value.into(),
            term: 1.into(),
        };
        let kind = FrameKind::CommandReply;
        self.hear(&frames::frame(
            kind,
            asked.correlation,
            reply.as_bytes(),
            &[],
        ));
    }

    fn refused(&mut self, asked: &Asked, code: ErrorCode, leader: u32) {
        let refuse = Refuse::code(code).leader(leader);
        self.hear(&frames::refused(asked.correlation, &refuse));
    }

    fn stands(&mut self, asked: &Asked, generation: u64, slots: Slots, done: u64) {
        assert_eq!(asked.kind, FrameKind::Heartbeat);
        let mut reply = HeartbeatReply::new_zeroed();
        reply.generation.set(generation);
        reply.slots.set(slots.0);
        reply.offsets = [done.into(); 64];
        let kind = FrameKind::HeartbeatReply;
        self.hear(&frames::frame(
            kind,
            asked.correlation,
            reply.as_bytes(),
            &[],
        ));
    }
}

fn caller() -> Script<Caller> {
    Script {
        end: Caller::new(config()),
        now: Time(0),
    }
}

#[test]
fn a_command_finds_the_leader_and_is_asked_again_there() {
    let mut script = caller();
    assert_eq!(script.wished_node(), None, "nobody has asked for anything");
    let delete = Command::DeleteCursor { name: name() };
    script.end.ask(Question::Command(delete), script.now);
    script.greet(1, 0);
    let asked = script.asked().expect("it asks");
    assert_eq!(asked.command, Some(delete));
    script.refused(&asked, ErrorCode::NotLeader, 2);
    assert_eq!(script.wished_node(), Some(2));
    script.greet(2, 2);
    let asked = script.asked().expect("it asks again");
    assert_eq!(asked.command, Some(delete));
    script.refused(&asked, ErrorCode::Overloaded, 0);
    assert!(script.asked().is_none(), "it rests first");
    script.pass(300);
    let asked = script.asked().expect("it asks again");
    script.applied(&asked, 1);
    let end = script
        .end
        .take()
        .map(|end| end.map_err(|error| error.to_string()));
    assert_eq!(end, Some(Ok(Answer::Applied(1))));
    assert!(!script.end.is_open());
}

#[test]
fn a_question_ends_with_a_refusal_for_good_or_with_patience() {
    let mut script = caller();
    script.end.ask(Question::Cursor(name()), script.now);
    script.greet(3, 1);
    let asked = script.asked().expect("any node will do");
    script.refused(&asked, ErrorCode::NameUnknown, 0);
    let end = script.end.take().expect("it has ended");
    assert_eq!(
        end.expect_err("refused").code(),
        Some(ErrorCode::NameUnknown)
    );
    script.end.ask(Question::Cursor(name()), script.now);
    assert!(script.asked().is_some());
    for _ in 0..12 {
        script.pass(1000);
    }
    let end = script.end.take().expect("patience is over");
    assert!(end.is_err());
    assert_eq!(script.end.deadline(), None, "nothing is open");
}

fn member() -> (Script<Member>, Asked) {
    let config = MemberConfig {
        group: name(),
        member: MemberId(7),
        session: Duration::from_secs(3),
        start: Offset(0),
        caller: config(),
    };
    let mut script = Script {
        end: Member::new(config, Time(0)),
        now: Time(0),
    };
    script.greet(1, 1);
    let join = script.asked().expect("it joins");
    (script, join)
}

/// A member that has joined, and is told that these are its slots.
fn joined(generation: u64, slots: Slots, done: u64) -> Script<Member> {
    let (mut script, join) = member();
    script.applied(&join, generation);
    let heartbeat = script.asked().expect("it asks for its slots");
    script.stands(&heartbeat, generation, slots, done);
    let news = script.end.take_news().expect("it has slots");
    assert_eq!(
        (news.generation, news.slots),
        (Generation(generation), slots)
    );
    script
}

#[test]
fn a_member_joins_and_says_thrice_a_session_that_it_is_there() {
    let mut script = joined(1, Slots::ALL, 5);
    assert_eq!(script.end.share().begin(), Some(Offset(5)));
    assert!(script.asked().is_none());
    script.pass(999);
    assert!(script.asked().is_none());
    script.pass(1);
    let heartbeat = script.asked().expect("a third of its session is over");
    script.stands(&heartbeat, 1, Slots::ALL, 5);
    assert_eq!(script.end.take_news(), None, "nothing has changed");
}

#[test]
fn a_commit_covers_what_is_given_out_in_all_slots() {
    let mut script = joined(1, Slots(3), 5);
    script.end.share_mut().advance(Offset(20));
    script.end.commit(script.now);
    let commit = script.asked().expect("it commits");
    let (generation, slots, offset) = (Generation(1), Slots(3), Offset(20));
    let (name, member) = (name(), MemberId(7));
    let expected = Command::Commit {
        name,
        member,
        generation,
        slots,
        offset,
    };
    assert_eq!(commit.command, Some(expected));
    script.applied(&commit, 1);
    let end = script.end.take_committed().expect("it has ended");
    assert!(matches!(end, Ok(Committed::Done(done)) if done.offset == Offset(20)));
}

#[test]
fn a_fenced_commit_asks_what_is_still_its_own() {
    let mut script = joined(1, Slots(7), 5);
    script.end.share_mut().advance(Offset(20));
    script.end.commit(script.now);
    let commit = script.asked().expect("it commits");
    script.refused(&commit, ErrorCode::GenerationFenced, 0);
    let end = script.end.take_committed().expect("it has ended");
    assert!(matches!(end, Ok(Committed::Fenced)));
    let heartbeat = script.asked().expect("it asks at once");
    script.stands(&heartbeat, 2, Slots(0b1011), 8);
    let news = script.end.take_news().expect("its slots have changed");
    assert_eq!((news.gained, news.lost), (Slots(0b1000), Slots(0b0100)));
    assert_eq!(
        script.end.share().begin(),
        Some(Offset(8)),
        "of the one that came"
    );
    script.end.commit(script.now);
    let commit = script.asked().expect("it commits");
    assert!(matches!(
        commit.command,
        Some(Command::Commit {
            offset: Offset(8),
            slots: Slots(0b1011),
            ..
        })
    ));
}

#[test]
fn a_commit_of_what_was_given_out_before_the_members_changed_is_fenced() {
    let mut script = joined(1, Slots(7), 5);
    script.end.share_mut().advance(Offset(20));
    script.pass(1000);
    let heartbeat = script.asked().expect("it is time");
    script.end.commit(script.now);
    script.stands(&heartbeat, 2, Slots(0b011), 8);
    let end = script.end.take_committed().expect("it has ended");
    assert!(matches!(end, Ok(Committed::Fenced)), "{end:?}");
    assert!(script.asked().is_none(), "nothing is committed");
    // Nor before it has heard.
    script.end.commit(script.now);
    let end = script.end.take_committed().expect("it has ended");
    assert!(matches!(end, Ok(Committed::Fenced)), "{end:?}");
    let news = script.end.take_news().expect("its slots have changed");
    assert_eq!(news.lost, Slots(0b100));
    script.end.commit(script.now);
    let commit = script.asked().expect("it commits");
    assert!(matches!(
        commit.command,
        Some(Command::Commit {
            generation: Generation(2),
            slots: Slots(0b011),
            offset: Offset(20),
            ..
        })
    ));
}

#[test]
fn what_may_have_been_anothers_meanwhile_goes_on_where_it_was_committed() {
    let mut script = joined(1, Slots(3), 5);
    script.end.share_mut().advance(Offset(20));
    script.pass(1000);
    let heartbeat = script.asked().expect("it is time");
    script.stands(&heartbeat, 3, Slots(3), 9);
    let news = script.end.take_news().expect("a generation was missed");
    assert_eq!((news.gained, news.lost), (Slots(3), Slots(3)));
    assert_eq!(script.end.share().begin(), Some(Offset(9)));
    // A leader of old that does not know better is not believed.
    script.pass(1000);
    let heartbeat = script.asked().expect("it is time");
    script.stands(&heartbeat, 2, Slots::ALL, 0);
    assert_eq!(script.end.take_news(), None);
    assert_eq!(script.end.share().slots(), Slots(3));
}

#[test]
fn who_was_taken_for_dead_joins_anew() {
    let mut script = joined(1, Slots::ALL, 5);
    script.pass(4000);
    let heartbeat = script.asked().expect("it is late");
    script.refused(&heartbeat, ErrorCode::MemberUnknown, 0);
    let news = script.end.take_news().expect("it has nothing more");
    assert_eq!((news.slots, news.lost), (Slots::NONE, Slots::ALL));
    let join = script.asked().expect("it comes back");
    assert!(matches!(join.command, Some(Command::Join { .. })));
    script.end.leave(script.now);
    script.applied(&join, 3);
    let leave = script.asked().expect("and goes");
    assert!(matches!(leave.command, Some(Command::Leave { .. })));
    script.applied(&leave, 4);
    assert!(script.end.is_gone());
}
