//! The whole program: the real binary, a real server, and judges that are not ours.

mod commits;
mod examples;
mod existing;
mod guards;
mod mistakes;
mod round_trip;
mod signals;
mod sqlite;
mod stalls;
mod tenants;
