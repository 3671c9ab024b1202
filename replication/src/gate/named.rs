//! Commands and questions about what has a name: their checks, and the layout of their answers.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use quorate_wire::named::{self as wire, CommandReply, CursorsReply, Heartbeat};
use quorate_wire::{Command, ErrorCode, Frame, FrameError, FrameKind, MemberId, Name};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::answer::frame as write_frame;
use super::request::No;
use crate::lane::{List, Listed, NamedAnswer, NamedAsk};

/// The command of a frame, which is alone in it. The outer error ends the connection, the inner one the request.
pub(super) fn command(frame: &Frame<'_>) -> Result<Result<NamedAsk, No>, No> {
    let (command, after) = match Command::parse(frame.tail) {
        Ok(parsed) => parsed,
        Err(error) => return refused(No::new(error.code(), error.to_string())),
    };
    if !after.is_empty() {
        let text = format!("{} bytes follow the command", after.len());
        return refused(No::new(ErrorCode::MessageInvalid, text));
    }
    match command {
        Command::Expire { .. } | Command::Raise { .. } => {
            let text = "a leader says so by itself, not a client";
            refused(No::new(ErrorCode::MessageInvalid, text))
        }
        Command::SetCursor { .. }
        | Command::DeleteCursor { .. }
        | Command::Join { .. }
        | Command::Leave { .. }
        | Command::Commit { .. } => Ok(Ok(NamedAsk::Command(command))),
        #[cfg(feature = "edition-2")]
        Command::DeleteGroup { .. } => Ok(Ok(NamedAsk::Command(command))),
    }
}

/// A member's heartbeat.
pub(super) fn heartbeat(frame: &Frame<'_>) -> Result<Result<NamedAsk, No>, No> {
    let said =
        Heartbeat::read_from_bytes(frame.message).expect("the kind says how long its message is");
    Ok(Name::from_bytes(said.name)
        .map(|name| NamedAsk::Heartbeat(name, MemberId(said.member.get())))
        .ok_or_else(invalid_name))
}

/// A question for cursors or consumer groups, which `ask` makes.
pub(super) fn listed(
    frame: &Frame<'_>,
    ask: fn(List) -> NamedAsk,
) -> Result<Result<NamedAsk, No>, No> {
    let asked = wire::Listed::read_from_bytes(frame.message)
        .expect("the kind says how long its message is");
    let name = Name::from_bytes(asked.name);
    let linearizable = match asked.consistency {
        0 => false,
        wire::Listed::LINEARIZABLE => true,
        _ => {
            let what = "a list is any or linearizable";
            return Err(No::from(FrameError::Invalid { what }));
        }
    };
    let names = match (asked.exact, name) {
        (1, Some(name)) => Listed::One(name),
        (0, Some(_)) => Listed::After(name),
        (0, None) if asked.name.iter().all(|&byte| byte == 0) => Listed::After(None),
        (0 | 1, None) => return refused(invalid_name()),
        _ => {
            let what = "`exact` is 0 or 1";
            return Err(No::from(FrameError::Invalid { what }));
        }
    };
    Ok(Ok(ask(List {
        names,
        linearizable,
    })))
}

fn invalid_name() -> No {
    let error = quorate_wire::CommandError::Name;
    No::new(error.code(), error.to_string())
}

/// A no that ends what its code says.
fn refused<T>(no: No) -> Result<Result<T, No>, No> {
    if no.code.ends_connection() {
        Err(no)
    } else {
        Ok(Err(no))
    }
}

