//! The bare path: the least that moves events from a client to three synced logs and back. It is what `quorate bench bare` holds
//! the real system against: the ratio says what everything that is not here costs (elections, terms, deduplication, routing by key,
//! recovery, many connections, bounds, errors), and how far there is to go.
//!
//! Three node processes and a client, one raw io_uring each: frames of so many events with a checksum that each node verifies;
//! O_DIRECT and RWF_DSYNC on a file that was filled with zeros; group commit of whatever came while the last write was in flight;
//! acknowledged when two of three disks have it. Never: told to anybody as what Quorate does.

mod buffer;
mod client;
mod frame;
mod log;
mod node;
mod ring;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Parser, Subcommand};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use client::{Load, Measured};
use log::Log;
use node::Node;

/// Moves events from a client to three synced logs and back, with nothing else in between, and prints one JSON object.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Bytes of an event's payload; an event takes 24 more, and is padded to 8.
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(0..=65_536))]
    event_size: u32,
    /// Events in a frame.
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    batch: u32,
    /// Frames in flight.
    #[arg(long, default_value = "64", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    in_flight: u32,
    /// How long it measures, in seconds.
    #[arg(long, default_value = "5")]
    duration: f64,
    /// How long it loads before that, in seconds.
    #[arg(long, default_value = "1")]
    warm_up: f64,
    /// Length of each log; at its end it is written again from its beginning.
    #[arg(long, default_value = "256", value_parser = clap::value_parser!(u64).range(32..=65_536))]
    log_mib: u64,
    /// Where the logs lie, in a directory of their own that goes in the end. In memory nothing is synced.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A node process, which the others start.
    #[command(hide = true)]
    Node {
        #[arg(long)]
        log: PathBuf,
        #[arg(long)]
        log_mib: u64,
        #[arg(long, value_delimiter = ',')]
        followers: Vec<u16>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.role {
        Some(Role::Node {
            log,
            log_mib,
            followers,
        }) => serve(log, *log_mib, followers),
        None => measure(&args).and_then(|result| writeln!(io::stdout(), "{result}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A node: prints its port, waits for the one that sends to it, and works until that one ends.
fn serve(log: &Path, log_mib: u64, followers: &[u16]) -> io::Result<()> {
    let log = Log::create(log, log_mib << 20)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let followers: Vec<TcpStream> = followers
        .iter()
        .map(|&port| connect(port))
        .collect::<io::Result<_>>()?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let (upstream, _) = listener.accept()?;
    upstream.set_nodelay(true)?;
    match Node::new(log, upstream, followers)?.run() {
        // Whoever sends to it has ended, with acknowledgements unread.
        Err(error)
            if [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe]
                .contains(&error.kind()) =>
        {
            Ok(())
        }
        ended => ended,
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A node process, which is killed if it is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(args: &Args, log: &Path, followers: &[u16]) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("node").arg("--log").arg(log);
        command.arg("--log-mib").arg(args.log_mib.to_string());
        if !followers.is_empty() {
            let ports: Vec<String> = followers.iter().map(ToString::to_string).collect();
            command.arg("--followers").arg(ports.join(","));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().expect("it is a pipe");
        Ok(Self {
            child,
            said: BufReader::new(said),
        })
    }

    fn port(&mut self) -> io::Result<u16> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let port = line.trim().parse();
        port.map_err(|_| io::Error::other("a node has ended before it listened"))
    }
}

fn measure(args: &Args) -> io::Result<Value> {
    let load = Load {
        event_size: size(args.event_size),
        batch: size(args.batch),
        in_flight: size(args.in_flight),
        warm_up: seconds(args.warm_up)?,
        duration: seconds(args.duration)?,
    };
    let frame = frame::template(load.event_size, load.batch).len();
    if frame * load.in_flight > node::GROUP / 2 || frame > 512 << 10 {
        return Err(io::Error::other(
            "so much in flight does not fit into a group: 8 MiB in all, and 512 KiB a frame",
        ));
    }
    let dir = tempfile::Builder::new()
        .prefix("quorate-bare-")
        .tempdir_in(&args.dir)?;
    let log = |number: u32| dir.path().join(format!("log-{number}"));
    let mut followers = [
        Process::start(args, &log(2), &[])?,
        Process::start(args, &log(3), &[])?,
    ];
    let ports: Vec<u16> = followers
        .iter_mut()
        .map(Process::port)
        .collect::<io::Result<_>>()?;
    let mut leader = Process::start(args, &log(1), &ports)?;
    let socket = connect(leader.port()?)?;
    let measured = client::run(&socket, &load)?;
    Ok(report(args, &measured))
}

fn report(args: &Args, measured: &Measured) -> Value {
    let events = measured.frames * u64::from(args.batch);
    let ns = measured.elapsed.as_nanos().max(1);
    let events_per_s = u128::from(events) * 1_000_000_000 / ns;
    let events_per_s = u64::try_from(events_per_s).unwrap_or(u64::MAX);
    json!({
        "events_per_s": events_per_s,
        "latency_us": quantiles(&measured.latency_us),
        "samples": measured.latency_us.len(),
        "events": events,
        "seconds": measured.elapsed.as_secs_f64(),
        "durability": "2 of 3 logs, each write O_DIRECT + RWF_DSYNC; all share this host's disk",
        "loop": "closed",
        "event_size": args.event_size,
        "batch": args.batch,
        "in_flight": args.in_flight,
        "version": concat!("quorate-bare ", env!("CARGO_PKG_VERSION")),
        "release": !cfg!(debug_assertions),
    })
}

fn quantiles(latency_us: &Histogram<u64>) -> Value {
    let at = |quantile| latency_us.value_at_quantile(quantile);
    json!({
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p999": at(0.999),
        "p9999": at(0.9999),
        "max": latency_us.max(),
    })
}

fn size(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit into a size")
}

fn seconds(seconds: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| io::Error::other("a number of seconds, such as 5 or 0.5"))
}
