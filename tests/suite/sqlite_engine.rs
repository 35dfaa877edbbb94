//! The SQLite engine by itself; the oracle is a connection that knows nothing of it.

mod laboratory;
mod tenants;
