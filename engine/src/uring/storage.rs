//! The disk through the ring.

use io_uring::opcode;
use io_uring::types::Fd;
use quorate_replication::buffer::{BLOCK_BYTES, Buffer, Slice};
use quorate_replication::seam::{
    FileId, OpId, Pace, Storage, StorageDone, StorageError, StorageOp, StorageOutcome,
};

use super::driver::Driver;
use super::fill::Plan;
use super::open_files::storage_error;
use super::ops::{Op, STORAGE_MAX};
use super::prepare::{Finished, Outcome, Task};

impl Storage for Driver {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        assert!(
            self.storage_open < STORAGE_MAX,
            "the pipeline keeps so many operations open at most"
        );
        self.storage_open += 1;
        let begun = match op {
            StorageOp::Write {
                file,
                position,
                bytes,
            } => self.begin_write(id, file, position, bytes),
            StorageOp::Read {
                file,
                position,
                length,
                into,
            } => self.begin_read(id, file, position, length, into),
            StorageOp::Prepare {
                segment,
                bytes,
                from,
            } => {
                if let Some(from) = from {
                    self.files.forget(FileId::Segment(from));
                }
                let plan = Plan {
                    segment,
                    bytes,
                    from,
                };
                self.preparer.order(id, Task::Prepare(plan));
                Ok(())
            }
            StorageOp::Reuse {
                segment,
                from,
                head,
            } => {
                check_blocks(0, head.len());
                self.files.forget(FileId::Segment(from));
                let task = Task::Reuse {
                    segment,
                    from,
                    head,
                };
                self.preparer.order(id, task);
                Ok(())
            }
            StorageOp::Append { position, bytes } => {
                check_blocks(position, bytes.len());
                self.preparer.order(id, Task::Append { position, bytes });
                Ok(())
            }
            StorageOp::Publish { snapshot } => {
                self.files.forget(FileId::Snapshot(snapshot));
                self.preparer.order(id, Task::Publish(snapshot));
                Ok(())
            }
            StorageOp::Remove { file } => {
                self.files.forget(file);
                self.preparer.order(id, Task::Remove(file));
                Ok(())
            }
        };
        if let Err(error) = begun {
            self.storage_done(id, Err(error));
        }
    }

    fn start(&mut self) {
        self.start_all();
    }

    fn pace(&mut self, pace: Pace) {
        self.preparer.pace(pace);
    }

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        done.append(&mut self.done);
    }
}

impl Driver {
    fn begin_write(
        &mut self,
        id: OpId,
        file: FileId,
        position: u64,
        bytes: Slice,
    ) -> Result<(), StorageError> {
        check_blocks(position, bytes.len());
        assert!(
            bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
            "what is written begins on a block of memory"
        );
        let (descriptor, file_bytes) = self.files.borrow(file)?;
        if position.saturating_add(long(bytes.len())) > file_bytes {
            // The file would grow, and with it the metadata that each write has to wait for.
            self.files.put_back(file);
            return Err(StorageError::Os { errno: libc::EFBIG });
        }
        let (file_of, address, length) =
            (Fd(descriptor), bytes.as_ptr(), entry_length(bytes.len()));
        let entry = match self.fixed.slot(bytes.buffer(), &self.ring) {
            Some(slot) => opcode::WriteFixed::new(file_of, address, length, slot)
                .offset(position)
                .rw_flags(libc::RWF_DSYNC)
                .build(),
            None => opcode::Write::new(file_of, address, length)
                .offset(position)
                .rw_flags(libc::RWF_DSYNC)
                .build(),
        };
        let token = self.lent.ops.insert(Op::Write { id, file, bytes });
        let entry = entry.user_data(token.user_data());
        // SAFETY: the slice in the op shares the buffer, which is immutable while shared, and keeps it until the write has
        // completed; the file stays open while it is borrowed.
        unsafe { self.ring.push(&entry) };
        Ok(())
    }

    fn begin_read(
        &mut self,
        id: OpId,
        file: FileId,
        position: u64,
        length: usize,
        mut into: Buffer,
    ) -> Result<(), StorageError> {
        check_blocks(position, length);
        assert!(length <= into.len(), "what is read fits the buffer");
        let (descriptor, _) = self.files.borrow(file)?;
        let address = into.as_mut_ptr();
        let token = self.lent.ops.insert(Op::Read {
            id,
            file,
            length,
            into,
        });
        let entry = opcode::Read::new(Fd(descriptor), address, entry_length(length))
            .offset(position)
            .build()
            .user_data(token.user_data());
        // SAFETY: the op owns the buffer, whose blocks are on the heap and at least `length` bytes, until the read has
        // completed; the file stays open while it is borrowed.
        unsafe { self.ring.push(&entry) };
        Ok(())
    }

    pub(super) fn written(&mut self, id: OpId, file: FileId, bytes: usize, result: i32) {
        self.files.put_back(file);
        let result = transferred(result, bytes).map(|()| StorageOutcome::Written);
        self.storage_done(id, result);
    }

    pub(super) fn read(
        &mut self,
        id: OpId,
        file: FileId,
        length: usize,
        into: Buffer,
        result: i32,
    ) {
        self.files.put_back(file);
        let result = transferred(result, length).map(|()| StorageOutcome::Read(into));
        self.storage_done(id, result);
    }

    pub(super) fn finished(&mut self, finished: Finished) {
        let result = finished.result.map(|outcome| match outcome {
            Outcome::Prepared {
                segment,
                bytes,
                file,
            } => {
                self.files.insert(FileId::Segment(segment), file, bytes);
                StorageOutcome::Prepared
            }
            Outcome::Appended => StorageOutcome::Appended,
            Outcome::Published => StorageOutcome::Published,
            Outcome::Removed => StorageOutcome::Removed,
        });
        self.storage_done(finished.id, result);
    }

    fn storage_done(&mut self, id: OpId, result: Result<StorageOutcome, StorageError>) {
        assert!(self.storage_open > 0, "an operation ends once");
        self.storage_open -= 1;
        self.done.push(StorageDone { id, result });
    }
}

/// What the kernel's answer means: a transfer is whole, or it failed.
fn transferred(result: i32, asked: usize) -> Result<(), StorageError> {
    match usize::try_from(result) {
        Ok(bytes) if bytes == asked => Ok(()),
        Ok(bytes) => Err(StorageError::Short { bytes }),
        Err(_) => Err(storage_error(-result)),
    }
}

fn check_blocks(position: u64, length: usize) {
    assert!(
        length > 0 && length.is_multiple_of(BLOCK_BYTES),
        "whole blocks are transferred"
    );
    assert!(
        position.is_multiple_of(long(BLOCK_BYTES)),
        "a transfer begins on a block"
    );
}

fn long(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("memory is smaller than 64 bits")
}

fn entry_length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("one transfer is less than four gigabytes")
}
