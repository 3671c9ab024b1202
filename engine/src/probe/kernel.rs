//! The kernel and its io_uring.

use std::fs;
use std::io;

use quorate_wire::ErrorCode;

use super::ProbeError;
use crate::uring::{RingError, probe_ring};

/// The first kernel with deferred task work, on which the driver rests.
const VERSION_MIN: (u32, u32) = (6, 1);

/// Who may use io_uring: 0 all, 1 the privileged and one group, 2 nobody. Kernels before 6.6 have no such file.
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

pub(super) fn release() -> String {
    let name = rustix::system::uname();
    name.release().to_string_lossy().into_owned()
}

pub(super) fn check_version(release: &str) -> Result<(), ProbeError> {
    match version(release) {
        // A release that does not read like one is for the ring to judge.
        None => Ok(()),
        Some(version) if version >= VERSION_MIN => Ok(()),
        Some(_) => {
            let (major, minor) = VERSION_MIN;
            Err(unavailable(
                format!("Linux {release} is too old: its io_uring lacks what a pipeline needs"),
                format!("run Linux {major}.{minor} or newer"),
            ))
        }
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

pub(super) fn check_ring() -> Result<(), ProbeError> {
    let disabled = fs::read_to_string(DISABLED).unwrap_or_default();
    probe_ring().map_err(|error| explain(&error, disabled.trim()))
}

fn explain(error: &RingError, disabled: &str) -> ProbeError {
    match error {
        RingError::Lacks(opcode) => unavailable(
            format!("this kernel's io_uring has no {opcode}"),
            "run an unrestricted kernel, 6.1 or newer".to_owned(),
        ),
        RingError::Setup(error) | RingError::Probe(error) => refused(error, disabled),
    }
}

fn refused(error: &io::Error, disabled: &str) -> ProbeError {
    match (error.raw_os_error(), disabled) {
        (_, "2") => unavailable(
            "io_uring is disabled on this host (kernel.io_uring_disabled=2)".to_owned(),
            "sysctl -w kernel.io_uring_disabled=0".to_owned(),
        ),
        (Some(libc::EPERM), "1") => unavailable(
            "io_uring is disabled for this user (kernel.io_uring_disabled=1)".to_owned(),
            "sysctl -w kernel.io_uring_disabled=0, or put the user into the group kernel.io_uring_group".to_owned(),
        ),
        (Some(libc::EPERM | libc::EACCES), _) => unavailable(
            format!("this process may not use io_uring: {error}"),
            "in a container, let its seccomp profile allow io_uring_setup, io_uring_enter and io_uring_register \
             (docker: --security-opt seccomp=PROFILE)"
                .to_owned(),
        ),
        (Some(libc::ENOSYS), _) => unavailable(
            "there is no io_uring: the kernel was built without it, or a sandbox hides it".to_owned(),
            "run a kernel with CONFIG_IO_URING; in a container, let its seccomp profile allow io_uring_setup"
                .to_owned(),
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => unavailable(
            format!("io_uring has no descriptor: {error}"),
            "raise the limit on open files: ulimit -n".to_owned(),
        ),
        (Some(libc::ENOMEM), _) => unavailable(
            format!("io_uring has no memory: {error}"),
            "give the process more memory; if it has enough, raise RLIMIT_MEMLOCK: ulimit -l".to_owned(),
        ),
        (_, _) => unavailable(
            format!("io_uring cannot be set up: {error}"),
            "run an unrestricted kernel, 6.1 or newer".to_owned(),
        ),
    }
}

const fn unavailable(cause: String, cure: String) -> ProbeError {
    ProbeError {
        code: ErrorCode::UringUnavailable,
        cause,
        cure,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::{RingError, check_version, explain, version};

    #[test]
    fn releases_are_read_as_far_as_they_count() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("6.1-rc3"), Some((6, 1)));
        assert_eq!(version("7.0"), Some((7, 0)));
        assert_eq!(version("next"), None);
        assert!(check_version("6.1.0-13-amd64").is_ok());
        assert!(check_version("10.0.1").is_ok());
        let refused = check_version("5.15.0-91-generic").expect_err("it is too old");
        assert!(refused.to_string().contains("5.15.0-91"), "{refused}");
    }

    #[test]
    fn each_refusal_has_its_cure() {
        let cure = |errno, disabled| {
            explain(&RingError::Setup(Error::from_raw_os_error(errno)), disabled).cure
        };
        assert!(cure(libc::EPERM, "2").contains("kernel.io_uring_disabled=0"));
        assert!(cure(libc::EPERM, "1").contains("io_uring_group"));
        assert!(cure(libc::EPERM, "0").contains("seccomp"));
        assert!(cure(libc::EPERM, "").contains("seccomp"));
        assert!(cure(libc::ENOSYS, "").contains("CONFIG_IO_URING"));
        assert!(cure(libc::EMFILE, "0").contains("ulimit -n"));
        assert!(cure(libc::ENOMEM, "0").contains("ulimit -l"));
        assert!(cure(libc::EINVAL, "0").contains("6.1"));
        let lacks = explain(&RingError::Lacks("SENDMSG"), "0");
        assert!(lacks.cause.contains("SENDMSG"));
    }
}
