//! `quorate log`: looks into the log of a node that does not run.

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use quorate_client::{ErrorCode, LogIndex};
use quorate_engine::files::{DataDir, GroupFiles};
use quorate_replication::log::{
    Cut, Damage, Inspected, InspectedSnapshot, Summary, inspect, inspect_snapshots,
};
use quorate_replication::seam::SegmentId;
use quorate_wire::GroupId;
use serde::Serialize;

use crate::log_view::{HEADING, Shown};
use crate::table::{Table, thousands};
use crate::{Failure, terminal};

/// So many damaged places are listed; the others are counted.
const LISTED_MAX: usize = 100;

const EXAMPLES: &str = "\
Examples:
  quorate log verify /tmp/q/node-1                    every record of every segment
  quorate log dump /tmp/q/node-1 --from 100 --count 3 --events
  quorate log dump /tmp/q/node-1 --json | jq 'select(.void)'

DIR is a node's data directory, or the directory of one of its groups. The node must not run, and cannot start meanwhile: a log
that is being written has an end that is not finished. Nothing is changed. Exit status 71 if anything is damaged; an end that
was never finished is none: the next start cuts it off.";

/// What to do with which log.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every record: its checksums, and that it continues the one before it; and every snapshot.
    Verify(Verify),
    /// Print every record, a line each.
    Dump(Dump),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Verify {
    /// The data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Dump {
    /// The data directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The first record, by its index.
    #[arg(long, value_name = "INDEX", default_value = "1")]
    from: u64,
    /// End after so many records.
    #[arg(long, value_name = "RECORDS")]
    count: Option<u64>,
    /// Print each record's events too.
    #[arg(long)]
    events: bool,
    /// Print a JSON object for each record.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Verify(args) => verify(args),
        Command::Dump(args) => dump(args),
    }
}

/// The files of the group that a directory holds, or is.
fn files(dir: &Path) -> Result<GroupFiles, Failure> {
    let (data, group) = group_of(dir).unwrap_or((dir, GroupId(0)));
    let data = DataDir::inspect(data).map_err(|error| {
        let in_use = error.code == ErrorCode::DataInUse;
        let failure = Failure::from(error).of_command();
        if in_use {
            failure.cure("stop the node first (SIGTERM, or `quorate cluster down`): its log has no end while it is written")
        } else {
            failure
        }
    })?;
    Ok(data.group(group))
}

/// The data directory and the group of a group's directory, if it is one by its name.
fn group_of(dir: &Path) -> Option<(&Path, GroupId)> {
    let group = dir.file_name()?.to_str()?.strip_prefix("group-")?;
    let data = dir.parent()?;
    let data = if data.as_os_str().is_empty() {
        Path::new(".")
    } else {
        data
    };
    Some((data, GroupId(group.parse().ok()?)))
}

