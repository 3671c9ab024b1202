//! How segments are prepared.

use super::{BLOCKS, Desk, NOT_THERE, Pump, THERE_ALREADY, is_pattern, long, pattern, read};
use crate::buffer::BLOCK_BYTES;
use crate::seam::{Pace, SegmentId, Storage, StorageError, StorageOp, StorageOutcome};

/// A segment is prepared once: a second time is refused, and harms nothing.
///
/// # Panics
/// The contract is broken.
pub fn a_segment_is_prepared_once(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    desk.write(1, 0, pattern(5, 1));
    let again = desk.run(StorageOp::Prepare {
        segment: SegmentId(1),
        bytes: long(BLOCK_BYTES),
        from: None,
    });
    let refused = StorageError::Os {
        errno: THERE_ALREADY,
    };
    assert_eq!(again.err(), Some(refused));
    assert!(is_pattern(&desk.read(1, 0, 1), 5), "what was written stays");
    assert!(desk.read(1, BLOCKS - 1, 1).iter().all(|&byte| byte == 0));
    desk.end();
}

/// A segment that takes another one's file is zeros, and the other one is gone; at whatever pace, and whether or not the file was
/// there.
///
/// # Panics
/// The contract is broken.
pub fn a_file_is_used_again(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    for (at, pace) in (10..).zip([Pace::Bytes(8 << 20), Pace::Half, Pace::Full]) {
        desk.storage.pace(pace);
        let (old, new) = (2 * at, 2 * at + 1);
        desk.prepare(old, BLOCKS);
        desk.write(old, 0, pattern(1, BLOCKS));
        let prepare = |segment, from| StorageOp::Prepare {
            segment: SegmentId(segment),
            bytes: long(BLOCKS * BLOCK_BYTES),
            from: Some(SegmentId(from)),
        };
        let outcome = desk.run(prepare(new, old));
        assert!(matches!(outcome, Ok(StorageOutcome::Prepared)));
        assert!(desk.read(new, 0, BLOCKS).iter().all(|&byte| byte == 0));
        let missing = Some(StorageError::Os { errno: NOT_THERE });
        assert_eq!(desk.run(read(old, 0, 1)).err(), missing);
        desk.write(new, 1, pattern(2, 1));
        assert!(is_pattern(&desk.read(new, 1, 1), 2));
        // Its old number may be used again, as may be the number of a file that nobody has.
        let outcome = desk.run(prepare(old, 1000));
        assert!(matches!(outcome, Ok(StorageOutcome::Prepared)));
        assert!(desk.read(old, 0, BLOCKS).iter().all(|&byte| byte == 0));
    }
    desk.end();
}

/// A segment's file gets another number, and another beginning; all else in it stays.
///
/// # Panics
/// The contract is broken.
pub fn a_file_is_used_again_as_it_is(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    let reuse = |segment, from| StorageOp::Reuse {
        segment: SegmentId(segment),
        from: SegmentId(from),
        head: pattern(3, 1),
    };
    let missing = Some(StorageError::Os { errno: NOT_THERE });
    assert_eq!(desk.run(reuse(2, 1)).err(), missing);
    desk.prepare(1, BLOCKS);
    desk.write(1, 0, pattern(1, 1));
    desk.write(1, 1, pattern(2, 2));
    assert!(matches!(
        desk.run(reuse(2, 1)),
        Ok(StorageOutcome::Prepared)
    ));
    assert!(is_pattern(&desk.read(2, 0, 1), 3));
    assert!(is_pattern(&desk.read(2, 1, 2), 2));
    assert!(desk.read(2, 3, BLOCKS - 3).iter().all(|&byte| byte == 0));
    assert_eq!(desk.run(read(1, 0, 1)).err(), missing);
    desk.write(2, 0, pattern(4, 3));
    assert!(is_pattern(&desk.read(2, 0, 3), 4));
    // Its old number may be used again. A number that is in use is not given away.
    desk.prepare(1, BLOCKS);
    let refused = StorageError::Os {
        errno: THERE_ALREADY,
    };
    assert_eq!(desk.run(reuse(2, 1)).err(), Some(refused));
    assert!(is_pattern(&desk.read(2, 0, 3), 4));
    desk.end();
}

/// A segment that is prepared slowly is prepared at once when the pace says so, and nothing else waits for it.
///
/// # Panics
/// The contract is broken.
pub fn a_slow_preparation_is_hurried(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.storage.pace(Pace::Bytes(1));
    let slow = desk.submit(StorageOp::Prepare {
        segment: SegmentId(1),
        bytes: 4 << 20,
        from: None,
    });
    let appended = desk.run(StorageOp::Append {
        position: 0,
        bytes: pattern(1, 1),
    });
    assert!(matches!(appended, Ok(StorageOutcome::Appended)));
    desk.storage.pace(Pace::Full);
    assert!(matches!(desk.wait(slow), Ok(StorageOutcome::Prepared)));
    desk.end();
}

/// Writes do not wait for a segment that is being prepared.
///
/// # Panics
/// The contract is broken.
pub fn segments_are_prepared_beside_writes(storage: &mut (impl Storage + Pump)) {
    let mut desk = Desk::new(storage);
    desk.prepare(1, BLOCKS);
    let bytes = 8 << 20;
    let ids = [2, 3].map(|segment| {
        desk.submit(StorageOp::Prepare {
            segment: SegmentId(segment),
            bytes,
            from: None,
        })
    });
    for block in 0..BLOCKS {
        desk.write(1, block, pattern(block, 1));
    }
    for id in ids {
        assert!(matches!(desk.wait(id), Ok(StorageOutcome::Prepared)));
    }
    desk.write(2, 2047, pattern(9, 1));
    desk.write(3, 0, pattern(8, 1));
    assert!(is_pattern(&desk.read(2, 2047, 1), 9));
    desk.end();
}
