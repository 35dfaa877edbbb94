//! Monitoring: the probe, the metrics, the page. Their judge is a parser of the tests' own.

mod check;
mod invented;
mod metrics;
mod promtool;
mod report;
