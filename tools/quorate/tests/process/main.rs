//! Real node processes on real disks, and what happens to them: each test drives its own cluster, one test at a time, because
//! three nodes take all that a small host has.

mod acks;
mod audit;
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
mod members;
mod misuse;
mod nonsense;
mod partition;
mod priorities;
mod raw;
mod refusals;
mod repair;
mod resume;
mod snapshots;
mod starved;
mod subscription;
mod upgrade;
mod world;
