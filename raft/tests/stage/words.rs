//! How transcripts write what the cores say, and how commands are read.

use std::fmt::Write as _;
use std::str::FromStr;

use quorate_raft::{Append, AppendReply, Message, Outcome, Run};
use quorate_wire::{LogIndex, Position, SessionId, Term};

use crate::node::Node;

/// A command.
#[derive(Debug)]
pub(crate) struct Words<'a>(Vec<&'a str>);

pub(crate) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        Self(line.split_whitespace().collect())
    }

    pub(crate) fn at(&self, at: usize) -> Result<&'a str, String> {
        self.0
            .get(at)
            .copied()
            .ok_or_else(|| "a word is missing".to_owned())
    }

    pub(crate) fn id(&self, at: usize) -> Result<u32, String> {
        number(self.at(at)?)
    }

    pub(crate) fn link(&self, at: usize) -> Result<(u32, u32), String> {
        let (from, to) = self
            .at(at)?
            .split_once("->")
            .ok_or("a link is written 1->2")?;
        Ok((number(from)?, number(to)?))
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        let found = self
            .0
            .iter()
            .find_map(|word| word.split_once('=').filter(|pair| pair.0 == key));
        found.map(|pair| pair.1)
    }

    pub(crate) fn value<T: FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        self.text(key).map(number).transpose()
    }

    pub(crate) fn list(&self, key: &str) -> Result<Vec<u64>, String> {
        self.text(key)
            .map_or(Ok(Vec::new()), |text| text.split(',').map(number).collect())
    }

    pub(crate) fn need<T: FromStr>(&self, key: &str) -> Result<T, String> {
        self.value(key)?.ok_or_else(|| format!("{key} is missing"))
    }

    fn position(&self, key: &str) -> Result<Position, String> {
        let text = self.text(key).ok_or_else(|| format!("{key} is missing"))?;
        let (index, term) = text
            .split_once('/')
            .ok_or("a position is written index/term")?;
        Ok(Position {
            term: Term(number(term)?),
            index: LogIndex(number(index)?),
        })
    }

    /// The message of an `inject 1->2 ...`, written as `show_message` writes it.
    pub(crate) fn message(&self) -> Result<Message, String> {
        let term = Term(self.need("term")?);
        let granted = self.0.contains(&"granted");
        Ok(match self.at(2)? {
            "PreVote" => Message::PreVote {
                term,
                last: self.position("last")?,
            },
            "PreVoteReply" => Message::PreVoteReply { term, granted },
            "TimeoutNow" => Message::TimeoutNow { term },
            "Vote" => Message::Vote {
                term,
                last: self.position("last")?,
                handed: self.0.contains(&"handed"),
            },
            "VoteReply" => Message::VoteReply { term, granted },
            "Append" => Message::Append(Append {
                term,
                session: SessionId(self.need("session")?),
                round: self.need("round")?,
                previous: self.position("previous")?,
                entries: self.run()?,
                commit: LogIndex(self.need("commit")?),
            }),
            "AppendReply" => Message::AppendReply(AppendReply {
                term,
                session: SessionId(self.need("session")?),
                round: self.need("round")?,
                outcome: match self.value("durable")? {
                    Some(durable) => Outcome::Durable(LogIndex(durable)),
                    None => Outcome::Conflict {
                        refused: LogIndex(self.need("refused")?),
                        hint: self.position("hint")?,
                    },
                },
            }),
            unknown => return Err(format!("no such message as {unknown}")),
        })
    }

    fn run(&self) -> Result<Run, String> {
        let Some(text) = self.text("records") else {
            return Ok(Run::default());
        };
        let (count, term) = text
            .split_once('x')
            .ok_or("records are written COUNTxTERM")?;
        Ok(Run {
            term: Term(number(term)?),
            count: number(count)?,
        })
    }
}

/// One line, `from->to` first.
pub(crate) fn show_message(shown: &mut String, from: u32, to: u32, message: &Message) {
    let answer = |granted: bool| if granted { "granted" } else { "refused" };
    let text = match message {
        Message::PreVote { term, last } => format!("PreVote term={term} last={last}"),
        Message::PreVoteReply { term, granted } => {
            format!("PreVoteReply term={term} {}", answer(*granted))
        }
        Message::Vote { term, last, handed } => {
            let handed = if *handed { " handed" } else { "" };
            format!("Vote term={term} last={last}{handed}")
        }
        Message::TimeoutNow { term } => format!("TimeoutNow term={term}"),
        Message::VoteReply { term, granted } => {
            format!("VoteReply term={term} {}", answer(*granted))
        }
        Message::Append(Append {
            term,
            session,
            round,
            previous,
            entries,
            commit,
        }) => {
            let records = if entries.count == 0 {
                String::new()
            } else {
                format!(" records={}x{}", entries.count, entries.term)
            };
            format!(
                "Append term={term} session={session} round={round} previous={previous}{records} commit={commit}"
            )
        }
        Message::AppendReply(AppendReply {
            term,
            session,
            round,
            outcome,
        }) => {
            let outcome = match outcome {
                Outcome::Durable(durable) => format!("durable={durable}"),
                Outcome::Conflict { refused, hint } => format!("refused={refused} hint={hint}"),
            };
            format!("AppendReply term={term} session={session} round={round} {outcome}")
        }
    };
    writeln!(shown, "{from}->{to} {text}").expect("a string takes it");
}

/// What a step asked for, one line each. Wants are shown only where they wait.
pub(crate) fn show(shown: &mut String, node: &Node, slow: bool) {
    let (id, output) = (node.id(), &node.output);
    let mut line = |text: String| writeln!(shown, "{id}: {text}").expect("a string takes it");
    for note in &output.notes {
        line(format!("note {}", plain(&format!("{note:?}"))));
    }
    if let Some(hard) = output.hard_state {
        let vote = hard
            .vote
            .map_or("nobody".to_owned(), |vote| vote.to_string());
        let unsure = if hard.unsure { " unsure" } else { "" };
        line(format!("write term={} vote={vote}{unsure}", hard.term));
    }
    if let Some(kept) = output.append {
        let void = if kept.truncates {
            ", void what was there and after"
        } else {
            ""
        };
        line(format!("keep {}..={}{void}", kept.first, kept.last));
    }
    if let Some(noop) = output.noop {
        line(format!("no-op at {noop}"));
    }
    for want in output.want.iter().filter(|_| slow) {
        line(format!(
            "want {}..={} for {}, at most {} bytes",
            want.first, want.last, want.peer, want.bytes_max
        ));
    }
    if let Some(commit) = output.commit {
        line(format!("commit {commit}"));
    }
    for read in &output.reads {
        line(match read.at {
            Some(at) => format!("read {} at {at}", read.id),
            None => format!("read {} refused", read.id),
        });
    }
    for envelope in &output.send {
        show_message(shown, id.0, envelope.to.0, &envelope.message);
    }
}

/// A debug text without the names of the types that count.
fn plain(debug: &str) -> String {
    let mut plain = debug.to_owned();
    for name in ["Term(", "NodeId(", "LogIndex(", "SessionId("] {
        while let Some(at) = plain.find(name) {
            let close = at + plain[at..].find(')').expect("a name closes");
            plain.remove(close);
            plain.replace_range(at..at + name.len(), "");
        }
    }
    plain
}