/// Looks at everything in a log.
fn look(files: &GroupFiles, visit: &mut dyn FnMut(Inspected<'_>)) -> Result<Summary, Failure> {
    inspect(files, visit).map_err(|error| Failure::from(error).of_command())
}

/// What was found. Field names are those of the JSON object.
#[derive(Debug, Default, Serialize)]
struct Verified {
    directory: String,
    sound: bool,
    segments: u64,
    records: u64,
    void_records: u64,
    events: u64,
    first_index: u64,
    last_index: u64,
    last_term: u64,
    /// The record before the log begins; zero if nothing has been released.
    start_index: u64,
    /// The first offset that it has.
    start_offset: u64,
    /// Segments that lie ready.
    ready: u64,
    snapshots: Vec<SnapshotJson>,
    /// An end that was never finished.
    cut: Option<CutJson>,
    /// How many places are damaged.
    damaged: u64,
    /// The first of them.
    damage: Vec<DamageJson>,
}

#[derive(Debug, Serialize)]
struct SnapshotJson {
    index: u64,
    bytes: u64,
    /// What is wrong with it.
    damage: Option<String>,
}

#[derive(Debug, Serialize)]
struct CutJson {
    segment: u64,
    position: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct DamageJson {
    segment: u64,
    position: u64,
    why: String,
}

fn verify(args: &Verify) -> Result<(), Failure> {
    let files = files(&args.dir)?;
    let mut verified = Verified {
        directory: files.directory().display().to_string(),
        ..Verified::default()
    };
    let summary = look(&files, &mut |seen| verified.see(&seen))?;
    verified.sum_up(&summary);
    let snapshots = inspect_snapshots(&files);
    verified.add_snapshots(snapshots.map_err(|error| Failure::from(error).of_command())?);
    if args.json {
        terminal::print_json(&verified);
    } else {
        terminal::print(&verified.table().to_string());
    }
    verified.check()
}

impl Verified {
    fn see(&mut self, seen: &Inspected<'_>) {
        match seen {
            Inspected::Segment(_) | Inspected::Record { void: false, .. } => {}
            Inspected::Record { void: true, .. } => self.void_records += 1,
            Inspected::Cut(cut) => {
                let &Cut {
                    segment,
                    position,
                    bytes,
                } = cut;
                self.cut = Some(CutJson {
                    segment: segment.0,
                    position,
                    bytes,
                });
            }
            Inspected::Damage {
                segment,
                position,
                why,
            } => self.see_damage(*segment, *position, why),
        }
    }

    fn see_damage(&mut self, segment: SegmentId, position: u64, why: &Damage) {
        if self.damage.len() < LISTED_MAX {
            self.damage.push(DamageJson {
                segment: segment.0,
                position,
                why: why.to_string(),
            });
        }
    }

    fn sum_up(&mut self, summary: &Summary) {
        self.sound = summary.damaged == 0;
        self.segments = summary.segments;
        self.records = summary.records;
        self.events = summary.events;
        self.first_index = summary.first.0;
        self.last_index = summary.last.0;
        self.last_term = summary.last_term.0;
        self.damaged = summary.damaged;
        self.start_index = summary.start.0;
        self.start_offset = summary.start_offset.0;
        self.ready = summary.ready;
    }

    fn add_snapshots(&mut self, snapshots: Vec<InspectedSnapshot>) {
        let json = snapshots.into_iter().map(|found| SnapshotJson {
            index: found.snapshot.0,
            bytes: found.bytes,
            damage: found.wrong.map(|why| why.to_string()),
        });
        self.snapshots = json.collect();
        let damaged = |snapshot: &&SnapshotJson| snapshot.damage.is_some();
        self.damaged += self.snapshots.iter().filter(damaged).count() as u64;
        self.sound = self.damaged == 0;
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        let mut line = |what: &str, text: String| table.row([what.to_owned(), format!(": {text}")]);
        line("log", self.directory.clone());
        line(
            "segments",
            format!(
                "{} in use, {} ready",
                thousands(self.segments),
                thousands(self.ready)
            ),
        );
        line(
            "begins",
            if self.start_index == 0 {
                "with the first record".to_owned()
            } else {
                format!(
                    "behind index {}, at offset {}: what was before is in the snapshots",
                    self.start_index,
                    thousands(self.start_offset)
                )
            },
        );
        line(
            "records",
            format!(
                "{} with {} events, index {} to {}, last term {}; {} void",
                thousands(self.records),
                thousands(self.events),
                self.first_index,
                self.last_index,
                self.last_term,
                thousands(self.void_records)
            ),
        );
        line(
            "end",
            match &self.cut {
                None => "whole".to_owned(),
                Some(cut) => format!(
                    "{} bytes behind byte {} of segment {} were never finished, nor acknowledged",
                    thousands(cut.bytes),
                    cut.position,
                    cut.segment
                ),
            },
        );
        for snapshot in &self.snapshots {
            let bytes = thousands(snapshot.bytes);
            line(
                "snapshot",
                match &snapshot.damage {
                    None => format!("up to index {}, {bytes} bytes", snapshot.index),
                    Some(why) => format!("up to index {}: DAMAGE: {why}", snapshot.index),
                },
            );
        }
        if self.sound {
            line("damage", "none".to_owned());
        }
        for damage in &self.damage {
            line(
                "DAMAGE",
                format!(
                    "segment {}, byte {}: {}",
                    damage.segment, damage.position, damage.why
                ),
            );
        }
        table
    }

    fn check(&self) -> Result<(), Failure> {
        if self.sound {
            return Ok(());
        }
        Err(damaged(&self.directory, self.damaged).cure(
            "keep the directory, and start the node while the others run: it fetches from them what is damaged; \
             docs/runbooks/damaged-disk.md",
        ))
    }
}

fn dump(args: &Dump) -> Result<(), Failure> {
    let files = files(&args.dir)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut dumping = Dumping {
        args,
        left: args.count.unwrap_or(u64::MAX),
        out: &mut out,
        failed: None,
    };
    dumping.begin();
    let summary = look(&files, &mut |seen| dumping.see(&seen))?;
    match dumping.finish() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {error}")))
        }
        Some(_) | None if summary.damaged == 0 => Ok(()),
        Some(_) | None => {
            let directory = files.directory().display().to_string();
            let failure = damaged(&directory, summary.damaged);
            Err(failure.cure("`quorate log verify` lists the places"))
        }
    }
}

