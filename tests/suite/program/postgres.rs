//! PostgreSQL through the whole program; judged by psql, pg_dump and tar.

mod ahead;
mod creating;
mod erp;
mod existing;
pub mod interrupted;
mod jobs;
pub mod laboratory;
mod large;
pub mod programs;
mod refusals;
mod restore_text;
mod round_trip;
mod selecting;
mod verifying;
