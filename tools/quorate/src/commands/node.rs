//! `quorate node`: one node, in the foreground, until it is told to stop.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;
use std::{panic, process, thread};

use quorate_client::NodeId;
use quorate_engine::config::{Config, Overrides, Pin};
use quorate_engine::node;
use rustix::process::{Signal, getpid, kill_process, setsid};

use super::bench::seconds;
use crate::Failure;
use crate::profile::Profiler;

const EXAMPLES: &str = "\
Examples:
  quorate node --config node-1.toml
  quorate node --config cluster.toml --node 2 --data /var/lib/quorate     one file for all nodes
  QUORATE_LOG_LEVEL=debug quorate node --config node-1.toml

The smallest file:
  cluster = \"flights\"
  node = 1
  nodes = [{ id = 1 }, { id = 2 }, { id = 3 }]     # 127.0.0.1:9001 to 9003 for clients, 9101 to 9103 for peers

SIGTERM and Ctrl-C stop it cleanly: exit status 0. A flag goes before the environment, the environment before the file.";

/// What a node is told at its start.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Its configuration, in TOML; docs/configuration.md lists the keys.
    #[arg(long, value_name = "FILE", env = "QUORATE_CONFIG")]
    config: PathBuf,
    /// Which of the file's nodes this one is.
    #[arg(long, value_name = "ID", env = "QUORATE_NODE")]
    node: Option<u32>,
    /// Its data directory.
    #[arg(long, value_name = "DIR", env = "QUORATE_DATA")]
    data: Option<PathBuf>,
    /// The cores that its threads keep to: auto, off, or a list such as 2,3 (the pipeline's first).
    #[arg(long, value_name = "CORES", env = "QUORATE_PIN")]
    pin: Option<Pin>,
    /// Sample where its processor time goes for so many seconds, and again for so long at each SIGUSR1, and write that as a flame
    /// graph.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    profile: Option<Duration>,
    /// Where the flame graph goes; by default `profile.svg` in the data directory.
    #[arg(long, value_name = "FILE.svg", requires = "profile")]
    profile_out: Option<PathBuf>,
    /// Keep what each of the pipeline's last 65,536 turns did and how long it took, and write it to this file when the node ends
    /// and at each SIGUSR1: JSON for Perfetto (ui.perfetto.dev) or chrome://tracing.
    #[arg(long, value_name = "FILE.json")]
    trace_turns: Option<PathBuf>,
    /// Ends at once when standard input ends: whoever started the node holds the other end, and must not be outlived.
    #[arg(long, hide = true)]
    supervised: bool,
    /// Goes into a session of its own: the terminal's end is not the node's.
    #[arg(long, hide = true)]
    own_session: bool,
}

/// Runs the node.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    abort_on_panic();
    if args.own_session {
        setsid().map_err(|error| Failure::new(format!("a session of its own: {error}")))?;
    }
    if args.supervised {
        end_with_standard_input()?;
    }
    let overrides = Overrides {
        node: args.node.map(NodeId),
        data: args.data.clone(),
        pin: args.pin.clone(),
    };
    let config = Config::load(&args.config, &overrides).map_err(|error| {
        Failure::coded(error.code(), error.to_string())
            .cure("docs/configuration.md lists every key with its default")
    })?;
    let page = args.profile_out.clone();
    let page = page.unwrap_or_else(|| config.data.join("profile.svg"));
    let profiler = args.profile.map(|length| Profiler::start(length, page));
    let profiler = profiler.transpose()?;
    // Whoever started it asks the client port whether it serves: that is the only word that counts.
    let ended = node::run(&config, args.trace_turns.as_deref(), |_| {});
    if let Some(profiler) = profiler {
        profiler.finish();
    }
    Ok(ended?)
}

/// A thread that dies alone would leave a node that looks alive: its end is the node's. Builds for tests unwind, so the profile
/// does not see to it.
fn abort_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        process::abort();
    }));
}

/// Kills this process when standard input ends. At once, and not by SIGTERM: the supervisor may be waiting to clean up, and a
/// node loses nothing by being killed.
fn end_with_standard_input() -> Result<(), Failure> {
    let watch = || {
        let mut bytes = [0; 64];
        loop {
            match io::stdin().lock().read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = kill_process(getpid(), Signal::KILL);
    };
    let thread = thread::Builder::new()
        .name("supervised".into())
        .spawn(watch);
    thread
        .map(drop)
        .map_err(|error| Failure::new(format!("starting a thread: {error}")))
}
