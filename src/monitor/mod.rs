//! Monitoring: what is asked of a repository by machines. `check` is the probe, `metrics` the figures; both look at the
//! newest good copy of every module and archive of every scope. Neither opens a connection or takes a lock.

mod check;
mod copies;
mod expected;
mod metrics;
mod textfile;

pub use check::{Checked, Copy, FreeSpace, Level, Options, Unverified, age_level, check};
pub use copies::{Copies, Found, OfScope, Thing, size_of};
pub use metrics::{Operation, RunEnd, write};
pub use textfile::replace;