fn damaged(directory: &str, places: u64) -> Failure {
    let places = match places {
        1 => "one place".to_owned(),
        places => format!("{places} places"),
    };
    let cause = format!("{directory} is damaged in {places}");
    Failure::coded(ErrorCode::LogDamaged, cause)
}

/// Prints what it is shown, until enough is printed or nobody listens any more.
struct Dumping<'a, W> {
    args: &'a Dump,
    left: u64,
    out: &'a mut W,
    failed: Option<io::Error>,
}

impl<W: io::Write> Dumping<'_, W> {
    fn begin(&mut self) {
        if !self.args.json {
            self.print(|out| writeln!(out, "{HEADING}"));
        }
    }

    fn see(&mut self, seen: &Inspected<'_>) {
        match seen {
            Inspected::Segment(_) => {}
            Inspected::Record {
                segment,
                position,
                record,
                void,
            } => self.record(&Shown {
                segment: *segment,
                position: *position,
                record: *record,
                void: *void,
            }),
            Inspected::Cut(cut) => {
                let &Cut {
                    segment,
                    position,
                    bytes,
                } = cut;
                self.remark(segment, position, &format!("{bytes} bytes, never finished"));
            }
            Inspected::Damage {
                segment,
                position,
                why,
            } => self.remark(*segment, *position, &format!("DAMAGE: {why}")),
        }
    }

    fn record(&mut self, shown: &Shown<'_>) {
        if shown.record.header().index < LogIndex(self.args.from) || self.left == 0 {
            return;
        }
        self.left -= 1;
        let (json, events) = (self.args.json, self.args.events);
        self.print(|out| {
            if json {
                shown.write_json(events, out)
            } else {
                shown.write(events, out)
            }
        });
    }

    /// What is no record has a line of its own, in its place among the records; in JSON it has none.
    fn remark(&mut self, segment: SegmentId, position: u64, what: &str) {
        if !self.args.json && self.left > 0 {
            self.print(|out| writeln!(out, "{:>8} {position:>10} {what}", segment.0));
        }
    }

    fn print(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) {
        if self.failed.is_none() {
            self.failed = write(self.out).err();
        }
    }

    fn finish(mut self) -> Option<io::Error> {
        self.print(io::Write::flush);
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use quorate_client::{LogIndex, Offset, Term};
    use quorate_replication::log::{
        Cut, Damage, FormatError, Inspected, InspectedSnapshot, Summary,
    };
    use quorate_replication::seam::{SegmentId, SnapshotId};
    use quorate_replication::snapshot::SnapshotError;
    use quorate_wire::GroupId;

    use super::{LISTED_MAX, Verified, files, group_of};

    #[test]
    fn a_directory_is_a_nodes_or_a_groups() {
        let of = |path: &'static str| group_of(Path::new(path));
        assert_eq!(of("/d/node-1"), None);
        assert_eq!(of("/d/group-12"), Some((Path::new("/d"), GroupId(12))));
        assert_eq!(of("group-0/"), Some((Path::new("."), GroupId(0))));
        assert_eq!(of("/d/group-x"), None);
        assert_eq!(of("/"), None);
    }

    #[test]
    fn what_is_no_data_directory_is_said_so() {
        let dir = tempfile::tempdir().expect("there is a place for directories");
        let failure = files(dir.path()).expect_err("no node was there");
        assert_eq!(failure.status(), 1);
        assert!(
            failure.to_string().contains("is no data directory"),
            "{failure}"
        );
    }

    fn verified(places: u64) -> Verified {
        let mut verified = Verified::default();
        for place in 0..places {
            verified.see(&Inspected::Damage {
                segment: SegmentId(2),
                position: 4_096 * place,
                why: Damage::Header(FormatError::Magic { found: 0 }),
            });
        }
        verified.see(&Inspected::Cut(Cut {
            segment: SegmentId(3),
            position: 8_192,
            bytes: 4_096,
        }));
        verified.sum_up(&Summary {
            segments: 3,
            records: 1_000,
            events: 64_000,
            first: LogIndex(1),
            last: LogIndex(1_000),
            last_term: Term(2),
            damaged: places,
            start: LogIndex(900),
            start_offset: Offset(57_600),
            ready: 2,
        });
        verified
    }

    #[test]
    fn an_unfinished_end_is_no_damage() {
        let verified = verified(0);
        assert!(verified.check().is_ok());
        let text = verified.table().to_string();
        for part in [
            "1,000 with 64,000 events, index 1 to 1000, last term 2; 0 void",
            "4,096 bytes behind byte 8192 of segment 3 were never finished",
            "3 in use, 2 ready",
            "behind index 900, at offset 57,600",
            "damage    : none",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn damage_is_placed_and_has_its_status() {
        let verified = verified(2);
        let failure = verified.check().expect_err("it is damaged");
        assert_eq!(failure.status(), 71);
        let text = verified.table().to_string();
        assert!(
            text.contains("segment 2, byte 4096: the segment's header"),
            "{text}"
        );
        assert!(!text.contains("none"), "{text}");
        let json = serde_json::to_value(&verified).expect("it has a form");
        assert_eq!(json["damage"][1]["position"], 4_096);
        assert_eq!(
            (&json["sound"], &json["damaged"]),
            (&false.into(), &2.into())
        );
    }

    #[test]
    fn a_damaged_snapshot_is_damage() {
        let mut verified = verified(0);
        let snapshot = |index, wrong| InspectedSnapshot {
            snapshot: SnapshotId(index),
            bytes: 8_192,
            wrong,
        };
        verified.add_snapshots(vec![snapshot(800, None)]);
        assert!(verified.check().is_ok());
        let wrong = SnapshotError::Checksum { at: 128 };
        verified.add_snapshots(vec![snapshot(800, None), snapshot(950, Some(wrong))]);
        assert_eq!(verified.check().expect_err("it is damaged").status(), 71);
        let text = verified.table().to_string();
        assert!(text.contains("up to index 800, 8,192 bytes"), "{text}");
        assert!(text.contains("up to index 950: DAMAGE"), "{text}");
        let json = serde_json::to_value(&verified).expect("it has a form");
        assert_eq!(json["snapshots"][0]["damage"], serde_json::Value::Null);
        assert!(json["snapshots"][1]["damage"].is_string(), "{json}");
    }

    #[test]
    fn a_ruin_is_counted_and_not_listed() {
        let verified = verified(1_000);
        assert_eq!(verified.damage.len(), LISTED_MAX);
        assert_eq!(verified.damaged, 1_000);
    }
}
