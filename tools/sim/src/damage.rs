//! What goes wrong with bytes that were durable: bits flip, writes were lost or went elsewhere, files vanish.
//!
//! Owns: the bound. A record is damaged on one node only while another one has it whole, and the end of a log only on a minority
//! of nodes at a time: then the cluster must repair itself, and go on. Looks at the disks themselves to know. Never: damages the
//! very last write of a node, whose loss one node alone cannot see.

use std::collections::BTreeSet;
use std::ops::Range;

use quorate_replication::log::{Inspected, inspect, live_records, read_superblock};
use quorate_replication::seam::{FileId, SegmentId};
use quorate_wire::{LogIndex, NodeId};

use crate::disk::Disk;
use crate::group::Group;
use crate::plan::Harm;
use crate::random::Random;
use crate::world::World;

/// Records at the end of a log: who loses one of them may not know how many it has lost.
const END: u64 = 100;

/// Bytes of a block.
const BLOCK: usize = 4096;

/// A record by its index and both checksums.
type Name = (LogIndex, u32, u32);

/// A record on a disk.
#[derive(Clone, Debug)]
struct Found {
    name: Name,
    segment: SegmentId,
    range: Range<usize>,
}

/// A record that was damaged, until it is whole again.
#[derive(Debug)]
struct Wound {
    group: usize,
    node: NodeId,
    name: Name,
}

/// What has been damaged at the ends of logs and is not yet repaired.
#[derive(Debug, Default)]
pub struct Damage {
    ends: Vec<Wound>,
    /// Nodes that have lost one copy of their superblock: the other one is all that they have.
    decayed: BTreeSet<NodeId>,
    struck: bool,
}

impl Damage {
    /// Whether anything has been damaged.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.struck
    }

    /// Damages something on a node, if it may be.
    pub(crate) fn strike(
        &mut self,
        harm: Harm,
        one: NodeId,
        random: &mut Random,
        world: &mut World,
    ) {
        let at = random.below(world.groups().len());
        self.heal(world);
        // Of a group that one node formed, its log alone may say who else there is.
        if world.out().contains(&one) || world.options().nodes == 1 {
            return;
        }
        if harm == Harm::DecaySuperblock {
            return self.decay(one, random, world);
        }
        let out = world.out().clone();
        let may_lose = world.may_lose();
        let Some(group) = world.groups_mut().get_mut(at) else {
            return;
        };
        let found = scan(group.disk(one));
        let Some(last) = found.last() else { return };
        // What its last write holds stays: the records from the last one on that begins on a block.
        let begins = |found: &&Found| found.range.start.is_multiple_of(BLOCK);
        let last_write = found.iter().rfind(begins).unwrap_or(last);
        let last_block = (last_write.segment, last_write.range.start / BLOCK);
        // Who stays has it whole: without a leader nobody knows who does.
        let others: BTreeSet<Name> = group
            .staying()
            .into_iter()
            .filter(|other| *other != one && !out.contains(other))
            .flat_map(|other| scan(group.disk(other)))
            .map(|found| found.name)
            .collect();
        let last = last.name.0;
        let bad: BTreeSet<NodeId> = self
            .ends
            .iter()
            .map(|wound| wound.node)
            .chain(out)
            .chain([one])
            .collect();
        let ends = bad.len() <= may_lose;
        let whole = |found: &Found| {
            let block = (found.segment, found.range.start / BLOCK);
            others.contains(&found.name)
                && block < last_block
                && (ends || found.name.0.0 + END < last.0)
        };
        let hurt = choose(harm, &found, &whole, random);
        if hurt.is_empty() || buries(&found, &hurt, &others) {
            return;
        }
        self.struck = true;
        group.oracle().expect_marred();
        for found in &hurt {
            if found.name.0.0 + END >= last.0 {
                self.ends.push(Wound {
                    group: at,
                    node: one,
                    name: found.name,
                });
            }
        }
        let first = hurt.first().map_or(0, |found| found.name.0.0);
        let how = harm.name();
        world.say(format_args!(
            "node {one}, group {at}: {how}, index {first}, {} records",
            hurt.len()
        ));
        if harm == Harm::LoseSegment && world.running(true).contains(&one) {
            // A file that is open is not lost before it is closed.
            world.crash(one, false);
        }
        let group = world.groups_mut().get_mut(at).expect("it was there");
        let disk = group.node(one).disk.disk_mut();
        hurt_all(harm, &hurt, random, disk);
        world.start(one);
    }

    /// Forgets what is whole again.
    fn heal(&mut self, world: &World) {
        let mut seen: Vec<((usize, NodeId), BTreeSet<Name>)> = Vec::new();
        self.ends.retain(|wound| {
            let place = (wound.group, wound.node);
            if !seen.iter().any(|(known, _)| *known == place) {
                let group = world.groups().get(wound.group);
                let found = group.map_or_else(Vec::new, |group| scan(group.disk(wound.node)));
                seen.push((place, found.into_iter().map(|found| found.name).collect()));
            }
            let mut here = seen.iter().filter(|(known, _)| *known == place);
            !here.any(|(_, names)| names.contains(&wound.name))
        });
    }

    /// One of the two copies of a superblock changes.
    fn decay(&mut self, one: NodeId, random: &mut Random, world: &mut World) {
        let (copy, at) = (random.below(2), random.below(BLOCK));
        let group = world.groups_mut().first_mut().expect("there is one");
        if group.disk(one).bytes(FileId::Superblock).is_none()
            || group.node(one).disk.is_busy()
            || !self.decayed.insert(one)
        {
            return;
        }
        self.struck = true;
        group.oracle().expect_marred();
        let at = copy * BLOCK + at;
        let disk = group.node(one).disk.disk_mut();
        for byte in disk.mar(FileId::Superblock, at..at + 1) {
            *byte ^= 0x10;
        }
        world.say(format_args!(
            "a copy of the superblock of node {one} changes"
        ));
    }
}

