//! What the disk has done.

use quorate_raft::{Config, Input, Raft, Recovered, Want};
use quorate_wire::{LogIndex, Position, Time};

use super::config::{APPEND_BYTES_MAX, WINDOW_APPENDS, WINDOW_BYTES};
use super::core::Beside;
use super::fetch::ReadFor;
use super::{Note, Pipeline, Reopen};
use crate::log::{Fatal, From, LogEvent, Read, ReadError, ReadRecords};
use crate::seam::Seam;

impl Pipeline {
    /// Tells the log and the core what has become durable, and hands out what was read.
    pub(super) fn reap_disk(&mut self, now: Time, seam: &mut impl Seam) -> Result<(), Fatal> {
        let mut done = core::mem::take(&mut self.scratch.done);
        let mut events = core::mem::take(&mut self.scratch.log);
        seam.completed(&mut done);
        self.counts.completions += done.len() as u64;
        for done in done.drain(..) {
            self.log.completed(done, seam, &mut events)?;
        }
        for event in events.drain(..) {
            self.on_log(event, now, seam);
        }
        self.scratch.done = done;
        self.scratch.log = events;
        Ok(())
    }

    fn on_log(&mut self, event: LogEvent, now: Time, seam: &mut impl Seam) {
        match event {
            LogEvent::Durable(mark) => {
                self.tail.written();
                self.step(Input::LogDurable { mark }, seam);
            }
            LogEvent::HardStateDurable { version } => {
                self.step(Input::HardStateDurable { version }, seam)
            }
            LogEvent::MembersDurable => self.begin(now, seam),
            LogEvent::RoomMade => {
                if core::mem::take(&mut self.disk_full) {
                    self.notes.push(Note::RoomMade);
                }
            }
            LogEvent::DiskFull => {
                if !core::mem::replace(&mut self.disk_full, true) {
                    self.notes.push(Note::DiskFull);
                }
            }
            LogEvent::ReadVoid { token } => self.read_void(token, seam),
            LogEvent::Damaged(error) => self.found_damaged(error, seam),
            LogEvent::Released { upto } => self.released(upto, seam),
            LogEvent::Snapshot(event) => self.on_snapshot(event, seam),
            LogEvent::MendReady | LogEvent::Mended | LogEvent::MendFailed | LogEvent::GivenUp => {
                self.on_mend(&event, seam);
            }
            LogEvent::Read { token, result } => {
                let records = match result {
                    Ok(records) => records,
                    Err(error) => {
                        self.found_damaged(error, seam);
                        return self.read_void(token, seam);
                    }
                };
                let read_for = self.fetches.read_done(token);
                if matches!(read_for, ReadFor::Peer(..) | ReadFor::Lend(_)) {
                    let bytes = records.bytes.len() as u64;
                    self.catch_up.governor.spend(bytes, now);
                }
                match read_for {
                    ReadFor::Fetch(fetch) => self.fetched(fetch, &records, seam),
                    ReadFor::Lend(lend) => self.lend(lend, &records.bytes),
                    ReadFor::Ahead(from, _) => self.fetches.ahead.push_back((from, records)),
                    ReadFor::Scrub => self.scrubbed(records.last, records.bytes.len(), now),
                    ReadFor::Peer(want, term)
                        if self.led && term == self.term() && want.first > self.log.start() =>
                    {
                        self.read_for_peer_done(want, &records, seam);
                    }
                    // Another leader's records may be about to take the place of those that were read.
                    ReadFor::Peer(..) => {}
                }
            }
        }
    }

    /// Bytes that were durable have changed: this copy is not whole, and must not pass for it.
    fn found_damaged(&mut self, error: ReadError, seam: &mut impl Seam) {
        if self.repair.is_none() && self.reopen.is_none() {
            // What this node knows to be damage now must not pass for a torn end at the next start.
            self.log.note_reached(seam);
            self.reopen = Some(Reopen::Damaged(error));
        }
    }

