//! The client's example that wants true nodes.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the example is a program of its own"
)]
#[path = "../../../client/examples/group.rs"]
mod group;

use quorate_client::{ConsumerOptions, Name, Names, Offset};
use quorate_wire::SLOTS;

use crate::world::World;

#[test]
fn a_member_of_a_group_handles_what_is_there_once() {
    let world = World::start();
    for _ in 0..2 {
        group::run(world.local.addresses()).expect("it runs");
    }
    let mut names = Names::new(&ConsumerOptions::new(world.local.addresses())).expect("chance");
    let name = Name::new("billing").expect("it is a name");
    let group = names.consumer_group(name).expect("it serves");
    let group = group.expect("it was joined");
    assert_eq!(
        group.offsets,
        [Offset(1); SLOTS],
        "one payment, and it is done"
    );
    assert!(group.members.is_empty(), "both have left");
}
