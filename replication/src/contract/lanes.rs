//! What lanes keep.

use alloc::vec::Vec;

use crate::lane::{Answer, Ask, Chunks, Reply, Request, ShardId, Ticket};
use crate::seam::Lanes;

/// Both ends of the lanes of two shards.
pub trait Shards {
    /// The pipeline's ends.
    type Lanes: Lanes;

    /// How many requests a shard may have open.
    fn capacity(&self) -> usize;

    /// The pipeline's ends.
    fn pipeline(&mut self) -> &mut Self::Lanes;

    /// A shard asks; if it may not, the request comes back.
    ///
    /// # Errors
    /// It has as many requests open as it may.
    fn try_put(&mut self, shard: ShardId, request: Request) -> Result<(), Request>;

    /// A shard takes a reply.
    fn try_take(&mut self, shard: ShardId) -> Option<Reply>;
}

const SHARDS: [ShardId; 2] = [ShardId(0), ShardId(1)];

fn request(correlation: u64) -> Request {
    Request {
        ticket: Ticket {
            connection: 7,
            correlation,
            chunks: Chunks::ONE,
        },
        ask: Ask::Greet,
    }
}

fn reply(ticket: Ticket) -> Reply {
    Reply {
        ticket,
        answer: Answer::Greeting {
            leader: None,
            nodes: None,
        },
    }
}

fn put(world: &mut impl Shards, shard: ShardId, correlation: u64) {
    let put = world.try_put(shard, request(correlation));
    assert!(put.is_ok(), "there is room for request {correlation}");
}

/// Requests and replies come in the order in which they were put, and each once.
///
/// # Panics
/// The contract is broken.
pub fn order_is_kept(world: &mut impl Shards) {
    let capacity = u64::try_from(world.capacity()).expect("it is small");
    let mut asked = 0;
    let mut answered = 0;
    let mut taken = 0;
    while taken < 10 * capacity {
        while asked < taken + capacity {
            put(world, ShardId(0), asked);
            asked += 1;
        }
        while let Some((shard, request)) = world.pipeline().take() {
            assert_eq!(shard, ShardId(0));
            assert_eq!(request.ticket.correlation, answered, "requests keep order");
            answered += 1;
            world.pipeline().put(shard, reply(request.ticket));
        }
        assert_eq!(answered, asked, "all requests arrive");
        // Not all, so that the rings wrap around at every place.
        for _ in 0..capacity / 2 + 1 {
            let Some(reply) = world.try_take(ShardId(0)) else {
                panic!("reply {taken} is missing")
            };
            assert_eq!(reply.ticket.correlation, taken, "replies keep order");
            taken += 1;
        }
    }
    assert!(world.try_take(ShardId(1)).is_none(), "nobody asked there");
}

/// A shard has so many requests open and no more, until it has taken a reply.
///
/// # Panics
/// The contract is broken.
pub fn a_full_lane_refuses(world: &mut impl Shards) {
    let capacity = u64::try_from(world.capacity()).expect("it is small");
    for correlation in 0..capacity {
        put(world, ShardId(0), correlation);
    }
    let refuse = |world: &mut dyn FnMut(Request) -> Result<(), Request>, when: &str| match world(
        request(99),
    ) {
        Ok(()) => panic!("{when}: a full lane took a request"),
        Err(back) => assert_eq!(back.ticket.correlation, 99, "the request comes back"),
    };
    refuse(&mut |it| world.try_put(ShardId(0), it), "all are put");
    put(world, ShardId(1), 0); // The other lane is another one.
    let mut open = Vec::new();
    while let Some(taken) = world.pipeline().take() {
        open.push(taken);
    }
    refuse(&mut |it| world.try_put(ShardId(0), it), "all are taken");
    for (shard, request) in open {
        world.pipeline().put(shard, reply(request.ticket));
    }
    refuse(&mut |it| world.try_put(ShardId(0), it), "all are answered");
    assert!(world.try_take(ShardId(0)).is_some(), "an answer is there");
    put(world, ShardId(0), capacity);
    refuse(&mut |it| world.try_put(ShardId(0), it), "one was free");
}

/// A busy shard does not keep the pipeline from another one.
///
/// # Panics
/// The contract is broken.
pub fn a_busy_shard_delays_nobody(world: &mut impl Shards) {
    let capacity = u64::try_from(world.capacity()).expect("it is small");
    assert!(capacity >= 4, "the suite needs some room");
    for [busy, other] in [[SHARDS[0], SHARDS[1]], [SHARDS[1], SHARDS[0]]] {
        for correlation in 0..capacity {
            put(world, busy, correlation);
        }
        put(world, other, 0);
        let mut turns = Vec::new();
        while let Some((shard, request)) = world.pipeline().take() {
            turns.push(shard);
            world.pipeline().put(shard, reply(request.ticket));
        }
        let turn = turns.iter().position(|&shard| shard == other);
        assert!(
            turn.is_some_and(|turn| turn < SHARDS.len()),
            "{other:?} had to wait: {turns:?}"
        );
        for shard in SHARDS {
            while world.try_take(shard).is_some() {}
        }
    }
}