    /// A group of one has met everybody from the start: nobody's greeting will complete it.
    pub(super) fn form_alone(&mut self, seam: &mut impl Seam) {
        if self.raft.is_none()
            && self.log.superblock().members.is_empty()
            && let Some(members) = self.membership.complete()
        {
            self.log.store_members(&members, seam);
        }
    }

    /// The members are written down: the group begins, at the turn's own time, which is also that of its first tick.
    fn begin(&mut self, now: Time, seam: &mut impl Seam) {
        if self.raft.is_some() {
            return;
        }
        self.membership
            .formed(self.log.superblock().members.clone());
        self.members_due = true;
        self.notes.push(Note::Formed);
        self.start_raft(Recovered::default(), now);
        for (peer, disk) in self.peers_up() {
            self.step(Input::PeerUp { peer, disk }, seam);
        }
        self.greet_all();
    }

    /// Creates the core.
    pub(super) fn start_raft(&mut self, mut recovered: Recovered, now: quorate_wire::Time) {
        assert!(
            recovered.commit == self.state.applied(),
            "recovery applies what it knows to be committed"
        );
        self.known = recovered.last;
        let founding = (LogIndex(0), self.membership.founding().members());
        let named = self.state.member_lists();
        let named = named.map(|(at, list)| (*at, list.members()));
        recovered.members = core::iter::once(founding).chain(named).collect();
        let config = Config {
            id: self.config.node,
            disk: self.membership.disk(),
            heartbeat: self.config.heartbeat,
            election_min: self.config.election_min,
            election_max: self.config.election_max,
            slack_max: self.config.election_slack,
            lease_reads: self.config.lease_reads,
            append_bytes_max: APPEND_BYTES_MAX,
            window_bytes: WINDOW_BYTES,
            window_appends: WINDOW_APPENDS,
            seed: self.config.seed,
        };
        self.raft = Some(Raft::new(config, recovered, now));
    }

    /// Reads what a peer wants and the memory has no more.
    pub(super) fn read_for_peer(&mut self, want: Want, seam: &mut impl Seam) {
        let token = self.fetches.open(ReadFor::Peer(want, self.term()));
        let read = Read {
            token,
            from: From::Index(want.first),
            through: want.last,
            bytes_max: usize::try_from(want.bytes_max).expect("32 bits fit into a size"),
            one_term: true,
        };
        if self.log.read(read, seam).is_err() {
            // What the memory has forgotten is durable: these have been released, and the core wants others.
            assert!(
                want.first <= self.log.start(),
                "only what is released is gone"
            );
            self.fetches.read_done(token);
        }
    }

    /// A read found its records gone: the leader that wanted them for a peer leads no more, or will want others.
    pub(super) fn read_void(&mut self, token: u64, seam: &mut impl Seam) {
        match self.fetches.read_done(token) {
            ReadFor::Peer(want, term) => {
                if self.led && term == self.term() && want.first > self.log.start() {
                    self.wants.push(want);
                }
            }
            ReadFor::Fetch(fetch) => self.unreadable(fetch, seam),
            ReadFor::Lend(lend) => self.lend(lend, &[]),
            // Who asks for it will hear why.
            ReadFor::Ahead(..) => {}
            ReadFor::Scrub => self.scrubbed_void(seam.now()),
        }
    }

    fn read_for_peer_done(&mut self, want: Want, records: &ReadRecords, seam: &mut impl Seam) {
        let bytes = u32::try_from(records.bytes.len()).expect("a read is bounded");
        let expected = self.raft.as_ref().and_then(|raft| raft.term_at(want.first));
        let read = Position {
            term: records.term,
            index: records.first,
        };
        assert!(
            expected == Some(read.term) && read.index == want.first,
            "the log holds what the core knows"
        );
        let last: LogIndex = records.last;
        let ready = Input::Ready {
            peer: want.peer,
            session: want.session,
            first: want.first,
            last,
            bytes,
        };
        self.step_with(ready, Beside::Read(&records.bytes), seam);
    }
}
