//! The checker of histories, held against histories that are known to be good or bad, and against another checker.

mod bad;
mod build;
mod other;
