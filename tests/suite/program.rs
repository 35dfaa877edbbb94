//! The whole program: the real binary, a real server, and judges that are not ours.

mod commits;
mod encryption;
mod examples;
mod existing;
mod mistakes;
mod round_trip;
mod signing;
mod sqlite;
mod tenants;
mod verifying;
