//! What a run of `produce` leaves for the next one, in a small file: who it was, and how far it came.
//!
//! An event's sequence is its place in the input, and chunks end at the same places in each run. So what a killed run had sent and
//! nobody heard of is sent again as it was, and the cluster takes each sequence once.
//!
//! Owns: the file. Never: sends anything. Called by: `produce`.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use quorate_client::{Epoch, ProducerId, ProducerOptions, Sequence};
use quorate_wire::checksum::{Crc32, crc32};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// The file's length: one write, within one sector, so that it is never half of one state and half of another.
const BYTES: usize = 512;

/// So many chunks are acknowledged between two writes. A node knows a producer's last 1,024 chunks: those that the state does not
/// yet tell of, and those in flight, are fewer.
const CHUNKS_BETWEEN: u64 = 256;

/// Most chunks in flight.
pub(super) const IN_FLIGHT_MAX: usize = 512;

/// Events between two marks.
const EVENTS_BETWEEN: u64 = 256;

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    producer: u64,
    /// Of the options that decide which events there are, and where chunks end.
    options: u32,
    /// Events that are acknowledged.
    acked: u64,
    /// The checksum of the first so many events.
    checked: u64,
    checksum: u32,
    /// A chunk ends before this event although it is not full: there a run had nothing more to send.
    cut: u64,
}

/// The state, and how far the input has been followed.
#[derive(Debug)]
pub(super) struct Resume {
    file: File,
    name: String,
    state: State,
    /// Events of the input so far.
    events: u64,
    crc: Crc32,
    /// Checksums of beginnings of the input that are not yet acknowledged.
    marks: VecDeque<(u64, u32)>,
    /// Chunks that were acknowledged when the file was last written.
    written: u64,
}

impl Resume {
    /// Takes up what the file holds; a new producer if there is none. `options` is what must be the same in each run.
    pub(super) fn open(path: &Path, options: &str) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Failure::new(format!("{name}: {error}"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| {
                failed(error)
                    .cure("name a file in a directory that is there and that you may write")
            })?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let failure = Failure::new(format!("{name}: another run is using it"));
            return Err(failure.cure("wait until it has ended, or name another file"));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let options = crc32(&[options.as_bytes()]);
        let state = if text.is_empty() {
            State {
                version: 1,
                producer: ProducerOptions::draw_producer()?.0,
                options,
                acked: 0,
                checked: 0,
                checksum: 0,
                cut: 0,
            }
        } else {
            parse(&text).ok_or_else(|| {
                Failure::new(format!("{name} is no state of `quorate produce --resume`"))
                    .cure("name another file; one that does not exist begins anew")
            })?
        };
        if state.options != options {
            let failure = Failure::usage(format!("{name} is of a run with other options"));
            return Err(failure.cure("topic, key, --skip-header and --batch must stay the same"));
        }
        let resume = Self {
            file,
            name,
            state,
            events: 0,
            crc: Crc32::default(),
            marks: VecDeque::new(),
            written: 0,
        };
        resume.write().map_err(|error| resume.unwritten(&error))?;
        if text.is_empty() {
            // A name that is lost with the power would let the next run begin anew.
            sync_folder(path).map_err(|error| resume.unwritten(&error))?;
        }
        Ok(resume)
    }

    /// Makes the producer that of the earlier runs.
    pub(super) fn adjust(&self, options: &mut ProducerOptions) {
        options.producer = Some(ProducerId(self.state.producer));
        options.epoch = Epoch(0);
        options.first = Sequence(self.state.acked);
        // Chunks end where the input says, not the clock.
        options.linger = Duration::MAX;
    }

    /// The input's next event. Returns whether it is to be sent: earlier runs have sent those before.
    pub(super) fn event(&mut self, key: u64, payload: &[u8]) -> Result<bool, Failure> {
        let length = u64::try_from(payload.len()).expect("a size fits into 64 bits");
        self.crc.update(&key.to_le_bytes());
        self.crc.update(&length.to_le_bytes());
        self.crc.update(payload);
        self.events += 1;
        if self.events == self.state.checked && self.crc.value() != self.state.checksum {
            return Err(self.other_input());
        }
        if self.events.is_multiple_of(EVENTS_BETWEEN) {
            self.marks.push_back((self.events, self.crc.value()));
        }
        Ok(self.events > self.state.acked)
    }

    /// Whether the open chunk ended here in an earlier run.
    pub(super) fn cuts_here(&self) -> bool {
        self.events == self.state.cut
    }

    /// Whether all that the state knows of the input was seen.
    pub(super) fn check_end(&self) -> Result<(), Failure> {
        if self.events < self.state.acked {
            return Err(self.other_input());
        }
        Ok(())
    }

    fn other_input(&self) -> Failure {
        let Self { name, state, .. } = self;
        let failure = Failure::new(format!(
            "{name} is of another input: its first {} events were others",
            state.checked.max(state.acked)
        ));
        failure.cure("name the input that the state is of, or another state")
    }

    /// There is nothing more to send. Returns whether the open chunk may be sealed: not if an earlier run had sent more.
    pub(super) fn end(&mut self) -> Result<bool, Failure> {
        if self.events < self.state.cut.max(self.state.acked) {
            return Ok(false);
        }
        self.state.cut = self.events;
        self.write().map_err(|error| self.unwritten(&error))?;
        Ok(true)
    }