/// Writes an answer to the end of `to`.
pub(super) fn write(answer: &NamedAnswer, correlation: u64, to: &mut Vec<u8>) {
    match answer {
        NamedAnswer::Applied { value, term } => {
            let reply = CommandReply {
                value: U64::new(*value),
                term: U64::new(term.0),
            };
            let parts = [reply.as_bytes()];
            write_frame(FrameKind::CommandReply, correlation, &parts, &[], to);
        }
        NamedAnswer::Cursors {
            committed,
            entries,
            more,
        } => {
            let reply = CursorsReply {
                committed: U64::new(committed.0),
                count: U32::new(u32::try_from(entries.len()).expect("a page is short")),
                more: u8::from(*more),
                reserved: [0; 3],
            };
            let parts = [reply.as_bytes(), entries.as_bytes()];
            write_frame(FrameKind::CursorsReply, correlation, &parts, &[], to);
        }
        NamedAnswer::Heartbeat(reply) => {
            let parts = [reply.as_bytes()];
            write_frame(FrameKind::HeartbeatReply, correlation, &parts, &[], to);
        }
        NamedAnswer::Group { group, members } => {
            let parts = [group.as_bytes(), members.as_bytes()];
            write_frame(FrameKind::GroupsReply, correlation, &parts, &[], to);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use quorate_wire::named::CursorEntry;
    use quorate_wire::{ClusterName, FrameHeader, GroupId, Offset, Term};

    use super::*;
    use crate::gate::{Asked, Gate};

    fn gate() -> Gate {
        Gate {
            cluster: ClusterName::new("flights").expect("a name"),
            fetch_wait_ms: 1000,
        }
    }

    /// What the gate says to a frame: the request, or the code of its refusal and whether the connection goes on.
    fn asked(kind: FrameKind, message: &[u8], tail: &[u8]) -> Result<Asked, (ErrorCode, bool)> {
        let parts = [message, tail];
        let head = FrameHeader::seal(kind, 5, GroupId(0), &parts, 0);
        let bytes = [&head[..], message, tail].concat();
        let mut frames = Vec::new();
        let (_, end) = gate().open(&bytes, true, &mut frames);
        match frames.pop() {
            Some(frame) => frame.asked.map_err(|no| (no.code, end.is_ok())),
            None => Err((end.expect_err("it said something").code, false)),
        }
    }

    #[test]
    fn a_command_is_alone_in_its_frame() {
        let name = Name::new("a").expect("a name");
        let delete = Command::DeleteCursor { name };
        let bytes = delete.encode();
        let passed = Ok(Asked::Named(NamedAsk::Command(delete)));
        assert_eq!(asked(FrameKind::Command, &[], &bytes), passed);
        let ends = Err((ErrorCode::MessageInvalid, false));
        let twice = [&bytes[..], &bytes].concat();
        for bad in [&bytes[1..], &bytes[..70], &twice, &[]] {
            assert_eq!(asked(FrameKind::Command, &[], bad), ends);
        }
        let mut nameless = bytes.to_vec();
        nameless[8] = b' ';
        let goes_on = Err((ErrorCode::NameInvalid, true));
        assert_eq!(asked(FrameKind::Command, &[], &nameless), goes_on);
    }

    #[test]
    fn a_list_goes_on_behind_a_name() {
        let name = Name::new("a").expect("a name");
        let ask_for = |name: [u8; 64], exact, consistency| {
            let asked_for = wire::Listed {
                name,
                exact,
                consistency,
                reserved: [0; 6],
            };
            asked(FrameKind::Cursors, asked_for.as_bytes(), &[])
        };
        let ask = |name, exact| ask_for(name, exact, 0);
        let list = |names, linearizable| {
            let list = List {
                names,
                linearizable,
            };
            Ok(Asked::Named(NamedAsk::Cursors(list)))
        };
        let listed = |names| list(names, false);
        assert_eq!(ask(name.to_bytes(), 1), listed(Listed::One(name)));
        assert_eq!(ask(name.to_bytes(), 0), listed(Listed::After(Some(name))));
        assert_eq!(ask([0; 64], 0), listed(Listed::After(None)));
        assert_eq!(ask([0; 64], 1), Err((ErrorCode::NameInvalid, true)));
        assert_eq!(ask([b' '; 64], 0), Err((ErrorCode::NameInvalid, true)));
        let ends = Err((ErrorCode::MessageInvalid, false));
        assert_eq!(ask(name.to_bytes(), 2), ends);
        assert_eq!(ask_for(name.to_bytes(), 1, 1), ends);
        let fresh = ask_for(name.to_bytes(), 1, wire::Listed::LINEARIZABLE);
        assert_eq!(fresh, list(Listed::One(name), true));
    }

    #[test]
    fn answers_say_what_was_found() {
        let mut bytes = Vec::new();
        let entry = CursorEntry {
            name: Name::new("a").expect("a name").to_bytes(),
            offset: U64::new(7),
            set_at: U64::new(8),
        };
        let answer = NamedAnswer::Cursors {
            committed: Offset(9),
            entries: [entry; CursorEntry::PAGE].to_vec(),
            more: true,
        };
        write(&answer, 3, &mut bytes);
        let frame = Frame::parse(&bytes).expect("sound").expect("whole");
        let reply = CursorsReply::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((reply.committed.get(), reply.more), (9, 1));
        let entries = CursorEntry::parse_all(frame.tail, reply.count.get());
        assert_eq!(entries, Ok(&[entry; CursorEntry::PAGE][..]));
        bytes.clear();
        let term = Term(2);
        write(&NamedAnswer::Applied { value: 6, term }, 4, &mut bytes);
        let frame = Frame::parse(&bytes).expect("sound").expect("whole");
        let reply = CommandReply::read_from_bytes(frame.message).expect("it has its length");
        assert_eq!((reply.value.get(), reply.term.get()), (6, 2));
    }
}
