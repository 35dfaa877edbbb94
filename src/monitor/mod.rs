//! Monitoring: what is asked of a repository by machines. `check` is the probe, `metrics` the figures; both look at the
//! newest good copy of every module and archive of every scope. Neither opens a connection or takes a lock.

mod check;
mod collections;
mod copies;
mod expected;
mod exposition;
mod metrics;
mod runs;
mod textfile;

pub use check::{Checked, Copy, FreeSpace, Level, Options, Unverified, age_level, check};
pub use collections::Collections;
pub use copies::{Copies, Found, OfScope, Thing, size_of};
pub use metrics::{After, write};
pub use runs::{Operation, RunEnd};
pub use textfile::replace;