/// Which records are hurt.
fn choose(
    harm: Harm,
    found: &[Found],
    whole: &dyn Fn(&Found) -> bool,
    random: &mut Random,
) -> Vec<Found> {
    let may: Vec<&Found> = found.iter().filter(|found| whole(found)).collect();
    if may.is_empty() {
        return Vec::new();
    }
    let from = random.below(may.len());
    let one = may.get(from).map(|&found| found.clone());
    let Some(one) = one else { return Vec::new() };
    match harm {
        Harm::FlipBits => {
            let count = random.of(&[1, 1, 1, 10]);
            may.into_iter().skip(from).take(count).cloned().collect()
        }
        Harm::LoseSegment => {
            let inside = |found: &&Found| found.segment == one.segment;
            let all: Vec<Found> = found.iter().filter(inside).cloned().collect();
            if all.iter().all(whole) {
                all
            } else {
                Vec::new()
            }
        }
        // Whole blocks, and all records that lie in them.
        Harm::LoseWrite | Harm::Misdirect | Harm::DecaySuperblock => {
            let blocks = blocks(&one);
            let touched = |found: &&Found| {
                let other = self::blocks(found);
                found.segment == one.segment && other.start < blocks.end && blocks.start < other.end
            };
            let all: Vec<Found> = found.iter().filter(touched).cloned().collect();
            if all.iter().all(whole) {
                all
            } else {
                Vec::new()
            }
        }
    }
}

