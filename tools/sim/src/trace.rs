//! What happened in a world, for whoever looks into a failure: lines to read, and one number that two equal runs share.
//!
//! Owns: the lines and the hash. Never: changes what happens. Called by: everything that happens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use quorate_wire::{NodeId, Time};

const MS: u64 = 1_000_000;

/// Lines that are kept when only the last ones are.
const LAST_LINES: usize = 400;

/// Characters of a node's column.
const COLUMN: usize = 28;

/// Which lines are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The last ones that matter.
    #[default]
    Last,
    /// All that matter.
    Notes,
    /// Each operation of each node too.
    Everything,
}

/// In whose column a line stands.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Across all columns: the world, and what goes wrong in it.
    World,
    /// A node's.
    Node(NodeId),
    /// The clients'.
    Clients,
}

/// Where things are told. Clones tell to the same place.
#[derive(Clone, Debug, Default)]
pub struct Trace(Rc<RefCell<Recorder>>);

#[derive(Debug, Default)]
struct Recorder {
    keep: Keep,
    now: Time,
    nodes: usize,
    lines: VecDeque<String>,
    hash: u64,
}

impl Trace {
    /// A trace that keeps these lines.
    #[must_use]
    pub fn keeping(keep: Keep) -> Self {
        let trace = Self::default();
        trace.0.borrow_mut().keep = keep;
        trace
    }

    /// It is now that late, in a world of so many nodes.
    pub fn now(&self, now: Time, nodes: usize) {
        let mut recorder = self.0.borrow_mut();
        (recorder.now, recorder.nodes) = (now, nodes);
    }

    /// It is now that late.
    pub fn set_now(&self, now: Time) {
        self.0.borrow_mut().now = now;
    }

    /// What time it was when something was told last.
    #[must_use]
    pub fn time(&self) -> Time {
        self.0.borrow().now
    }

    /// One number for all that happened, in its order.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.0.borrow().hash
    }

    /// Tells something that matters.
    pub fn say(&self, column: Column, what: fmt::Arguments<'_>) {
        self.0.borrow_mut().say(column, what);
    }

    /// Tells an operation of a node: `numbers` say all that makes it differ from another one, `what` says it to a reader.
    pub fn tell(&self, node: NodeId, numbers: [u64; 3], what: fmt::Arguments<'_>) {
        let mut recorder = self.0.borrow_mut();
        let now = recorder.now.0;
        recorder.mix(now ^ u64::from(node.0).rotate_left(48));
        for number in numbers {
            recorder.mix(number);
        }
        if recorder.keep == Keep::Everything {
            recorder.line(Column::Node(node), what);
        }
    }

    /// The lines, the oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().lines.iter().cloned().collect()
    }

    /// What stands above the lines.
    #[must_use]
    pub fn heading(&self) -> String {
        let nodes = self.0.borrow().nodes;
        let mut heading = format!("{:>12}  ", "ms");
        for node in 1..=nodes {
            heading.push_str(&format!("{:<COLUMN$}", format!("node {node}")));
        }
        heading.push_str("clients");
        heading
    }
}

impl Recorder {
    fn say(&mut self, column: Column, what: fmt::Arguments<'_>) {
        self.line(column, what);
        let line = self.lines.back().map_or(&[][..], |line| line.as_bytes());
        let hash = line.iter().fold(self.hash, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        self.hash = hash;
    }

    fn line(&mut self, column: Column, what: fmt::Arguments<'_>) {
        if self.keep == Keep::Last && self.lines.len() == LAST_LINES {
            self.lines.pop_front();
        }
        let (whole, rest) = (self.now.0 / MS, self.now.0 % MS);
        let before = match column {
            Column::World => None,
            Column::Node(node) => usize::try_from(node.0).ok().map(|node| node - 1),
            Column::Clients => Some(self.nodes),
        };
        let line = match before {
            None => format!("{whole:>5}.{rest:06}  ---- {what}"),
            Some(before) => {
                let width = before * COLUMN;
                format!("{whole:>5}.{rest:06}  {:width$}{what}", "")
            }
        };
        self.lines.push_back(line);
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
