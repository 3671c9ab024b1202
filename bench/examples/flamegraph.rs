//! Makes one flame graph of what `perf script` printed of several processes: `flamegraph OUT.svg NAME=FILE..`.
//!
//! Under each name stands a tower for each of its threads. `perf/flamegraph.sh` calls it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};

use inferno::collapse::Collapse;
use inferno::collapse::perf::Folder;
use inferno::flamegraph::{Options, from_lines};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let page = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut stacks = Vec::new();
    for argument in arguments {
        let (name, file) = argument
            .split_once('=')
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut folded = Vec::new();
        Folder::default().collapse(BufReader::new(File::open(file)?), &mut folded)?;
        let folded = String::from_utf8_lossy(&folded);
        stacks.extend(folded.lines().map(|stack| format!("{name};{stack}")));
    }
    let mut options = Options::default();
    options.title = "Processor time, by node and thread".to_owned();
    options.count_name = "samples".to_owned();
    let page = BufWriter::new(File::create(page)?);
    from_lines(&mut options, stacks.iter().map(String::as_str), page).map_err(io::Error::other)
}
