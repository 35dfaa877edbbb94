//! The whole program: the real binary, a real server, and judges that are not ours.

mod anomaly;
mod commits;
mod examples;
mod existing;
mod mistakes;
mod prune;
mod round_trip;
mod sqlite;
mod tenants;
