//! What the cluster keeps under names, asked by blocking calls.
//!
//! Owns: the socket and the clock. Never: decides what to ask of whom; that is the caller's. Called by: programs.

use std::time::Duration;

use quorate_wire::limits::MESSAGE_BYTES_MAX;
use quorate_wire::{Command, ErrorCode, FRAME_HEADER_BYTES, MemberId, Name, Offset};

use crate::caller::{
    Answer, Caller, CallerConfig, CursorPage, GroupStanding, NamedCursor, Question,
};
use crate::member::{MemberConfig, start};
use crate::socket::PollSocket;
use crate::transport::Transport;
use crate::{ClientError, ConsumerOptions, LinkCause};

/// The longest sleep; a bound for a wait that has no other.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The named cursors and the consumer groups of a cluster.
#[derive(Debug)]
pub struct Names {
    caller: Caller,
    transport: Transport<PollSocket>,
}

impl Names {
    /// Connects with the first call. What is asked for has all that was acknowledged before. Of the options, those count that say which nodes there are, and how long to wait.
    ///
    /// # Errors
    /// There is no node, or no chance to be had from the operating system.
    pub fn new(options: &ConsumerOptions) -> Result<Self, ClientError> {
        Ok(Self {
            caller: Caller::new(config(options)?),
            transport: Transport::new(FRAME_HEADER_BYTES + MESSAGE_BYTES_MAX),
        })
    }

    /// The same, but any node tells what it knows, also while nobody leads: it may lag behind.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn stale(options: &ConsumerOptions) -> Result<Self, ClientError> {
        let config = CallerConfig {
            linearizable: false,
            ..config(options)?
        };
        Ok(Self {
            caller: Caller::new(config),
            ..Self::new(options)?
        })
    }

    /// The cursor of a name, if there is one.
    ///
    /// # Errors
    /// No node answers within `patience`, or one refuses.
    pub fn cursor(&mut self, name: Name) -> Result<Option<NamedCursor>, ClientError> {
        match self.ask(Question::Cursor(name)) {
            Ok(Answer::Cursors(page)) => Ok(page.cursors.first().copied()),
            Ok(_) => unreachable!("an answer is of the question's kind"),
            Err(error) if error.code() == Some(ErrorCode::NameUnknown) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The cursors behind a name, or from the first on: a page of them.
    ///
    /// # Errors
    /// As for [`Self::cursor`].
    pub fn cursors_after(&mut self, name: Option<Name>) -> Result<CursorPage, ClientError> {
        match self.ask(Question::CursorsAfter(name))? {
            Answer::Cursors(page) => Ok(page),
            Answer::Applied(_) | Answer::Placed(_) | Answer::Standing(_) | Answer::Group(_) => {
                unreachable!("an answer is of the question's kind")
            }
        }
    }

    /// Puts a cursor to an offset; makes it, if there is none of this name. Without `reset` it only moves on.
    ///
    /// # Errors
    /// As for [`Self::cursor`]; the offset is past the end or before the start, or the cursor is further on.
    pub fn set_cursor(
        &mut self,
        name: Name,
        offset: Offset,
        reset: bool,
    ) -> Result<(), ClientError> {
        self.apply(Command::SetCursor {
            name,
            offset,
            reset,
        })
        .map(|_| ())
    }

    /// Forgets a cursor. Says whether there was one.
    ///
    /// # Errors
    /// As for [`Self::cursor`].
    pub fn delete_cursor(&mut self, name: Name) -> Result<bool, ClientError> {
        Ok(self.apply(Command::DeleteCursor { name })? != 0)
    }

    /// The consumer group of a name, if there is one.
    ///
    /// # Errors
    /// As for [`Self::cursor`].
    pub fn consumer_group(&mut self, name: Name) -> Result<Option<GroupStanding>, ClientError> {
        match self.ask(Question::Group(name)) {
            Err(error) if error.code() == Some(ErrorCode::NameUnknown) => Ok(None),
            end => end.map(group),
        }
    }

    /// The first consumer group behind a name, or the first one, if there is one.
    ///
    /// # Errors
    /// As for [`Self::cursor`].
    pub fn consumer_group_after(
        &mut self,
        name: Option<Name>,
    ) -> Result<Option<GroupStanding>, ClientError> {
        self.ask(Question::GroupAfter(name)).map(group)
    }

    /// Forgets a consumer group, which must have no members. Says whether there was one.
    ///
    /// # Errors
    /// As for [`Self::cursor`]; it has members, or nodes of the group are of an earlier build.
    #[cfg(feature = "edition-2")]
    pub fn delete_consumer_group(&mut self, name: Name) -> Result<bool, ClientError> {
        Ok(self.apply(Command::DeleteGroup { name })? != 0)
    }

    fn apply(&mut self, command: Command) -> Result<u64, ClientError> {
        match self.ask(Question::Command(command))? {
            Answer::Applied(value) => Ok(value),
            Answer::Cursors(_) | Answer::Placed(_) | Answer::Standing(_) | Answer::Group(_) => {
                unreachable!("an answer is of the question's kind")
            }
        }
    }

    fn ask(&mut self, question: Question) -> Result<Answer, ClientError> {
        ask(&mut self.caller, &mut self.transport, question)
    }
}

/// Asks, and waits for the answer.
pub(crate) fn ask(
    caller: &mut Caller,
    transport: &mut Transport<PollSocket>,
    question: Question,
) -> Result<Answer, ClientError> {
    caller.ask(question, transport.now());
    loop {
        if let Some(end) = caller.take() {
            return end;
        }
        transport.turn(caller, SLEEP_MAX).map_err(waiting)?;
    }
}

fn group(answer: Answer) -> Option<GroupStanding> {
    match answer {
        Answer::Group(group) => group,
        Answer::Applied(_) | Answer::Placed(_) | Answer::Cursors(_) | Answer::Standing(_) => {
            unreachable!("an answer is of the question's kind")
        }
    }
}

/// The operating system does not let the program wait.
pub(crate) fn waiting(error: std::io::Error) -> ClientError {
    ClientError::Io {
        doing: "waiting for the node",
        error,
    }
}

/// A number drawn at random.
pub(crate) fn chance() -> Result<u64, ClientError> {
    getrandom::u64().map_err(|error| ClientError::Io {
        doing: "drawing a random number",
        error: error.into(),
    })
}

pub(crate) fn config(options: &ConsumerOptions) -> Result<CallerConfig, ClientError> {
    if options.nodes.is_empty() {
        return Err(ClientError::Unreachable {
            nodes: Vec::new(),
            last: LinkCause::Unresolved,
        });
    }
    Ok(CallerConfig {
        nodes: options.nodes.clone(),
        cluster: options.cluster,
        connect_timeout: options.connect_timeout,
        request_timeout: options.request_timeout,
        patience: options.patience,
        linearizable: true,
        seed: chance()?,
    })
}

/// What a member of a consumer group is told, with a name drawn at random.
pub(crate) fn member_config(
    group: Name,
    session: Duration,
    options: &ConsumerOptions,
) -> Result<MemberConfig, ClientError> {
    Ok(MemberConfig {
        group,
        member: MemberId(chance()?),
        session,
        start: start(options.from),
        caller: config(options)?,
    })
}
