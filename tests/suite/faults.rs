//! Runs that are killed, and disks that fail or are full, at one system call after the other: listed means durable, and
//! a commit is atomic.

mod clinic;
mod failing;
mod full_disk;
mod in_flight;
mod killed;
mod limits;
