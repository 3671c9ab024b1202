//! The log on a disk in memory: whatever happens to the power, what was acknowledged is there; whatever happens to the bytes, it
//! is noticed.

mod crash;
mod damage;
mod dump;
mod ended;
mod golden;
mod holes;
mod inspect;
mod machine;
mod passed;
mod read;
mod retention;
mod room;
mod superblock;
mod used;
mod work;
