//! What several themes need: real servers.

pub mod mongod;
