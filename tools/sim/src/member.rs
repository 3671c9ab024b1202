//! A member of the world's consumer group: the client library's member and cursor over wires. It reads its share, commits what it
//! has read, and now and then stands still, dies without a word, or leaves; then it comes back under another name.

use std::time::Duration;

use quorate_client::caller::CallerConfig;
use quorate_client::cursor::{Cursor, CursorConfig};
use quorate_client::endpoint::Endpoint as _;
use quorate_client::member::{Commit, Committed, Member, MemberConfig, Reset};
use quorate_client::{Batch, Clause, ClientError, Consistency, Filter, ReadFrom};
use quorate_wire::{ErrorCode, MemberId, Name, Offset, Slot, Slots, Time};

use crate::options::Options;
use crate::oracle::{Oracle, Owners};
use crate::random::Random;
use crate::terminal::Terminal;
use crate::wires::Wires;

const MS: u64 = 1_000_000;

/// The consumer group of every world.
#[must_use]
pub fn consumer_group() -> Name {
    Name::new("readers").expect("it is a name")
}

/// What a member is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It comes and goes.
    Roams,
    /// It stays, and reads to the end.
    Reads,
    /// It leaves for good.
    Leaves,
}

/// A member's process.
#[derive(Debug)]
struct Process {
    member: Member,
    terminal: Terminal,
    reading: Option<Reading>,
    /// When it reads on.
    again: Time,
    /// The commit that is on its way, and the owners when it was asked.
    asked: Option<(Commit, Owners)>,
}

impl Process {
    fn stand_still(&self, wires: &mut Wires, still: bool) {
        self.terminal.stand_still(wires, still);
        if let Some(reading) = &self.reading {
            reading.terminal.stand_still(wires, still);
        }
    }
}

/// A cursor on its way along the log.
#[derive(Debug)]
struct Reading {
    cursor: Cursor,
    /// What its filter lets through, if it has one.
    slots: Slots,
    terminal: Terminal,
    open: bool,
}

/// A member of the world's consumer group. See the module's description.
#[derive(Debug)]
pub struct GroupMember {
    random: Random,
    addresses: Vec<String>,
    number: u64,
    processes: u64,
    process: Option<Process>,
    /// It does nothing before this.
    away: Option<Time>,
    phase: Phase,
    reset: Reset,
    committed: u64,
    fenced: u64,
    skips: u64,
}

impl GroupMember {
    /// A member that comes soon.
    #[must_use]
    pub fn new(options: &Options, addresses: Vec<String>, number: usize) -> Self {
        Self {
            random: Random::new(options.seed, &format!("member {number}")),
            addresses,
            number: u64::try_from(number).expect("a few"),
            processes: 0,
            process: None,
            away: Some(Time(0)),
            phase: Phase::Roams,
            reset: options.reset,
            committed: 0,
            fenced: 0,
            skips: 0,
        }
    }

    /// Commits that were answered.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Commits that were fenced.
    #[must_use]
    pub fn fenced(&self) -> u64 {
        self.fenced
    }

    /// How often it went on behind what the log had let go.
    #[must_use]
    pub fn skips(&self) -> u64 {
        self.skips
    }

    /// From now on it stays, and reads to the end.
    pub fn read_to_end(&mut self, now: Time) {
        self.phase = Phase::Reads;
        self.away = self.away.map(|_| now);
    }

    /// It leaves for good.
    pub fn leave(&mut self, now: Time) {
        self.phase = Phase::Leaves;
        if let Some(process) = &mut self.process {
            process.member.leave(now);
        }
    }

