//! A leader's view of one peer.
//!
//! Owns: what the peer has, and the conversation with it: what to send next and what is on the way. Everything that a leader
//! sends to a peer leaves through `Talk::send`: two paths could overtake one another (TRAPS 13).
//! Never: counts quorums.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{LogIndex, NodeId, Position, SessionId, Term, Time};

use crate::rounds::{Confirmed, Rounds};
use crate::terms::Terms;
use crate::window::Window;
use crate::{Append, Config, Envelope, Message, Output, Run, Want};

/// One peer, for as long as this node leads.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The peer's log agrees with ours up to here, and is durable up to here. Never falls in a session (TRAPS 12). Each session
    /// starts from nothing: the peer may come back without what it has acknowledged (`unsure.rs`).
    matched: LogIndex,
    /// The highest index that this node has spoken of to the peer in this term: no honest answer is above it.
    told: LogIndex,
    /// When the peer last answered; what arrives between two ticks is dated at the second.
    heard: Time,
    heard_since_tick: bool,
    /// When it came back after it had been away for a while. What was sent to it before says nothing of how slow it is.
    back: Time,
    confirmed: Confirmed,
    /// `None` while the peer is down.
    talk: Option<Talk>,
}

/// What a leader needs to know of itself to talk to its peers.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) term: Term,
    pub(crate) commit: LogIndex,
    /// How many reads were ever asked.
    pub(crate) reads_asked: u64,
    /// How many of them an append has to leave after; zero: none waits for one.
    pub(crate) reads_due: u64,
    pub(crate) now: Time,
    pub(crate) terms: &'a Terms,
    pub(crate) config: &'a Config,
}

/// One unbroken conversation.
#[derive(Clone, Debug)]
struct Talk {
    session: SessionId,
    /// Number of the latest append.
    round: u64,
    /// When it left.
    spoke: Option<Time>,
    rounds: Rounds,
    /// First record that was not sent yet. Invariant: the record before it is in our log.
    next: LogIndex,
    flow: Flow,
}

#[derive(Clone, Debug)]
enum Flow {
    /// Looks for the place where the logs agree, one empty append at a time.
    Probe {
        /// The first round that asked about this `next`: answers to earlier ones say nothing about it. `None`: not yet asked.
        since: Option<u64>,
    },
    /// The peer lacks records that have been released: the driver sends it a snapshot. Meanwhile `next` is the first record that
    /// is here, and heartbeats show whether the peer has the one before it.
    Snapshot {
        /// As in `Probe`.
        since: Option<u64>,
    },
    /// The logs agree before `next`: sends ahead without waiting.
    Replicate {
        window: Window,
        /// The last record of the open want. Its first is `next`.
        want: Option<LogIndex>,
    },
}

impl Progress {
    /// A peer of a new leader. It counts as heard from now: a leader gets one election timeout to reach a majority.
    pub(crate) fn new(now: Time) -> Self {
        Self {
            matched: LogIndex(0),
            told: LogIndex(0),
            heard: now,
            heard_since_tick: false,
            back: now,
            confirmed: Confirmed::default(),
            talk: None,
        }
    }

    pub(crate) fn matched(&self) -> LogIndex {
        self.matched
    }

    pub(crate) fn confirmed(&self) -> Confirmed {
        self.confirmed
    }

    /// When what it answered to last was sent, unless it has been away since.
    pub(crate) fn answered_to(&self) -> Option<Time> {
        self.confirmed.at.filter(|&left| left >= self.back)
    }

    pub(crate) fn heard(&self, now: Time) -> Time {
        if self.heard_since_tick {
            now
        } else {
            self.heard
        }
    }

    pub(crate) fn on_tick(&mut self, now: Time) {
        self.heard = self.heard(now);
        self.heard_since_tick = false;
    }

    /// A conversation starts by asking whether the peer has everything before `next`.
    pub(crate) fn open(&mut self, session: SessionId, next: LogIndex) {
        if !canary::on(Canary::AckOutlivesSession) {
            self.matched = LogIndex(0);
        }
        self.talk = Some(Talk {
            session,
            round: 0,
            spoke: None,
            rounds: Rounds::new(),
            next,
            flow: Flow::Probe { since: None },
        });
    }

