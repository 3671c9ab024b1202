//! What the core costs: three true cores, whose disks and links take no time.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use quorate_raft::{Config, Envelope, Input, Members, Output, Raft, Recovered};
use quorate_wire::{DiskId, LogIndex, NodeId, Time};

const MS: u64 = 1_000_000;

/// Size of a record of 64 events of 64 bytes.
const RECORD_BYTES: u32 = 5_728;

fn id(at: usize) -> NodeId {
    NodeId(u32::try_from(at + 1).expect("few nodes"))
}

fn disk(node: NodeId) -> DiskId {
    DiskId([u8::try_from(node.0).expect("few nodes"); 16])
}

/// Three cores. The first one leads.
struct Cores {
    cores: [Raft; 3],
    output: Output,
    /// What was sent and has not arrived, with its sender.
    mail: Vec<(usize, Envelope)>,
    spare: Vec<(usize, Envelope)>,
}

impl Cores {
    fn new() -> Self {
        let core = |at| {
            // The first one's patience is at its end long before the others'.
            let patience = if at == 0 { 1 } else { 1_000 };
            let config = Config {
                id: id(at),
                disk: disk(id(at)),
                heartbeat: 50 * MS,
                election_min: 150 * MS * patience,
                election_max: 300 * MS * patience,
                slack_max: 0,
                lease_reads: false,
                append_bytes_max: 512 << 10,
                window_bytes: 8 << 20,
                window_appends: 64,
                seed: 1,
            };
            let voters = (0..3).map(|at| (id(at), disk(id(at)))).collect();
            let recovered = Recovered {
                members: vec![(LogIndex(0), Members::of(voters))],
                ..Recovered::default()
            };
            Raft::new(config, recovered, Time(0))
        };
        let mut all = Self {
            cores: [core(0), core(1), core(2)],
            output: Output::default(),
            mail: Vec::new(),
            spare: Vec::new(),
        };
        for at in 0..3 {
            for peer in (0..3).filter(|&peer| peer != at).map(id) {
                let disk = disk(peer);
                all.step(at, Input::PeerUp { peer, disk });
            }
        }
        let now = Time(300 * MS);
        all.step(0, Input::Tick { now });
        all.settle();
        assert!(all.cores[0].serves(), "the first core is elected");
        all
    }

    /// A step, and all that its disk does for it.
    fn step(&mut self, at: usize, input: Input) {
        self.output.clear();
        self.cores[at].step(input, &mut self.output);
        let sent = self.output.send.drain(..);
        self.mail.extend(sent.map(|envelope| (at, envelope)));
        let wants = std::mem::take(&mut self.output.want);
        let (append, noop) = (self.output.append, self.output.noop);
        if let Some(state) = self.output.hard_state {
            let version = state.version;
            self.step(at, Input::HardStateDurable { version });
        }
        if append.is_some() || noop.is_some() {
            let mark = self.cores[at].mark();
            self.step(at, Input::LogDurable { mark });
        }
        for want in &wants {
            let ready = Input::Ready {
                peer: want.peer,
                session: want.session,
                first: want.first,
                last: want.last,
                bytes: RECORD_BYTES,
            };
            self.step(at, ready);
        }
        if wants.capacity() > 0 {
            self.output.want = wants;
        }
    }

    /// All mail arrives, and all answers to it.
    fn settle(&mut self) {
        loop {
            (0..3).for_each(|at| self.step(at, Input::Gather));
            if self.mail.is_empty() {
                return;
            }
            let mut mail = std::mem::replace(&mut self.mail, std::mem::take(&mut self.spare));
            for (from, Envelope { to, message }) in mail.drain(..) {
                let at = (0..3).find(|&at| id(at) == to).expect("one of three");
                let from = id(from);
                self.step(at, Input::Message { from, message });
            }
            self.spare = mail;
        }
    }

    /// The first mail that is on its way, as its receiver's input.
    fn first(&self) -> Input {
        let &(from, Envelope { message, .. }) = self.mail.first().expect("mail is on its way");
        let from = id(from);
        Input::Message { from, message }
    }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft");
    let mut step = |name: &str, core: &Raft, input: Input| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || (core.clone(), Output::default(), input.clone()),
                |(core, output, input)| core.step(black_box(input.clone()), output),
                BatchSize::SmallInput,
            );
        });
    };
    let mut cores = Cores::new();
    step("propose", &cores.cores[0], Input::Propose);
    cores.step(0, Input::Propose);
    step("gather", &cores.cores[0], Input::Gather);
    cores.step(0, Input::Gather);
    let append = cores.first();
    step("follower appends", &cores.cores[1], append.clone());
    let mut follower = cores.cores[1].clone();
    follower.step(append.clone(), &mut Output::default());
    let mark = follower.mark();
    step(
        "follower's disk is done",
        &follower,
        Input::LogDurable { mark },
    );
    cores.mail.clear();
    cores.step(1, append);
    step("follower answers", &cores.cores[1], Input::Gather);
    cores.step(1, Input::Gather);
    step("leader counts, and commits", &cores.cores[0], cores.first());
    group.finish();
}

fn round(criterion: &mut Criterion) {
    let mut cores = Cores::new();
    criterion.bench_function("raft/a record's whole way through three cores", |bencher| {
        bencher.iter(|| {
            let before = cores.cores[0].commit();
            cores.step(0, Input::Propose);
            let mark = cores.cores[0].mark();
            cores.step(0, Input::LogDurable { mark });
            cores.settle();
            assert!(cores.cores[0].commit() > before, "the record is committed");
        });
    });
}

criterion_group!(benches, steps, round);
criterion_main!(benches);
