//! What several themes need: real servers, and the program as a user runs it.

pub mod app;
pub mod listeners;
pub mod mongod;
pub mod postgres;
pub mod proxy;
pub mod replica_set;
pub mod tokens;
#[cfg(target_arch = "x86_64")]
pub mod tracer;
