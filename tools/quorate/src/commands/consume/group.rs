//! `quorate consume --group`: a member of a consumer group, which commits as it goes.
//!
//! What it gains and commits is logged at level info, so that somebody else can tell which of the printed events count.

use std::io;
use std::time::Duration;

use quorate_client::{
    ClientError, Committed, ConsumerOptions, ErrorCode, GroupConsumer, Name, Polled, ReadFrom,
    Regrouped, Reset,
};

use super::{Args, Begin, Stop, WAIT};
use crate::commands::nodes::name;
use crate::interrupt::Interrupt;
use crate::table::thousands;
use crate::{Failure, terminal};

/// Whether to share the events with others.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct GroupArgs {
    /// Share the events with the other members of this consumer group, and commit what was printed. --from says where a consumer
    /// group that is new begins.
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with_all = ["node", "from_time"])]
    pub(super) group: Option<Name>,
    /// Of a consumer group: the member's slots go to others when it is not heard of for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", requires = "group", value_parser = clap::value_parser!(u64).range(1..=600))]
    member_timeout: u64,
    /// Of a consumer group: if the log does not have any more what is to be read next, go on with the first event that is left, or at
    /// the end. Without this, it is an error.
    #[arg(long, value_enum, requires = "group")]
    reset: Option<ResetTo>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ResetTo {
    Earliest,
    Latest,
}

impl GroupArgs {
    /// Prints the member's share, and commits what is printed. It leaves at the end.
    pub(super) fn print(
        &self,
        group: Name,
        args: &Args,
        out: &mut impl io::Write,
        interrupt: &Interrupt,
    ) -> Result<(), Stop> {
        let mut options = ConsumerOptions::new(&args.nodes.nodes);
        options.patience = Duration::from_secs(args.patience);
        options.from = match args.from {
            Begin::Start => ReadFrom::Start,
            Begin::End => ReadFrom::Tail,
            Begin::At(offset) => ReadFrom::Offset(offset),
        };
        options.filter = args.wanted.filter().map_err(Stop::Failed)?;
        let session = Duration::from_secs(self.member_timeout);
        let reset = match self.reset {
            None => Reset::Refuse,
            Some(ResetTo::Earliest) => Reset::Earliest,
            Some(ResetTo::Latest) => Reset::Latest,
        };
        let mut member = GroupConsumer::join(group, session, options)?.with_reset(reset);
        let end = read(&mut member, args, out, interrupt);
        // Where nobody answers, nobody would hear that it leaves.
        let unheard = matches!(&end, Err(Stop::Unread(error)) if error.code().is_none());
        if !unheard {
            member.leave()?;
        }
        end
    }
}

/// Prints the member's share, and commits what is printed.
fn read(
    member: &mut GroupConsumer,
    args: &Args,
    out: &mut impl io::Write,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    let mut left = args.count;
    while !interrupt.is_asked() && left != Some(0) {
        let polled = member.poll(WAIT)?;
        if let Some(skipped) = &polled.skipped {
            terminal::say(&format!(
                "events from offset {} on are gone: goes on at {}",
                thousands(skipped.start.0),
                thousands(skipped.end.0)
            ));
        }
        if let Some(news) = &polled.regrouped {
            tell(news, &polled);
        }
        for (offset, event) in polled.events() {
            if left == Some(0) {
                break;
            }
            args.format.write(offset, &event, out)?;
            left = left.map(|left| left - 1);
        }
        out.flush()?;
        // Where the count ended it, the last batch was not printed whole: it is not committed, and comes again.
        let is_whole = left != Some(0);
        let is_worth_it = polled.events().next().is_some() || polled.is_at_end();
        if is_whole && is_worth_it && member.member().share().begin() > member.member().done() {
            commit(member)?;
        }
        if !args.follow && polled.is_at_end() {
            break;
        }
    }
    Ok(())
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Unread(error)
    }
}

/// Says why nothing more was read.
pub(super) fn explain(error: ClientError) -> Failure {
    let is_gone = error.code() == Some(ErrorCode::OffsetBeforeStart);
    let failure = Failure::from(error);
    if is_gone {
        failure.cure(
            "`--from start` begins with the first event that is left; a consumer group goes on there with `--reset earliest`, at the end with `--reset latest`",
        )
    } else {
        failure
    }
}

fn tell(news: &Regrouped, polled: &Polled) {
    if !news.lost.is_empty() {
        terminal::say(&format!("slots {} may be somebody else's now", news.lost));
    }
    for slot in news.gained.iter() {
        if let Some(begin) = polled.begin(slot) {
            tracing::info!(
                generation = news.generation.0,
                slot = slot.number(),
                from = begin.0,
                "gained"
            );
        }
    }
}

/// Commits, and says up to where.
fn commit(member: &mut GroupConsumer) -> Result<(), Stop> {
    match member.commit()? {
        Committed::Done(commit) => tracing::info!(
            generation = commit.generation.0,
            slots = commit.slots.0,
            below = commit.offset.0,
            "committed"
        ),
        Committed::Fenced => {
            terminal::say("what was printed last is not committed: the members have changed");
        }
    }
    Ok(())
}
