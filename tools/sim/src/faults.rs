//! How a fault strikes a world: it looks at who leads and who runs, draws the rest from its own seed, and undoes itself later.
//!
//! Owns: the strikes and what follows them. Never: draws from another entry's seed. Called by: runs and tests.

use quorate_wire::admin::AdminAsk;
use quorate_wire::{NodeId, Time};

use crate::damage::{self, Damage};
use crate::group::Group;
use crate::operator::Errand;
use crate::plan::{Entry, Fault, Plan};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::slow_disk::DiskWeather;
use crate::wires::Way;
use crate::world::World;

const MS: u64 = 1_000_000;

/// A plan that strikes.
#[derive(Debug)]
pub struct Faults {
    plan: Plan,
    after: Schedule<After>,
    damage: Damage,
}

/// What undoes a fault, or goes on with it.
#[derive(Debug)]
enum After {
    Start(NodeId),
    /// It has handed over what it led, or has had time enough.
    End(NodeId),
    /// Its disk does not fail any more; it starts, if it has stopped.
    Mend(NodeId),
    Heal(Vec<(NodeId, NodeId)>),
    HealClients(NodeId),
    Quick(NodeId),
    Room(NodeId),
    Garble(Random, u64),
    Ask(Errand),
}

impl Faults {
    /// What strikes by this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            after: Schedule::default(),
            damage: Damage::default(),
        }
    }

    /// Lets the world run until the plan's end, and all of it strike.
    pub fn rage(&mut self, world: &mut World) {
        let start = world.now();
        let end = start.after(self.plan.length);
        for entry in self.plan.entries.clone() {
            self.follow(world, start.after(entry.at));
            self.strike(entry, world);
        }
        self.follow(world, end);
        heal(world);
        if self.damage.struck() {
            // What nobody has read since it changed is found when a log is recovered, or by the scrubber, if that passes over it.
            world.scrub();
            for id in world.running(true) {
                world.crash(id, false);
            }
            world.start_all();
        }
    }

    /// Runs the world until then, with what follows what has struck.
    fn follow(&mut self, world: &mut World, until: Time) {
        while let Some(at) = self.after.next().filter(|&at| at <= until) {
            run_until(world, at);
            if let Some(after) = self.after.due(at) {
                self.undo(after, world);
            }
        }
        run_until(world, until);
    }

    fn undo(&mut self, after: After, world: &mut World) {
        match after {
            After::Start(id) => world.start(id),
            After::End(id) => world
                .groups_mut()
                .iter_mut()
                .for_each(|group| group.node(id).end()),
            After::Mend(id) => {
                world.mend(id);
                world.start(id);
            }
            After::Heal(cuts) => {
                for (a, b) in cuts {
                    for group in world.groups_mut() {
                        group.network().heal(a, b);
                    }
                }
            }
            After::HealClients(id) => heal_clients(id, world),
            After::Quick(id) => set_weather(world, id, world.options().disk),
            After::Room(id) => {
                world.say(format_args!("the disk of node {id} has room"));
                set_room(world, id, u64::MAX);
            }
            After::Garble(mut random, left) => {
                let names = world.names();
                let (one, other) = (random.of(&names), random.of(&names));
                if one != other {
                    for group in world.groups_mut() {
                        group.network().garble(one, other);
                    }
                }
                if left > 0 {
                    let at = world.now().after(random.between(0, MS));
                    self.after.push(at, After::Garble(random, left - 1));
                }
            }
            After::Ask(errand) => self.ask(errand, world),
        }
    }

    fn strike(&mut self, entry: Entry, world: &mut World) {
        let mut random = Random::new(entry.seed, "fault");
        let names = world.names();
        let one = random.of(&names);
        let other = random.of(&names);
        let lasts = random.scaled(MS, 3000 * MS);
        let end = world.now().after(lasts);
        match entry.fault {
            Fault::Crash | Fault::CrashOnCompletion => {
                self.crash(entry.fault, &mut random, world);
            }
            Fault::CrashAll => {
                let hard = random.one_in(2);
                for id in world.running(true) {
                    world.crash(id, hard);
                    let back = random.scaled(MS, 2000 * MS);
                    self.after.push(world.now().after(back), After::Start(id));
                }
            }
            Fault::Stop => self.stop(one, &mut random, world),
            Fault::Pause => {
                let leader = world.leader().filter(|_| random.one_in(2));
                world.pause(leader.unwrap_or(one), random.scaled(50 * MS, 3000 * MS));
            }
            Fault::Depose => self.depose(&mut random, world),
            Fault::HandOver => {
                let to = Some(other).filter(|_| random.one_in(2));
                for group in world.groups_mut() {
                    let leader = group.leader().filter(|_| !random.one_in(4));
                    group.operate(leader.unwrap_or(one), AdminAsk::Transfer { to });
                }
            }
            Fault::Reset => {
                if one != other {
                    world.say(format_args!("links between {one} and {other} break"));
                    for group in world.groups_mut() {
                        group.network().reset(one, other);
                    }
                }
            }
            Fault::CutOneWay | Fault::CutBothWays => {
                if one != other {
                    let both = matches!(entry.fault, Fault::CutBothWays);
                    self.cut(world, &[(one, other)], both, end);
                }
            }
            Fault::Isolate => {
                let both = random.one_in(2);
                let pairs = apart(&names, one, random.one_in(2));
                self.cut(world, &pairs, both, end);
            }
            Fault::SlowDisk => {
                let least = random.scaled(MS, 200 * MS);
                world.say(format_args!(
                    "the disk of node {one} takes {} ms and more",
                    least / MS
                ));
                let weather = DiskWeather {
                    latency: (least, least * 2),
                    ..world.options().disk
                };
                set_weather(world, one, weather);
                self.after.push(end, After::Quick(one));
            }
            Fault::DiskFull => {
                world.say(format_args!("the disk of node {one} is full"));
                set_room(world, one, 0);
                self.after.push(end, After::Room(one));
            }
            Fault::WriteFails | Fault::ReadFails => {
                if world.running(true).len() == names.len() && names.len() > 1 {
                    if matches!(entry.fault, Fault::WriteFails) {
                        world.fail_write(one);
                    } else {
                        world.fail_read(one);
                    }
                    self.after.push(end, After::Mend(one));
                }
            }
            Fault::ClockJump => {
                let by = i64::try_from(random.between(0, 4000) * MS).expect("a few seconds");
                let by = by - 2_000_000_000;
                world.say(format_args!(
                    "the clock of node {one} jumps by {} ms",
                    by / 1_000_000
                ));
                for group in world.groups_mut() {
                    group.node(one).clock.jump(by);
                }
            }
            Fault::Garble => {
                world.say(format_args!("bits change between nodes"));
                for group in world.groups_mut() {
                    group.oracle().expect_garbled();
                }
                let count = random.between(1, 100);
                self.after.push(world.now(), After::Garble(random, count));
            }
            Fault::ShakeClients => world.shake_clients(),
            Fault::Wipe => {
                if !self.damage.struck() || others_unhurt(one, world) {
                    wipe(one, world);
                }
            }
            Fault::Harm(harm) => self.damage.strike(harm, one, &mut random, world),
            Fault::CutClients => {
                let leader = world.leader().filter(|_| random.one_in(2));
                let one = leader.unwrap_or(one);
                let ways: [&[Way]; 3] = [&[Way::Up], &[Way::Down], &[Way::Up, Way::Down]];
                world.cut_clients(one, random.of(&ways));
                self.after.push(end, After::HealClients(one));
            }
            Fault::Forget => {
                for group in world.groups_mut() {
                    group.forget(one);
                }
            }
            Fault::Change => {
                if let Some(errand) = Errand::draw(random, world) {
                    self.ask(errand, world);
                }
            }
        }
    }

    fn ask(&mut self, mut errand: Errand, world: &mut World) {
        if let Some(wait) = errand.ask(world) {
            self.after.push(world.now().after(wait), After::Ask(errand));
        }
    }

    fn crash(&mut self, fault: Fault, random: &mut Random, world: &mut World) {
        let running = world.running(true);
        let enough = running.len() > world.names().len() / 2 + 1;
        if running.is_empty() || !enough && random.one_in(2) {
            return;
        }
        let hard = random.one_in(3);
        let leader = world.leader().filter(|_| random.one_in(2));
        let id = leader.unwrap_or_else(|| random.of(&running));
        let back = if random.one_in(3) {
            0
        } else {
            random.scaled(MS, 3000 * MS)
        };
        if fault == Fault::Crash {
            world.crash(id, hard);
            self.after.push(world.now().after(back), After::Start(id));
            return;
        }
        world.say(format_args!("node {id} will crash on a completion"));
        let nth = random.scaled(1, 16);
        for group in world.groups_mut() {
            group.node(id).crash_on_completion(nth, hard);
        }
        self.after
            .push(world.now().after(back + 50 * MS), After::Start(id));
    }

    fn stop(&mut self, id: NodeId, random: &mut Random, world: &mut World) {
        world.say(format_args!("node {id} is asked to stop"));
        for group in world.groups_mut() {
            group.node(id).leave();
        }
        let end = world.now().after(random.scaled(1, 100 * MS));
        self.after.push(end, After::End(id));
        let back = random.scaled(MS, 2000 * MS);
        self.after.push(end.after(back), After::Start(id));
    }

    fn depose(&mut self, random: &mut Random, world: &mut World) {
        let Some(leader) = world.leader() else { return };
        let until = world.now().after(random.between(200, 1500) * MS);
        if random.one_in(3) {
            world.crash(leader, random.one_in(2));
            self.after.push(until, After::Start(leader));
            return;
        }
        let both = random.one_in(3);
        let pairs = apart(&world.names(), leader, true);
        self.cut(world, &pairs, both, until);
    }

    fn cut(&mut self, world: &mut World, pairs: &[(NodeId, NodeId)], both: bool, end: Time) {
        for &(from, to) in pairs {
            world.cut(from, to, both);
        }
        self.after.push(end, After::Heal(pairs.to_vec()));
    }
}

