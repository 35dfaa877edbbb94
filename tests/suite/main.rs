//! The integration tests, one binary. Each module is a theme; each test's name is the promise it holds.

mod cli;
mod layers;
mod mongodb_engine;
mod support;
