//! Real node processes on real disks, and what happens to them. Each test drives its own cluster, as many at a time as there are
//! cores: nodes mostly wait, and how fast they are is not asked. What takes the whole machine runs alone.

mod acks;
mod audit;
// Among the first by its name: it builds, while the others wait.
mod build_before;
mod client;
mod commands;
mod demo;
mod diagnostics;
mod examples;
mod failover;
mod full_disk;
mod gone;
mod groups;
mod handover;
mod ids;
mod load;
mod logs;
mod measurements;
mod members;
mod misuse;
mod nonsense;
mod partition;
mod placement;
mod priorities;
mod raw;
mod refusals;
mod repair;
mod resume;
mod snapshots;
mod starved;
mod subscription;
mod world;
