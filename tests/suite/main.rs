//! The integration tests, one binary. Each module is a theme; each test's name is the promise it holds.

// A test that meets what it does not expect must end, and say what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cli;
mod layers;
mod mongodb_engine;
mod program;
mod prune_model;
mod support;
