//! `quorate cursor`: the named cursors that the cluster keeps.

use std::time::Duration;

use quorate_client::{ConsumerOptions, Name, NamedCursor, Names, Offset};
use serde::Serialize;

use super::nodes::{Nodes, name};
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

const EXAMPLES: &str = "\
Examples:
  quorate cursor list
  quorate cursor set billing 1200                it is made, or moves on
  quorate cursor set billing 0 --reset           it moves back
  quorate consume --from \"$(quorate cursor get billing)\"
  quorate cursor delete billing

A cursor that is not set for seven days is forgotten. Set it to the offset after the last event that is done. What is shown
has all that was acknowledged before, but with --stale.";

/// What to do with which cursor.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    nodes: Nodes,
    /// Give up when no node answers for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
    /// Take what the first node that answers knows, also while nobody leads: it may lag behind.
    #[arg(long)]
    stale: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// All cursors, by name.
    List {
        /// Print one JSON array with an object for each cursor.
        #[arg(long)]
        json: bool,
    },
    /// The offset of a cursor.
    Get {
        /// Its name.
        #[arg(value_parser = name)]
        name: Name,
    },
    /// Put a cursor to an offset; it is made if there is none of this name.
    Set {
        /// Its name.
        #[arg(value_parser = name)]
        name: Name,
        /// The offset that its consumer wants next.
        offset: u64,
        /// Let it move back.
        #[arg(long)]
        reset: bool,
    },
    /// Forget a cursor.
    Delete {
        /// Its name.
        #[arg(value_parser = name)]
        name: Name,
    },
}

/// A cursor in JSON.
#[derive(Debug, Serialize)]
struct CursorJson {
    name: String,
    offset: u64,
    /// Events behind the end of what is committed.
    behind: u64,
    /// Log time of the command that last set it.
    set_at: u64,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut options = ConsumerOptions::new(&args.nodes.nodes);
    options.patience = Duration::from_secs(args.patience);
    let mut names = match args.stale {
        true => Names::stale(&options)?,
        false => Names::new(&options)?,
    };
    match args.what {
        What::List { json } => list(&mut names, json),
        What::Get { name } => match names.cursor(name)? {
            Some(cursor) => {
                terminal::print(&cursor.offset.to_string());
                Ok(())
            }
            None => Err(no_cursor(name)),
        },
        What::Set {
            name,
            offset,
            reset,
        } => Ok(names.set_cursor(name, Offset(offset), reset)?),
        What::Delete { name } => match names.delete_cursor(name)? {
            true => Ok(()),
            false => Err(no_cursor(name)),
        },
    }
}

fn no_cursor(name: Name) -> Failure {
    Failure::new(format!("there is no cursor {name}"))
        .cure("quorate cursor list shows those that there are")
}

fn list(names: &mut Names, json: bool) -> Result<(), Failure> {
    let mut all: Vec<NamedCursor> = Vec::new();
    let end = loop {
        let page = names.cursors_after(all.last().map(|cursor| cursor.name))?;
        all.extend(page.cursors);
        if !page.more {
            break page.committed;
        }
    };
    let behind = |cursor: &NamedCursor| end.0.saturating_sub(cursor.offset.0);
    if json {
        let json = all.iter().map(|cursor| CursorJson {
            name: cursor.name.to_string(),
            offset: cursor.offset.0,
            behind: behind(cursor),
            set_at: cursor.set_at,
        });
        terminal::print_json(&json.collect::<Vec<_>>());
        return Ok(());
    }
    let mut table = Table::with_headings(&["name", "offset", "behind"]);
    for cursor in &all {
        table.row([
            cursor.name.to_string(),
            thousands(cursor.offset.0),
            thousands(behind(cursor)),
        ]);
    }
    terminal::print(&table.to_string());
    Ok(())
}
