//! The integration tests, one binary. Each module is a theme; each test's name is the promise it holds.

// A test that meets what it does not expect must end, and say what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cli;
mod documents;
#[cfg(target_arch = "x86_64")]
mod faults;
#[cfg(not(target_arch = "x86_64"))]
mod faults {
    #[test]
    fn the_fault_runner_knows_the_registers_of_x86_64_only() {
        panic!("run these tests on x86-64: elsewhere nothing shows that a killed run leaves no damage");
    }
}
mod hostile;
mod layers;
mod mongodb_engine;

mod packaging;
mod postgres_engine;
mod program;
mod prune_model;
mod sqlite_engine;
mod support;