/// Undoes all faults: from here on the world must recover by itself.
fn heal(world: &mut World) {
    world.say(format_args!("all is healed"));
    for group in world.groups_mut() {
        group.network().heal_all();
    }
    for id in world.names() {
        for group in world.groups_mut() {
            group.node(id).spare();
        }
        set_weather(world, id, world.options().disk);
        set_room(world, id, u64::MAX);
        heal_clients(id, world);
        world.mend(id);
    }
    world.start_all();
}

/// A node of a minority comes back with an empty disk. The others have all that was acknowledged. Before all of them know who the
/// members are, it is not the founder's: with it goes what the others would wait for. Voters are never fewer than founders.
fn wipe(id: NodeId, world: &mut World) {
    let out = world.out().len() + usize::from(!world.out().contains(&id));
    let formed = world.groups().iter().all(Group::is_formed);
    let founds = world.names().first() == Some(&id);
    if out > world.may_lose() || (founds && !formed) {
        return;
    }
    if world.running(true).contains(&id) {
        world.crash(id, false);
    }
    world.wipe(id);
    world.start(id);
}

/// Whether what the other sound nodes have is whole: what is not may be whole on this one only.
fn others_unhurt(id: NodeId, world: &World) -> bool {
    let mut groups = world.groups().iter();
    groups.all(|group| {
        let mut others = world.sound(group);
        others.remove(&id);
        damage::is_unhurt(group, &others)
    })
}

/// Pairs of one node and each other one, from it or to it.
fn apart(names: &[NodeId], one: NodeId, from: bool) -> Vec<(NodeId, NodeId)> {
    let others = names.iter().filter(|&&other| other != one);
    others
        .map(|&other| if from { (one, other) } else { (other, one) })
        .collect()
}

fn heal_clients(id: NodeId, world: &mut World) {
    for group in world.groups_mut() {
        group.heal_clients(id);
    }
}

fn set_weather(world: &mut World, id: NodeId, weather: DiskWeather) {
    for group in world.groups_mut() {
        group.node(id).disk.set_weather(weather);
    }
}

fn set_room(world: &mut World, id: NodeId, bytes: u64) {
    for group in world.groups_mut() {
        group.node(id).disk.disk_mut().set_room(bytes);
    }
}

fn run_until(world: &mut World, at: Time) {
    let now = world.now();
    if at > now {
        world.run_for(at.since(now));
    }
}
