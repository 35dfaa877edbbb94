//! What several themes need: real servers, and the program as a user runs it.

pub mod app;
pub mod mongod;
pub mod proxy;
