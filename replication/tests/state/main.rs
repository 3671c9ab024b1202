//! The replicated state: a snapshot taken while it changes is the state of one moment, and comes back as it was.

mod expiry;
mod life;
mod runs;
mod snapshot;