    /// Whether it has left for good.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.phase == Phase::Leaves && self.process.is_none()
    }

    /// When it wants to act next, if nothing comes.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.away.is_some() {
            return self.away;
        }
        let process = self.process.as_ref()?;
        // It was out when it was to leave: no question is open, and its process ends.
        if process.member.is_gone() {
            return Some(process.again);
        }
        let reading = process.reading.as_ref().and_then(|reading| {
            let again = Some(process.again);
            if reading.open {
                reading.cursor.deadline()
            } else {
                again
            }
        });
        process.member.deadline().into_iter().chain(reading).min()
    }

    /// Goes on.
    pub fn act(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        if self.away.is_some_and(|until| now < until) {
            return;
        }
        let returns = self.away.take().is_some();
        if self.process.is_none() {
            if !returns || self.phase == Phase::Leaves {
                return;
            }
            self.begin(now);
        }
        let process = self.process.as_ref().expect("it lives");
        if returns {
            process.stand_still(wires, false);
        }
        let reads = |it: &Reading| {
            it.terminal.is_due(&it.cursor, wires, now) || !it.open && process.again <= now
        };
        let due = process.member.is_gone()
            || process.terminal.is_due(&process.member, wires, now)
            || process.reading.as_ref().is_some_and(reads);
        if !due && !returns {
            return;
        }
        self.listen(now, wires, oracle);
        self.read(now, wires, oracle);
        self.commit(now);
        // The question may need a connection.
        self.listen(now, wires, oracle);
        self.speak(now, wires, oracle);
        self.fate(now, wires);
    }

    fn listen(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let process = self.process.as_mut().expect("it lives");
        process.terminal.listen(&mut process.member, wires, now);
        self.hear(now, wires, oracle);
    }

    fn speak(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let process = self.process.as_mut().expect("it lives");
        if process.asked.is_none()
            && let Some(commit) = process.member.asked()
        {
            let owners = oracle.members().asks(process.member.id(), &commit);
            process.asked = Some((commit, owners));
        }
        process.terminal.speak(&mut process.member, wires, now);
    }

    fn begin(&mut self, now: Time) {
        self.processes += 1;
        let id = MemberId(self.number * 1000 + self.processes);
        let mut nodes = self.addresses.clone();
        let first = self.random.below(nodes.len());
        nodes.rotate_left(first);
        let config = MemberConfig {
            group: consumer_group(),
            member: id,
            session: Duration::from_millis(self.random.of(&[500, 1000, 3000])),
            start: Offset(0),
            caller: CallerConfig {
                nodes,
                cluster: None,
                connect_timeout: Duration::from_millis(self.random.of(&[100, 1000])),
                request_timeout: Duration::from_millis(self.random.of(&[300, 1000])),
                patience: Duration::from_secs(5),
                linearizable: true,
                seed: self.random.any(),
            },
        };
        self.process = Some(Process {
            member: Member::new(config, now),
            terminal: Terminal::default(),
            reading: None,
            again: now,
            asked: None,
        });
        if self.phase == Phase::Leaves {
            self.leave(now);
        }
    }

    /// Works in what the member has heard.
    fn hear(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let process = self.process.as_mut().expect("it lives");
        let member = &mut process.member;
        if let Some(news) = member.take_news() {
            let share = member.share();
            let slots = Slot::all().filter_map(|slot| Some((slot, share.next(slot)?)));
            oracle.members().told(member.id(), news.generation, slots);
        }
        if let Some(end) = member.take_committed() {
            let asked = process.asked.take();
            match (end, asked) {
                (Ok(Committed::Done(_)), Some((commit, owners))) => {
                    self.committed += 1;
                    oracle.members().committed(member.id(), &commit, &owners);
                }
                (Ok(Committed::Done(_)), None) => unreachable!("it was asked"),
                (Ok(Committed::Fenced), _) => self.fenced += 1,
                (Err(error), _) => expected(&error),
            }
        }
        if let Some(trouble) = member.take_trouble() {
            expected(&trouble);
        }
        let begin = member.share().begin();
        let reading = process.reading.as_ref();
        let slots = member.share().slots();
        let misses = |begin| {
            reading
                .is_none_or(|it| begin < it.cursor.offset() || !slots.without(it.slots).is_empty())
        };
        if begin.is_none_or(misses) {
            if let Some(mut reading) = process.reading.take() {
                reading.terminal.leave(wires, now);
            }
            process.reading = begin.map(|begin| Reading {
                cursor: cursor(&mut self.random, &self.addresses, (begin, slots)),
                slots,
                terminal: Terminal::default(),
                open: false,
            });
        }
    }

    fn read(&mut self, now: Time, wires: &mut Wires, oracle: &mut Oracle) {
        let process = self.process.as_mut().expect("it lives");
        let Some(reading) = &mut process.reading else {
            return;
        };
        if !reading.open && process.again <= now {
            let wait = self.random.of(&[0, 30, 300]) * MS;
            reading.cursor.fetch(wait, now);
            reading.open = true;
        }
        reading.terminal.listen(&mut reading.cursor, wires, now);
        let end = reading.cursor.take();
        reading.terminal.speak(&mut reading.cursor, wires, now);
        let Some(end) = end else { return };
        reading.open = false;
        let pause = self.random.of(&[0, 2, 50]) * MS;
        process.again = now.after(1 + self.random.between(0, pause));
        match end {
            Ok(batch) => give_out(&mut process.member, &batch, oracle),
            Err(error) if skip(&mut process.member, self.reset, &error, oracle) => {
                self.skips += 1;
                if let Some(mut reading) = process.reading.take() {
                    reading.terminal.leave(wires, now);
                }
            }
            Err(error) => expected(&error),
        }
    }

    fn commit(&mut self, now: Time) {
        let process = self.process.as_mut().expect("it lives");
        let is_reading = process.reading.is_some();
        let commits = is_reading && !process.member.commits() && !process.member.is_gone();
        let one_in = if self.phase == Phase::Roams { 4 } else { 1 };
        // Who has read to the end does not commit the same for ever.
        let is_new = process.member.share().begin() > process.member.done();
        if commits && is_new && self.random.one_in(one_in) {
            process.member.commit(now);
        }
    }

    /// Now and then a process dies, stands still, or leaves.
    fn fate(&mut self, now: Time, wires: &mut Wires) {
        let process = self.process.as_mut().expect("it lives");
        let is_gone = process.member.is_gone();
        if self.phase != Phase::Roams && !is_gone {
            return;
        }
        let pause = self.random.of(&[10, 1000, 5000]) * MS;
        let dies = self.random.one_in(400);
        if is_gone || dies {
            process.terminal.leave(wires, now);
            if let Some(mut reading) = process.reading.take() {
                reading.terminal.leave(wires, now);
            }
            self.process = None;
            let away = now.after(self.random.between(1, pause));
            self.away = (self.phase != Phase::Leaves).then_some(away);
        } else if self.random.one_in(400) {
            process.stand_still(wires, true);
            self.away = Some(now.after(self.random.between(1, pause)));
        } else if self.random.one_in(400) {
            process.member.leave(now);
        }
    }
}

