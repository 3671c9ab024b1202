//! How long a thread may keep a core that another one waits for. Nothing of a ring, but all unsafe code of the crate is in this folder.

use std::io;
use std::mem;
use std::time::Duration;

use libc::{SCHED_BATCH, SCHED_OTHER, SYS_sched_getattr, SYS_sched_setattr, c_long, sched_attr};

/// Has the kernel give this thread, and those that it starts from now on, slices of so many microseconds, within its bounds (100 to
/// 100,000); zero asks for nothing. The kernel's own workers, on which each write waits, are among those who want a core.
pub(crate) fn take_slices(microseconds: u64) {
    if microseconds == 0 {
        return;
    }
    match take(Duration::from_micros(microseconds)) {
        Ok(slice) => tracing::debug!(?slice, "threads share their cores"),
        Err(error) => {
            tracing::warn!(%error, "slice_us has no effect: tails are longer where threads share cores");
        }
    }
}

/// Returns the length that they have then: a thread of a real-time policy has none, and kernels before 6.12 keep and tell nothing
/// (zero).
fn take(length: Duration) -> io::Result<Duration> {
    let mut attributes = get()?;
    let fair = [SCHED_OTHER, SCHED_BATCH].map(libc::c_int::cast_unsigned);
    if fair.contains(&attributes.sched_policy) {
        attributes.sched_runtime = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        set(&attributes)?;
        attributes = get()?;
    }
    Ok(Duration::from_nanos(attributes.sched_runtime))
}

fn get() -> io::Result<sched_attr> {
    let size = mem::size_of::<sched_attr>();
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut attributes: sched_attr = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes at most `size` bytes to memory that is ours for as long as the call takes; 0 is this thread.
    let result = unsafe { libc::syscall(SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    said(result).map(|()| attributes)
}

fn set(attributes: &sched_attr) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the attributes say of themselves, which `get` had from it: no more than they are.
    said(unsafe { libc::syscall(SYS_sched_setattr, 0, &raw const *attributes, 0) })
}

fn said(result: c_long) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::{get, take};

    #[test]
    fn slices_are_what_was_asked_for_where_the_kernel_knows_them() {
        let ours = Duration::from_micros(300);
        // A thread of its own: others have the kernel's slices.
        let child = thread::spawn(move || {
            let has = || get().expect("a thread may ask").sched_runtime;
            let before = has();
            let own = take(ours).expect("a thread may say so of itself");
            let started = thread::spawn(has).join().expect("it ends");
            (before, own, Duration::from_nanos(started))
        });
        let (before, own, started) = child.join().expect("it ends");
        let known = before > 0;
        assert_eq!(own, if known { ours } else { Duration::ZERO });
        assert_eq!(own, started, "threads that are started later have it too");
    }
}
