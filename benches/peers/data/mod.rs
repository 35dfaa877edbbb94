//! The data: seeded, so that it is the same each time; about half of what real data compresses to.

pub mod files;
pub mod manifests;
pub mod mongodb;
pub mod postgres;
mod random;

pub use random::Random;
