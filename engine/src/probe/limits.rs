//! What this process may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes that may be locked; `None` for no limit.
pub(super) fn memlock() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// Raises the limit on open files to what the process may raise it to, and says what it is then.
pub(super) fn raise_nofile() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // To raise up to the hard limit is everybody's right; should it fail, what is there stays.
    let now = if setrlimit(Resource::Nofile, raised).is_ok() {
        maximum
    } else {
        current
    };
    now.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::raise_nofile;

    #[test]
    fn the_limit_on_files_is_raised() {
        let raised = raise_nofile();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(limit.current.unwrap_or(u64::MAX), raised);
    }
}
