//! Makes one flame graph of what `perf script` printed of several processes: `flamegraph OUT.svg NAME=FILE..`.
//!
//! Under each name stands a tower for each of its threads. `perf/flamegraph.sh` calls it.

use std::fs::{self, File};
use std::io::{self, BufReader};

use quorate_bench::flames::Flames;
use quorate_bench::perf_script::stacks;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let page = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut flames = Flames::default();
    for argument in arguments {
        let (name, file) = argument
            .split_once('=')
            .ok_or(io::ErrorKind::InvalidInput)?;
        stacks(BufReader::new(File::open(file)?), &mut |stack| {
            let tower = [name.to_owned()].into_iter().chain(stack);
            flames.add(tower, 1);
        })?;
    }
    let subtitle = format!("{} samples", flames.samples());
    let svg = flames.svg("Processor time, by node and thread", &subtitle);
    fs::write(page, svg)
}
