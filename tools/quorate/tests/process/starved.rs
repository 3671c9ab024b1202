//! Nodes that hardly get a processor: whoever is late is not dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quorate_client::Term;

use crate::load::Load;
use crate::logs;
use crate::world::{World, directory, small_segments, turn_alone};

/// Enough events for records in flight everywhere.
const SOME: u64 = 1_000;

/// Threads that want all of every core, three for each.
struct Hogs {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Hogs {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let hog = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
        };
        let threads = (0..3 * cores).map(hog).collect();
        Self { stop, threads }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("it only counts");
        }
    }
}

fn terms(world: &World) -> Vec<Term> {
    let statuses = world.local.statuses();
    statuses.iter().map(|status| status.term).collect()
}

#[test]
fn busy_cores_elect_nobody() {
    let mut world = World::prepare_in(directory(), turn_alone(), small_segments);
    world.local.start_all().expect("the ports are free");
    world.wait_complete();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    // Others who share this machine may starve it much more than the threads here do, for once.
    let calm = (0..3).any(|_| {
        let (leader, before) = (world.leader(), terms(&world));
        assert_eq!(before.len(), 3, "all nodes answer");
        let hogs = Hogs::start();
        for _ in 0..10 {
            load.wait_acked(SOME);
        }
        hogs.stop();
        load.wait_acked(SOME);
        (world.leader(), terms(&world)) == (leader, before)
    });
    assert!(calm, "somebody is elected each time");
    let sent = load.finish();
    logs::check(&mut world, &[sent]);
}
