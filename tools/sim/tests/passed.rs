//! Worlds whose logs are long, and whose nodes start behind their newest snapshots: what they have passed over is there for
//! consumers, peers and the scrubber, and so is damage in it. And nodes that were asked to stop, which leave more unread.

mod harm;
mod seeds;

use harm::damage_at;
use quorate_replication::pipeline::Reopen;
use quorate_sim::{Options, World, recover};
use quorate_wire::NodeId;
use seeds::each_seed;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn passed(world: &World) -> usize {
    world.groups()[0].passed()
}

fn reopened(world: &World, node: NodeId, what: impl Fn(&Reopen) -> bool) -> bool {
    let reopened = world.groups()[0].reopened();
    reopened.iter().any(|(who, why)| *who == node && what(why))
}

#[test]
fn a_node_that_was_away_is_given_what_those_who_stayed_have_passed_over() {
    each_seed("long logs", 0..4, |seed, trace| {
        let mut world = World::new(Options::long(seed), trace.clone());
        world.start_all();
        world.run_for(500 * MS);
        let names = world.names();
        let away = names[usize::try_from(seed % 3).expect("small")];
        world.crash(away, false);
        world.run_for(3 * SECOND);
        for &id in names.iter().filter(|&&id| id != away) {
            world.crash(id, seed % 2 == 0);
            world.run_for(100 * MS);
            world.start(id);
            world.run_for(500 * MS);
        }
        assert!(passed(&world) > 0, "they begin behind their snapshots");
        world.start(away);
        recover(&mut world);
        assert!(world.groups()[0].reopened().is_empty(), "nothing is odd");
    });
}

#[test]
fn what_was_damaged_in_a_segment_that_was_passed_over_is_found_and_repaired() {
    each_seed("long damaged logs", 0..4, |seed, trace| {
        let options = Options {
            scrub: 64 << 20,
            ..Options::long(seed)
        };
        let mut world = World::new(options, trace.clone());
        world.start_all();
        world.run_for(3 * SECOND);
        let names = world.names();
        let node = names[usize::try_from(seed % 3).expect("small")];
        world.crash(node, false);
        world.oracle().expect_marred();
        damage_at(&mut world, node, 10 + seed);
        let before = passed(&world);
        world.start(node);
        assert!(passed(&world) > before, "nobody has looked at it");
        world.run_for(4 * SECOND);
        recover(&mut world);
        let damaged = |why: &Reopen| matches!(why, Reopen::Damaged(_));
        let repaired = |why: &Reopen| matches!(why, Reopen::Repaired { .. });
        assert!(reopened(&world, node, damaged) && reopened(&world, node, repaired));
    });
}

#[test]
fn a_node_that_was_asked_to_stop_leaves_what_lies_ready_unread_and_one_that_crashed_reads_it() {
    each_seed("asked to stop", 0..4, |seed, trace| {
        let mut world = World::new(Options::long(seed), trace.clone());
        world.start_all();
        world.run_for(2 * SECOND);
        let unread = |world: &World| world.groups()[0].ready_unread();
        for id in world.names() {
            let before = unread(&world);
            world.node(id).leave();
            world.run_for(300 * MS);
            world.node(id).end();
            let gone = world.run_until(SECOND, |world| world.running(false).contains(&id));
            assert!(gone, "what was under way ends");
            world.start(id);
            assert!(
                unread(&world) > before,
                "node {id} knows where its log ended"
            );
            world.run_for(500 * MS);
            let before = unread(&world);
            world.crash(id, seed % 2 == 0);
            world.start(id);
            assert_eq!(unread(&world), before, "node {id} has gone on since");
            world.run_for(500 * MS);
        }
        recover(&mut world);
    });
}
