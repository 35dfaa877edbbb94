//! The whole program: the real binary, a real server, and judges that are not ours.

mod anomaly;
mod commits;
mod encryption;
mod examples;
mod existing;
mod file_references;
mod guards;
mod license;
mod mistakes;
mod module_files;
mod postgres;
mod prune;
mod round_trip;
mod schedule;
mod secrets;
mod signals;
mod signing;
mod sqlite;
mod stalls;
mod tenant_restore;
mod tenants;
mod tenants_discovered;
mod tenants_many;
mod tenants_own;
mod verified_first;
mod verifying;