    pub(crate) fn close(&mut self) {
        self.talk = None;
    }

    /// Whether the peer lacks records that have been released.
    pub(crate) fn needs_snapshot(&self) -> bool {
        let talk = self.talk.as_ref();
        talk.is_some_and(|talk| matches!(talk.flow, Flow::Snapshot { .. }))
    }

    /// Records have been released, perhaps some that the peer lacks.
    pub(crate) fn on_released(&mut self, terms: &Terms) {
        if let Some(talk) = &mut self.talk
            && talk.next <= terms.start().index
        {
            talk.begin_at_start(terms);
        }
    }

    /// When the peer wants to hear from us, at the latest.
    pub(crate) fn deadline(&self, now: Time, heartbeat: u64) -> Option<Time> {
        self.talk.as_ref().map(|talk| talk.deadline(now, heartbeat))
    }

    /// Asks for the records that may go next; if there are none, sends a probe or a heartbeat when one is due.
    pub(crate) fn gather(&mut self, peer: NodeId, view: &View<'_>, output: &mut Output) {
        let Some(talk) = &mut self.talk else { return };
        if talk.rounds.wants(view.reads_due) {
            // Without records: they are answered when they are durable, this at once.
            self.told = self.told.max(talk.send(peer, view, 0, output));
        }
        if talk.open_want(peer, view, output) {
            return; // The records will speak; if they are long in coming, the next gathering finds the want still open.
        }
        if talk.deadline(view.now, view.config.heartbeat) <= view.now {
            self.told = self.told.max(talk.send(peer, view, 0, output));
        }
    }

    /// The records that were wanted are at hand: sends them, unless the conversation has gone another way since.
    pub(crate) fn send_ready(
        &mut self,
        peer: NodeId,
        view: &View<'_>,
        ready: &Ready,
        output: &mut Output,
    ) {
        let Some(talk) = self
            .talk
            .as_mut()
            .filter(|talk| talk.session == ready.session)
        else {
            return;
        };
        let Flow::Replicate { window, want } = &mut talk.flow else {
            return;
        };
        let Some(limit) = want.filter(|_| ready.first == talk.next) else {
            return;
        };
        assert!(
            ready.first <= ready.last && ready.last <= limit,
            "records at hand are within the want"
        );
        *want = None;
        window.push(ready.last, ready.bytes);
        let count = ready.last.0 - ready.first.previous().0;
        let count = u32::try_from(count)
            .expect("an append has fewer records than bytes, and its bytes fit");
        self.told = self.told.max(talk.send(peer, view, count, output));
    }

    /// Whether an answer belongs to the conversation of now.
    pub(crate) fn converses(&self, session: SessionId, round: u64) -> bool {
        self.talk
            .as_ref()
            .is_some_and(|talk| talk.session == session && round <= talk.round)
    }

    /// The peer answered, in this term.
    pub(crate) fn hear(&mut self, round: u64, now: Time, away: u64) {
        if now.since(self.heard(now)) > away {
            self.back = now;
        }
        self.heard_since_tick = true;
        if let Some(talk) = &mut self.talk {
            talk.rounds.answered(round, &mut self.confirmed);
        }
    }

    /// The peer's log agrees with ours and is durable up to `durable`. Says whether that is news.
    pub(crate) fn on_durable(&mut self, round: u64, durable: LogIndex, config: &Config) -> bool {
        if durable > self.told {
            return false; // No honest answer says this: nothing follows from it.
        }
        if let Some(talk) = &mut self.talk {
            talk.on_durable(round, durable, config);
        }
        let news = durable > self.matched;
        self.matched = self.matched.max(durable);
        news
    }

    /// The peer does not have the record at `refused`, or another one; `hint` is where to look next.
    pub(crate) fn on_conflict(
        &mut self,
        round: u64,
        refused: LogIndex,
        hint: Position,
        terms: &Terms,
    ) {
        let matched = self.matched;
        if let Some(talk) = &mut self.talk {
            talk.on_conflict(round, refused, hint, matched, terms);
        }
    }
}

/// Records at hand, as the driver reports them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) session: SessionId,
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    pub(crate) bytes: u32,
}

