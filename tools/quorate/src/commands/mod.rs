//! The subcommands, a file each: its arguments, and what it does.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod cluster;
pub(crate) mod consume;
pub(crate) mod cursor;
pub(crate) mod demo;
pub(crate) mod groups;
mod keys;
pub(crate) mod log;
pub(crate) mod node;
mod nodes;
pub(crate) mod produce;
pub(crate) mod status;
pub(crate) mod verify;
mod wanted;

use crate::Failure;
use crate::cli::{Cli, Command};
use crate::logging;

/// Does what the arguments say.
pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    let usual_level = match &cli.command {
        Command::Node(_) => "info",
        Command::Cluster(_)
        | Command::Demo(_)
        | Command::Produce(_)
        | Command::Consume(_)
        | Command::Cursor(_)
        | Command::Groups(_)
        | Command::Verify(_)
        | Command::Audit(_)
        | Command::Status(_)
        | Command::Admin(_)
        | Command::Log(_)
        | Command::Bench(_) => "warn",
    };
    logging::start(cli.log_level.as_deref().unwrap_or(usual_level))?;
    match &cli.command {
        Command::Node(args) => node::run(args),
        Command::Cluster(args) => cluster::run(args, cli.log_level.as_deref()),
        Command::Demo(args) => demo::run(args, cli.log_level.as_deref()),
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(args),
        Command::Cursor(args) => cursor::run(args),
        Command::Groups(args) => groups::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Status(args) => status::run(args),
        Command::Admin(args) => admin::run(args),
        Command::Log(args) => log::run(args),
        Command::Bench(args) => bench::run(args, cli.log_level.as_deref()),
    }
}