    /// So many events, and so many chunks of this run, are acknowledged.
    pub(super) fn acknowledged(&mut self, before: Sequence, chunks: u64) -> Result<(), Failure> {
        if chunks - self.written >= CHUNKS_BETWEEN {
            self.written = chunks;
            self.save(before)?;
        }
        Ok(())
    }

    /// Writes down how far it came.
    pub(super) fn save(&mut self, before: Sequence) -> Result<(), Failure> {
        self.state.acked = before.0;
        while let Some((events, checksum)) = self.marks.front().copied()
            && events <= before.0
        {
            (self.state.checked, self.state.checksum) = (events, checksum);
            self.marks.pop_front();
        }
        self.write().map_err(|error| self.unwritten(&error))
    }

    fn unwritten(&self, error: &io::Error) -> Failure {
        Failure::new(format!("{}: {error}", self.name))
    }

    fn write(&self) -> io::Result<()> {
        let mut text = serde_json::to_string(&self.state).expect("numbers have a form");
        assert!(text.len() < BYTES, "seven numbers are short");
        text.push_str(&" ".repeat(BYTES - text.len() - 1));
        text.push('\n');
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.sync_data()
    }
}

fn parse(text: &str) -> Option<State> {
    let state: State = serde_json::from_str(text).ok()?;
    (state.version == 1 && state.checked <= state.acked).then_some(state)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use quorate_client::{ProducerOptions, Sequence};
    use tempfile::TempDir;

    use super::{BYTES, CHUNKS_BETWEEN, Resume};

    fn place() -> (TempDir, PathBuf) {
        let directory = TempDir::new().expect("there is room");
        let path = directory.path().join("state");
        (directory, path)
    }

    /// Follows so many events, and says how many of them are to be sent.
    fn follow(resume: &mut Resume, events: u64) -> u64 {
        let sent = (0..events).filter(|event| {
            let is_new = resume.event(7, &event.to_le_bytes());
            is_new.expect("it is the same input")
        });
        u64::try_from(sent.count()).expect("few")
    }

    fn options(resume: &Resume) -> ProducerOptions {
        let mut options = ProducerOptions::new(["a:1"]);
        resume.adjust(&mut options);
        options
    }

    #[test]
    fn a_run_goes_on_where_the_one_before_it_was_acknowledged() {
        let (_directory, path) = place();
        let mut first = Resume::open(&path, "the options").expect("it is made");
        let id = options(&first).producer;
        assert_eq!(follow(&mut first, 1_000), 1_000);
        first
            .acknowledged(Sequence(600), CHUNKS_BETWEEN)
            .expect("it is written");
        first
            .acknowledged(Sequence(700), CHUNKS_BETWEEN + 1)
            .expect("too early to be written");
        drop(first);
        let length = std::fs::metadata(&path).expect("it is there").len();
        assert_eq!(usize::try_from(length).ok(), Some(BYTES));

        let mut second = Resume::open(&path, "the options").expect("it is read");
        let options = options(&second);
        assert_eq!((options.producer, options.first), (id, Sequence(600)));
        assert!(id.is_some());
        assert_eq!(follow(&mut second, 1_000), 400);
        assert!(second.check_end().is_ok());
    }

    #[test]
    fn the_end_of_a_run_is_where_a_chunk_ends_in_the_next() {
        let (_directory, path) = place();
        let mut first = Resume::open(&path, "").expect("it is made");
        follow(&mut first, 10);
        assert!(first.end().expect("it is written"));
        drop(first);
        // It was killed before it heard of the acknowledgement, and the input has grown.
        let mut second = Resume::open(&path, "").expect("it is read");
        let cuts: Vec<_> = (0..20_u64)
            .filter(|event| {
                let sent = second.event(7, &event.to_le_bytes());
                assert!(sent.expect("nothing was checked"));
                second.cuts_here()
            })
            .collect();
        assert_eq!(cuts, [9]);
        drop(second);
        // Before that place, a chunk must not end anywhere else.
        let mut third = Resume::open(&path, "").expect("it is read");
        follow(&mut third, 5);
        assert!(!third.end().expect("nothing is to be written"));
    }

    #[test]
    fn another_input_other_options_and_other_files_are_refused() {
        let (_directory, path) = place();
        let mut first = Resume::open(&path, "a").expect("it is made");
        assert!(Resume::open(&path, "a").is_err(), "it is in use");
        follow(&mut first, 300);
        first.save(Sequence(300)).expect("it is written");
        drop(first);
        assert!(Resume::open(&path, "b").is_err(), "other options");

        let mut other = Resume::open(&path, "a").expect("it is read");
        let refused = (0..300_u64)
            .map(|event| other.event(8, &event.to_le_bytes()))
            .find(Result::is_err);
        assert!(refused.is_some(), "other keys are other events");
        drop(other);
        let mut short = Resume::open(&path, "a").expect("it is read");
        follow(&mut short, 299);
        assert!(short.check_end().is_err(), "an event is missing");
        drop(short);

        std::fs::write(&path, "{}").expect("it is ours");
        assert!(Resume::open(&path, "a").is_err(), "no state at all");
    }
}