fn give_out(member: &mut Member, batch: &Batch, oracle: &mut Oracle) {
    for (offset, _) in member.share().own(batch) {
        let who = (member.generation(), member.id());
        oracle.members().given(who, offset);
    }
    member.share_mut().advance(batch.next_offset());
}

/// Leaves out what the log has let go, if that is how a read has ended, and the member may.
fn skip(member: &mut Member, reset: Reset, error: &ClientError, oracle: &mut Oracle) -> bool {
    let before = member.share().clone();
    if reset.skip(member.share_mut(), error).is_none() {
        return false;
    }
    let ClientError::Refused { expected, .. } = error else {
        return false;
    };
    for slot in Slot::all() {
        let (from, to) = (before.next(slot), member.share().next(slot));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            let who = (member.generation(), member.id());
            let start = Offset(*expected);
            oracle.members().skipped(who, slot, from..to, start);
        }
    }
    true
}

/// What may happen to a client in a world of faults.
fn expected(error: &ClientError) {
    let is_expected = match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused { code, .. } => *code == ErrorCode::OffsetPastEnd,
        ClientError::TimedOut { .. }
        | ClientError::Io { .. }
        | ClientError::Protocol(_)
        | ClientError::Damaged(_)
        | ClientError::ChainBroken { .. }
        | ClientError::Closed
        | ClientError::AcceptedLost { .. }
        | ClientError::InvalidEvent(_) => false,
    };
    assert!(is_expected, "a member's question ends with {error}");
}

/// A cursor from an offset on. The nodes leave out what is not of these slots, or not.
fn cursor(random: &mut Random, addresses: &[String], (offset, slots): (Offset, Slots)) -> Cursor {
    let filter = Filter::default();
    let narrowed = random.one_in(2).then(|| filter.with(&Clause::Slots(slots)));
    let narrowed = narrowed.map(|filter| filter.expect("there is room for a clause"));
    let mut nodes = addresses.to_vec();
    nodes.rotate_left(random.below(addresses.len()));
    Cursor::new(CursorConfig {
        nodes,
        cluster: None,
        from: ReadFrom::Offset(offset),
        filter: narrowed.unwrap_or_default(),
        push: random.one_in(2),
        consistency: Consistency::Any,
        bytes_max: 1 << 20,
        check_chunks: true,
        stick: false,
        connect_timeout: Duration::from_millis(random.of(&[100, 1000])),
        request_timeout: Duration::from_millis(random.of(&[500, 2000])),
        patience: Duration::from_secs(5),
        seed: random.any(),
    })
}