/// Whether a record that nobody else has would lie between damaged ones of one write: nothing on this disk says any more that it
/// belongs there, so it is as lost as they are.
fn buries(found: &[Found], hurt: &[Found], others: &BTreeSet<Name>) -> bool {
    let mut behind = found;
    let mut writes = found.chunk_by(|_, next| !next.range.start.is_multiple_of(BLOCK));
    writes.any(|write| {
        behind = behind.get(write.len()..).unwrap_or_default();
        let indexes = write.iter().chain(behind.first()).map(|found| found.name.0);
        let gaps = indexes
            .clone()
            .zip(indexes.skip(1))
            .filter(|&(one, next)| next != one.next());
        let is_hurt = |found: &&Found| hurt.iter().any(|hurt| hurt.name == found.name);
        let now = write.iter().filter(is_hurt).count();
        let alone = |found: &Found| !others.contains(&found.name);
        now > 0 && now + gaps.count() > 1 && write.iter().any(alone)
    })
}

/// The bytes of all blocks that a record lies in.
fn blocks(found: &Found) -> Range<usize> {
    let from = found.range.start / BLOCK * BLOCK;
    from..found.range.end.div_ceil(BLOCK) * BLOCK
}

fn hurt_all(harm: Harm, hurt: &[Found], random: &mut Random, disk: &mut Disk) {
    let Some(first) = hurt.first() else { return };
    let file = FileId::Segment(first.segment);
    match harm {
        Harm::LoseSegment => disk.remove(file),
        Harm::LoseWrite => disk.mar(file, blocks(first)).fill(0),
        Harm::Misdirect => {
            // Another write of the same file has landed here.
            let blocks = blocks(first);
            let bytes = disk.bytes(file).unwrap_or_default();
            let from = random.below(bytes.len() / BLOCK) * BLOCK;
            let other: Vec<u8> = bytes
                .iter()
                .copied()
                .skip(from)
                .take(blocks.len())
                .collect();
            let to = disk.mar(file, blocks);
            let length = other.len();
            if let Some(to) = to.get_mut(..length) {
                to.copy_from_slice(&other);
            }
        }
        Harm::FlipBits | Harm::DecaySuperblock => {
            for found in hurt {
                let at = found.range.start + random.below(found.range.len());
                let bit = random.below(8);
                for byte in disk.mar(FileId::Segment(found.segment), at..at + 1) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }
}

/// The records of a disk that are whole, in the order in which they lie.
fn scan(disk: &Disk) -> Vec<Found> {
    let mut found = Vec::new();
    // A disk that cannot be gone through has nothing whole.
    let _ = inspect(disk, &mut |what| {
        if let Inspected::Record {
            segment,
            position,
            record,
            ..
        } = what
        {
            let header = record.header();
            let at = usize::try_from(position).expect("a file fits into memory");
            found.push(Found {
                name: (header.index, header.header_crc, header.body_crc),
                segment,
                range: at..at + record.bytes().len(),
            });
        }
    });
    found
}

/// Whether nothing is damaged on the disks of these nodes.
pub(crate) fn is_unhurt(group: &Group, sound: &BTreeSet<NodeId>) -> bool {
    sound.iter().all(|&node| {
        let summary = inspect(group.disk(node), &mut |_| {});
        summary.is_ok_and(|summary| summary.damaged == 0)
    })
}

/// Whether nothing is damaged on the disks of these nodes, and they have the same records. What nodes say of themselves may be
/// a moment old, and another one may lead by now.
#[must_use]
pub(crate) fn is_whole(group: &Group, sound: &BTreeSet<NodeId>) -> bool {
    let logs = sound.iter().map(|&node| {
        let disk = group.disk(node);
        let summary = inspect(disk, &mut |_| {}).ok()?;
        // Of a log that a snapshot has all of, there is only the beginning.
        let start = read_superblock(disk).ok()??.start_link();
        let mut last = (start.index, start.header_crc);
        live_records(disk, &mut |record| {
            let header = record.header();
            last = (header.index, header.header_crc);
        })
        .ok()?;
        // The chain makes the last one stand for all.
        (summary.damaged == 0).then_some(last)
    });
    let logs: Option<Vec<_>> = logs.collect();
    logs.is_some_and(|logs| logs.windows(2).all(|pair| pair.first() == pair.last()))
}
