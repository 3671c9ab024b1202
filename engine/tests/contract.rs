//! The driver keeps the contract of the seam, on a real disk and over loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use quorate_engine::clock;
use quorate_engine::lane::{PipelineLanes, ShardLane, lanes};
use quorate_engine::uring::{Driver, DriverOptions};
use quorate_replication::contract::lanes::Shards;
use quorate_replication::contract::network::Peers;
use quorate_replication::contract::{self, Pump};
use quorate_replication::lane::{Reply, Request, ShardId};
use quorate_replication::seam::{Clock, OpId, Pace, Storage, StorageDone, StorageOp};
use quorate_wire::{NodeId, Time};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

const SHARDS: usize = 2;
const CAPACITY: usize = 8;

/// On the disk that the tests are built on: the usual place for such directories may be memory.
fn home() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("there is room for a directory")
}

fn driver(
    directory: &Path,
    listener: Option<TcpListener>,
    peers: Vec<(NodeId, SocketAddr)>,
    lanes: PipelineLanes,
) -> Driver {
    Driver::new(DriverOptions {
        directory: directory.to_owned(),
        listener,
        peers,
        lanes,
        spin: Duration::ZERO,
        buffers: 2, // Fewer than the contract writes from.
    })
    .expect("this host has a ring")
}

fn nobodys_lanes() -> PipelineLanes {
    lanes(0, 1).expect("this host has a descriptor").0
}

/// One driver, and whatever it needs to stay alive.
struct Host {
    driver: Driver,
    shards: Vec<ShardLane>,
    _home: TempDir,
}

impl Host {
    fn new() -> Self {
        let home = home();
        let (lanes, shards) = lanes(SHARDS, CAPACITY).expect("this host has a descriptor");
        Self {
            driver: driver(home.path(), None, Vec::new(), lanes),
            shards,
            _home: home,
        }
    }
}

impl Pump for Host {
    fn pump(&mut self) {
        let until = clock::now().after(2_000_000);
        self.driver.wait(Some(until)).expect("the ring works");
    }
}

impl Clock for Host {
    fn now(&self) -> Time {
        self.driver.now()
    }

    fn wall(&self) -> u64 {
        self.driver.wall()
    }
}

impl Storage for Host {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        self.driver.submit(id, op);
    }

    fn pace(&mut self, pace: Pace) {
        self.driver.pace(pace);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        self.driver.completed(done);
    }
}

impl Shards for Host {
    type Lanes = Driver;

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn pipeline(&mut self) -> &mut Driver {
        &mut self.driver
    }

    fn try_put(&mut self, shard: ShardId, request: Request) -> Result<(), Request> {
        self.shards[shard.0].try_put(request)
    }

    fn try_take(&mut self, shard: ShardId) -> Option<Reply> {
        self.shards[shard.0].try_take()
    }
}

/// Two drivers that can dial each other.
struct Two {
    one: Driver,
    two: Driver,
    /// Has its port, and does not listen.
    _nobody: Socket,
    _home: TempDir,
}

impl Two {
    fn new() -> Self {
        let home = home();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = || TcpListener::bind(any).expect("a port is free");
        let listeners = [listen(), listen()];
        let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket is free");
        nobody.bind(&any.into()).expect("a port is free");
        let silent = nobody.local_addr().expect("it is bound").as_socket();
        let [one, two] = [0, 1].map(|at: usize| listeners[at].local_addr().expect("it is bound"));
        let peers = vec![
            (NodeId(1), one),
            (NodeId(2), two),
            (NodeId(3), silent.expect("it has an address")),
        ];
        let [one, two] = listeners
            .map(|listener| driver(home.path(), Some(listener), peers.clone(), nobodys_lanes()));
        Self {
            one,
            two,
            _nobody: nobody,
            _home: home,
        }
    }
}

impl Peers for Two {
    type Network = Driver;

    fn network(&mut self, node: NodeId) -> &mut Driver {
        match node {
            NodeId(1) => &mut self.one,
            NodeId(2) => &mut self.two,
            NodeId(other) => panic!("there is no node {other}"),
        }
    }

    fn pump(&mut self) {
        for patience in [0, 200_000] {
            for driver in [&mut self.one, &mut self.two] {
                let until = clock::now().after(patience);
                driver.wait(Some(until)).expect("the ring works");
            }
        }
    }
}

macro_rules! keeps {
    ($world:ident: $($suite:ident :: $promise:ident),* $(,)?) => {
        $(
            #[test]
            fn $promise() {
                contract::$suite::$promise(&mut $world::new());
            }
        )*
    };
}

keeps! { Host:
    clock::goes_on_and_never_back,
    clock::shows_the_date,
    lanes::order_is_kept,
    lanes::a_full_lane_refuses,
    lanes::a_busy_shard_delays_nobody,
    storage::a_prepared_segment_is_zeros,
    storage::written_bytes_come_back,
    storage::what_a_buffer_holds_is_written,
    storage::buffers_come_back,
    storage::each_operation_completes_once,
    storage::a_segment_is_prepared_once,
    storage::segments_are_prepared_beside_writes,
    storage::a_file_is_used_again,
    storage::a_file_is_used_again_as_it_is,
    storage::a_slow_preparation_is_hurried,
    storage::a_write_past_the_end_is_refused,
    storage::a_read_past_the_end_is_short,
    storage::a_missing_file_is_an_error,
    storage::many_segments_are_written_and_read,
    storage::a_snapshot_is_there_once_it_is_published,
    storage::a_snapshot_that_is_begun_anew_replaces_the_other,
    storage::a_removed_file_is_gone,
}

keeps! { Two:
    network::a_link_has_two_ends,
    network::a_dial_to_nobody_fails,
    network::bytes_arrive_in_order,
    network::large_sends_arrive_whole,
    network::both_directions_flow,
    network::a_slow_receiver_loses_nothing,
    network::a_link_ends_once,
    network::a_link_that_ended_takes_nothing,
    network::a_sender_learns_of_the_end,
}
