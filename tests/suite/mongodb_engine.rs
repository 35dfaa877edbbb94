//! The MongoDB engine against a real server; the oracle is a raw driver that compares bytes.

mod ahead;
mod consistency;
mod existing;
mod failures;
pub mod laboratory;
mod owned;
mod restoring;
mod tenants;
mod values;
