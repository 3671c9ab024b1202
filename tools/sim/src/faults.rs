//! What goes wrong, and when: drawn from the seed.

use quorate_wire::NodeId;

use crate::random::Random;
use crate::slow_disk::DiskWeather;
use crate::world::World;

const MS: u64 = 1_000_000;

/// What may go wrong in a world, each with its weight; which of them do is drawn.
#[derive(Debug)]
pub struct Faults {
    random: Random,
    weights: Vec<(Fault, u64)>,
    /// Nanoseconds between two, at most.
    pause: u64,
    /// Whether a majority may be down at a time.
    all_down: bool,
    full: Option<NodeId>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Crash,
    CrashAll,
    Depose,
    Restart,
    Reset,
    CutOneWay,
    CutBothWays,
    Isolate,
    Heal,
    SlowDisk,
    QuickDisk,
    DiskFull,
    RoomMade,
    ClockJump,
    WriteFails,
    Garble,
    ShakeClients,
}

impl Faults {
    /// What goes wrong in the world of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "faults");
        let mut weights = Vec::new();
        for (fault, most) in [
            (Fault::Crash, 6),
            (Fault::CrashAll, 1),
            (Fault::Depose, 6),
            (Fault::Reset, 4),
            (Fault::CutOneWay, 4),
            (Fault::CutBothWays, 4),
            (Fault::Isolate, 4),
            (Fault::SlowDisk, 3),
            (Fault::DiskFull, 1),
            (Fault::ClockJump, 2),
            (Fault::WriteFails, 2),
            (Fault::Garble, 2),
            (Fault::ShakeClients, 6),
        ] {
            let weight = if random.one_in(2) {
                random.between(1, most)
            } else {
                0
            };
            weights.push((fault, weight));
        }
        for (fault, weight) in [
            (Fault::Restart, 6),
            (Fault::Heal, 6),
            (Fault::QuickDisk, 3),
            (Fault::RoomMade, 2),
        ] {
            weights.push((fault, weight));
        }
        Self {
            pause: random.of(&[20, 100, 400]) * MS,
            all_down: random.one_in(2),
            random,
            weights,
            full: None,
        }
    }

    /// Lets the world run with faults for so many nanoseconds.
    pub fn rage(&mut self, world: &mut World, nanoseconds: u64) {
        let end = world.now().after(nanoseconds);
        // Also while the group forms.
        world.run_for(self.random.scaled(1000, 500 * MS));
        while world.now() < end {
            let fault = self.pick();
            self.inflict(fault, world);
            let pause = self.random.between(0, self.pause);
            world.run_for(pause.min(end.since(world.now())));
        }
    }

    /// Undoes all faults: from here on the world must recover by itself.
    pub fn heal(&mut self, world: &mut World) {
        world.say("all is healed");
        world.network().heal_all();
        let weather = world.options().disk;
        for id in world.names() {
            let disk = &mut world.node(id).disk;
            disk.set_weather(weather);
            disk.disk_mut().set_room(u64::MAX);
            world.mend(id);
        }
        world.start_all();
    }

    fn pick(&mut self) -> Fault {
        let sum: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.between(0, sum - 1);
        for &(fault, weight) in &self.weights {
            if drawn < weight {
                return fault;
            }
            drawn -= weight;
        }
        unreachable!("what was drawn is below the sum")
    }

    fn any(&mut self, of: &[NodeId]) -> Option<NodeId> {
        (!of.is_empty()).then(|| self.random.of(of))
    }

    fn inflict(&mut self, fault: Fault, world: &mut World) {
        let names = world.names();
        let one = self.random.of(&names);
        let other = self.random.of(&names);
        match fault {
            Fault::Crash => self.crash(world),
            Fault::CrashAll => {
                let hard = self.random.one_in(2);
                for id in world.running(true) {
                    world.crash(id, hard);
                }
            }
            Fault::Depose => self.depose(world),
            Fault::Restart => {
                if let Some(id) = self.any(&world.running(false)) {
                    world.start(id);
                }
            }
            Fault::Reset => {
                if one != other {
                    world.say(&format!("links between {one} and {other} break"));
                    world.network().reset(one, other);
                }
            }
            Fault::CutOneWay | Fault::CutBothWays => {
                if one != other {
                    let both = matches!(fault, Fault::CutBothWays);
                    cut(world, one, other, both);
                }
            }
            Fault::Isolate => {
                let both = self.random.one_in(2);
                for other in names.into_iter().filter(|&other| other != one) {
                    cut(world, one, other, both);
                }
            }
            Fault::Heal => {
                world.say("cuts heal");
                world.network().heal_all();
            }
            Fault::SlowDisk => {
                let least = self.random.scaled(MS, 200 * MS);
                world.say(&format!("disk of {one} takes {} ms and more", least / MS));
                let weather = DiskWeather {
                    latency: (least, least * 2),
                    ..world.options().disk
                };
                world.node(one).disk.set_weather(weather);
            }
            Fault::QuickDisk => {
                let weather = world.options().disk;
                for id in names {
                    world.node(id).disk.set_weather(weather);
                }
            }
            Fault::DiskFull => self.fill(world, one),
            Fault::RoomMade => {
                if let Some(id) = self.full.take() {
                    world.say(&format!("disk of {id} has room"));
                    world.node(id).disk.disk_mut().set_room(u64::MAX);
                }
            }
            Fault::ClockJump => {
                let by = self.random.between(0, 4000) * MS;
                let by = i64::try_from(by).expect("a few seconds") - 2_000_000_000;
                world.node(one).skew += by;
            }
            Fault::Garble => self.garble(world),
            Fault::ShakeClients => world.shake_clients(),
            Fault::WriteFails => {
                if world.running(true).len() == names.len() && names.len() > 1 {
                    world.fail_write(one);
                }
            }
        }
    }

    fn crash(&mut self, world: &mut World) {
        let running = world.running(true);
        let enough = running.len() > world.names().len() / 2 + 1;
        if !enough && !self.all_down {
            return;
        }
        let hard = self.random.one_in(3);
        let leader = world.leader().filter(|_| self.random.one_in(2));
        if let Some(id) = leader.or_else(|| self.any(&running)) {
            world.crash(id, hard);
            if self.random.one_in(3) {
                world.start(id);
            }
        }
    }

    /// The leader goes on alone for a while, or stops, and comes back when another one leads.
    fn depose(&mut self, world: &mut World) {
        let Some(leader) = world.leader() else { return };
        let apart = self.random.between(200, 1500) * MS;
        if self.random.one_in(3) {
            world.crash(leader, self.random.one_in(2));
            world.run_for(apart);
            world.start(leader);
            return;
        }
        let both = self.random.one_in(3);
        for other in world.names().into_iter().filter(|&other| other != leader) {
            cut(world, leader, other, both);
        }
        world.run_for(apart);
        world.network().heal_all();
    }

    /// For a moment, bits change between peers.
    fn garble(&mut self, world: &mut World) {
        world.say("bits change");
        world.oracle().expect_garbled();
        let names = world.names();
        for _ in 0..self.random.below(100) {
            let (one, other) = (self.random.of(&names), self.random.of(&names));
            world.run_for(self.random.between(0, MS));
            if one != other {
                world.network().garble(one, other);
            }
        }
    }

    fn fill(&mut self, world: &mut World, id: NodeId) {
        if self.full.is_none() {
            world.say(&format!("disk of {id} is full"));
            world.node(id).disk.disk_mut().set_room(0);
            self.full = Some(id);
        }
    }
}

fn cut(world: &mut World, from: NodeId, to: NodeId, both: bool) {
    let way = if both { "between" } else { "one way from" };
    world.say(&format!("cut {way} {from} and {to}"));
    world.network().cut(from, to);
    if both {
        world.network().cut(to, from);
    }
}
