//! One direction of a link: bytes on their way, in order, in bounded buffers.

use std::collections::VecDeque;

use quorate_wire::Time;

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Stream {
    runs: VecDeque<Run>,
    /// Bytes that the sender's and the receiver's buffers hold together.
    held: usize,
    /// Of them, those that were read, which the sender does not know yet.
    unacknowledged: usize,
    capacity: usize,
    /// When the last run arrives: none overtakes another.
    last: Time,
    end: Option<End>,
}

#[derive(Debug)]
struct Run {
    arrives: Time,
    bytes: Vec<u8>,
    read: usize,
}

/// What comes after the last byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) arrives: Time,
    /// The connection breaks, instead of coming to its end.
    pub(crate) reset: bool,
}

impl Stream {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            runs: VecDeque::new(),
            held: 0,
            unacknowledged: 0,
            capacity,
            last: Time(0),
            end: None,
        }
    }

    /// How many bytes can be taken from the sender now.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.held)
    }

    /// Takes bytes from the sender; they arrive at `arrives`, but not before earlier ones. Behind the end, they are lost.
    pub(crate) fn push(&mut self, bytes: &[u8], arrives: Time) {
        if self.end.is_some() {
            return;
        }
        self.last = self.last.max(arrives);
        self.held += bytes.len();
        self.runs.push_back(Run {
            arrives: self.last,
            bytes: bytes.to_vec(),
            read: 0,
        });
    }

    /// How many bytes have arrived and are not yet read.
    pub(crate) fn arrived(&self, now: Time) -> usize {
        self.runs
            .iter()
            .take_while(|run| run.arrives <= now)
            .map(|run| run.bytes.len() - run.read)
            .sum()
    }

    /// Reads the first bytes, which have arrived.
    pub(crate) fn read(&mut self, mut into: &mut [u8]) {
        self.unacknowledged += into.len();
        while !into.is_empty() {
            let run = self.runs.front_mut().expect("the bytes have arrived");
            let bytes = run.bytes.get(run.read..).unwrap_or_default();
            let count = bytes.len().min(into.len());
            let (to, rest) = into.split_at_mut(count);
            to.copy_from_slice(bytes.get(..count).unwrap_or_default());
            run.read += count;
            into = rest;
            if run.read == run.bytes.len() {
                self.runs.pop_front();
            }
        }
    }

    /// Whether the sender has something to learn of.
    pub(crate) fn frees(&self) -> bool {
        self.unacknowledged > 0
    }

    /// The sender learns what was read.
    pub(crate) fn acknowledge(&mut self) {
        self.held -= std::mem::take(&mut self.unacknowledged);
    }

    /// Nothing follows what is on its way.
    pub(crate) fn finish(&mut self, end: End) {
        let arrives = end.arrives.max(self.last);
        self.end.get_or_insert(End { arrives, ..end });
    }

    /// The last `bytes` of what is on its way, at most all, are lost: then the connection breaks.
    pub(crate) fn lose(&mut self, mut bytes: usize) {
        while bytes > 0
            && let Some(run) = self.runs.back_mut()
        {
            let lost = bytes.min(run.bytes.len() - run.read);
            run.bytes.truncate(run.bytes.len() - lost);
            bytes -= lost;
            self.held -= lost;
            if run.read == run.bytes.len() {
                self.runs.pop_back();
            }
        }
    }

    /// Changes one bit of what is on its way.
    pub(crate) fn garble(&mut self, mut byte: usize, bit: u32) {
        for run in &mut self.runs {
            let left = run.bytes.len() - run.read;
            if let Some(byte) = run.bytes.get_mut(run.read + byte) {
                *byte ^= 1 << bit;
                return;
            }
            byte -= left;
        }
    }

    /// How many bytes are on their way or unread.
    pub(crate) fn bytes(&self) -> usize {
        self.held - self.unacknowledged
    }

    /// Nothing arrives before `until`.
    pub(crate) fn delay(&mut self, until: Time) {
        for run in &mut self.runs {
            run.arrives = run.arrives.max(until);
        }
        self.last = self.last.max(until);
        if let Some(end) = &mut self.end {
            end.arrives = end.arrives.max(until);
        }
    }

    /// When the reader would next get something; the moment may have passed.
    pub(crate) fn next(&self) -> Option<Time> {
        let first = self.runs.front().map(|run| run.arrives);
        first.or_else(|| self.end.map(|end| end.arrives))
    }

    /// The end, once it has arrived; before the bytes are all read, only a break is seen.
    pub(crate) fn ended(&self, now: Time) -> Option<End> {
        self.end
            .filter(|end| end.arrives <= now && (end.reset || self.runs.is_empty()))
    }

    /// When a break arrives.
    pub(crate) fn breaks(&self) -> Option<Time> {
        self.end.filter(|end| end.reset).map(|end| end.arrives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_in_order_and_within_the_capacity() {
        let mut stream = Stream::new(8);
        stream.push(b"abcde", Time(10));
        stream.push(b"fgh", Time(5));
        assert_eq!((stream.room(), stream.arrived(Time(9))), (0, 0));
        assert_eq!(stream.arrived(Time(10)), 8, "the second does not overtake");
        let mut into = [0; 6];
        stream.read(&mut into);
        assert_eq!(&into, b"abcdef");
        assert_eq!(stream.room(), 0, "the sender does not know yet");
        stream.acknowledge();
        assert_eq!(stream.room(), 6);
    }

    #[test]
    fn an_end_comes_after_the_bytes_and_a_break_does_not_wait() {
        let mut stream = Stream::new(8);
        stream.push(b"abc", Time(10));
        stream.finish(End {
            arrives: Time(1),
            reset: false,
        });
        assert!(stream.ended(Time(10)).is_none(), "bytes are unread");
        stream.read(&mut [0; 3]);
        assert!(stream.ended(Time(10)).is_some());
        let mut stream = Stream::new(8);
        stream.push(b"abc", Time(10));
        stream.lose(2);
        stream.finish(End {
            arrives: Time(20),
            reset: true,
        });
        assert_eq!(stream.bytes(), 1);
        assert!(stream.ended(Time(20)).is_some());
    }
}
