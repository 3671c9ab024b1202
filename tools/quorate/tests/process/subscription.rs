//! What is pushed, while the nodes that push it are killed; and a member of a consumer group on tokio.

use std::time::Duration;

use quorate_client::{
    AsyncGroupConsumer, Committed, Consumer, ConsumerOptions, Event, Name, NodeId, Offset, Polled,
    ReadFrom,
};

use crate::load::{Load, key, payload};
use crate::world::{SOON, World, wait_for};

/// Events between two deaths.
const SOME: u64 = 2_000;

fn options(world: &World) -> ConsumerOptions {
    let mut options = ConsumerOptions::new(world.local.addresses());
    options.patience = SOON;
    options.from = ReadFrom::Start;
    options
}

/// The events of the load are alone in the log: each has the offset that its sequence is.
fn check(next: &mut u64, offset: Offset, event: &Event<'_>) {
    assert_eq!(offset.0, *next, "in order, each once");
    assert_eq!(event.payload, payload(*next).as_bytes());
    assert_eq!(event.key, key(*next));
    *next += 1;
}

fn offsets(polled: &Polled) -> Vec<u64> {
    polled.events().map(|(offset, _)| offset.0).collect()
}

/// Reads until an offset, and until somebody else than `not` pushes; says who.
fn read_to(consumer: &mut Consumer, next: &mut u64, end: u64, not: Option<NodeId>) -> NodeId {
    wait_for("what is pushed", || {
        let batch = consumer.fetch(Duration::from_millis(200));
        let batch = batch.expect("another node goes on");
        for (offset, event) in batch.events() {
            check(next, offset, &event);
        }
        let pushes = consumer.node().filter(|node| Some(*node) != not);
        pushes.filter(|_| *next >= end)
    })
}

#[test]
fn what_is_pushed_comes_once_and_in_order_whichever_node_is_killed() {
    let mut world = World::start();
    let load = Load::start(world.local.addresses());
    let mut options = options(&world);
    options.push = true;
    let mut consumer = Consumer::connect(options).expect("it serves");
    let mut next = 0;
    for round in 1..=3 {
        let pushes = read_to(&mut consumer, &mut next, round * SOME, None);
        world.local.kill(pushes);
        // What it had pushed before comes first; then another one goes on.
        read_to(
            &mut consumer,
            &mut next,
            round * SOME + SOME / 2,
            Some(pushes),
        );
        world.local.start(pushes).expect("its ports are free again");
        world.wait_complete();
    }
    let sent = load.finish();
    let end = u64::try_from(sent.offsets.len()).expect("a count");
    read_to(&mut consumer, &mut next, end, None);
    assert_eq!(next, end, "and nothing more");
}

#[test]
fn members_on_tokio_read_everything_once_while_one_of_them_goes() {
    let world = World::start();
    let load = Load::start(world.local.addresses());
    load.wait_acked(SOME);
    let sent = load.finish();
    let end = u64::try_from(sent.offsets.len()).expect("a count");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system lets it");
    let name = Name::new("readers").expect("it is a name");
    let join = || {
        let session = Duration::from_secs(5);
        AsyncGroupConsumer::join(name, session, options(&world)).expect("there is chance")
    };
    let read = async {
        let (mut one, mut other) = (join(), join());
        let mut counted = Vec::new();
        // Both have their slots before anything is read for good.
        while (
            one.member().share().slots().len(),
            other.member().share().slots().len(),
        ) != (32, 32)
        {
            let wait = Duration::from_millis(1);
            let (first, second) = tokio::join!(one.poll(wait), other.poll(wait));
            counted.extend(offsets(&first.expect("it serves")));
            second.expect("it serves");
        }
        other.leave().await;
        while one.member().share().begin() < Some(Offset(end))
            || one.member().share().slots().len() < 64
        {
            let polled = one.poll(Duration::from_millis(100)).await;
            counted.extend(offsets(&polled.expect("it serves")));
        }
        assert!(matches!(one.commit().await, Ok(Committed::Done(_))));
        one.leave().await;
        counted
    };
    let read = runtime.block_on(async { tokio::time::timeout(SOON, read).await });
    let mut counted = read.expect("both get their slots, and one of them everything");
    counted.sort_unstable();
    counted.dedup();
    assert!(counted.into_iter().eq(0..end), "each event is given out");
    let again = runtime.block_on(async {
        let mut late = join();
        let polled = late.poll(Duration::from_secs(2)).await.expect("it serves");
        let more = late
            .poll(Duration::from_millis(500))
            .await
            .expect("it serves");
        late.leave().await;
        polled.events().count() + more.events().count()
    });
    assert_eq!(again, 0, "all is committed");
}