impl Talk {
    fn deadline(&self, now: Time, heartbeat: u64) -> Time {
        match (&self.flow, self.spoke) {
            (Flow::Probe { since: None }, _) | (_, None) => now,
            (
                Flow::Probe { since: Some(_) } | Flow::Snapshot { .. } | Flow::Replicate { .. },
                Some(spoke),
            ) => spoke.after(heartbeat),
        }
    }

    /// Says whether a want was opened.
    fn open_want(&mut self, peer: NodeId, view: &View<'_>, output: &mut Output) -> bool {
        let Flow::Replicate { window, want } = &mut self.flow else {
            return false;
        };
        if want.is_some() || self.next > view.terms.last().index {
            return false;
        }
        let Some(bytes_max) = window.room(view.config) else {
            return false;
        };
        let last = view.terms.run_end(self.next);
        *want = Some(last);
        output.want.push(Want {
            peer,
            session: self.session,
            first: self.next,
            last,
            bytes_max,
        });
        true
    }

    /// The one sending path. Returns the last index that the append speaks of.
    fn send(&mut self, peer: NodeId, view: &View<'_>, count: u32, output: &mut Output) -> LogIndex {
        let previous = view
            .terms
            .position(self.next.previous())
            .expect("a leader has the record before `next`");
        let last = previous.index.plus(u64::from(count));
        let term = view
            .terms
            .term_at(last)
            .expect("a leader has what it sends");
        let entries = if count == 0 {
            Run::default()
        } else {
            Run { term, count }
        };
        self.round += 1;
        self.spoke = Some(view.now);
        self.rounds.push(self.round, view.reads_asked, view.now);
        self.next = last.next();
        if let Flow::Probe { since } | Flow::Snapshot { since } = &mut self.flow {
            since.get_or_insert(self.round);
        }
        let (term, session, round, commit) = (view.term, self.session, self.round, view.commit);
        let append = Append {
            term,
            session,
            round,
            previous,
            entries,
            commit,
        };
        output.send.push(Envelope {
            to: peer,
            message: Message::Append(append),
        });
        last
    }

    fn on_durable(&mut self, round: u64, durable: LogIndex, config: &Config) {
        match &mut self.flow {
            Flow::Probe { since } | Flow::Snapshot { since } => {
                if since.is_some_and(|since| round >= since) {
                    self.flow = Flow::Replicate {
                        window: Window::new(config),
                        want: None,
                    };
                    self.skip_to(durable.next());
                }
            }
            Flow::Replicate { window, .. } => {
                window.release(durable);
                self.skip_to(durable.next());
            }
        }
    }

    /// What the peer has need not be sent, whatever was planned: it may have it from an earlier session of this term.
    fn skip_to(&mut self, next: LogIndex) {
        if let Flow::Replicate { want, .. } = &mut self.flow
            && next > self.next
        {
            self.next = next;
            *want = None;
        }
    }

    fn on_conflict(
        &mut self,
        round: u64,
        refused: LogIndex,
        hint: Position,
        matched: LogIndex,
        terms: &Terms,
    ) {
        let stale = match &self.flow {
            // Only the answer to the question of now counts: an earlier `next` was refused before.
            Flow::Probe { since } => {
                since.is_none_or(|since| round < since) || refused != self.next.previous()
            }
            // It is known, and told with each heartbeat.
            Flow::Snapshot { .. } => true,
            // The peer has shown since that it has this record. One that was never sent is refused by nobody honest.
            Flow::Replicate { .. } => refused < matched || refused >= self.next,
        };
        if stale || refused == LogIndex(0) {
            return;
        }
        // The peer has nothing of ours after the hint, and we have nothing of the peer's after our last position within the
        // hint. It lies before the refused record, so each refusal makes progress, in steps of whole terms.
        let agreed = terms.last_within(hint);
        let agreed = agreed.map(|agreed| agreed.index.min(refused.previous()));
        match agreed.filter(|&agreed| agreed >= terms.start().index) {
            Some(agreed) => {
                self.next = agreed.next();
                self.flow = Flow::Probe { since: None };
            }
            None => self.begin_at_start(terms),
        }
    }

    fn begin_at_start(&mut self, terms: &Terms) {
        self.next = terms.start().index.next();
        self.flow = Flow::Snapshot { since: None };
    }
}
