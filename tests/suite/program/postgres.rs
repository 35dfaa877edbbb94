//! PostgreSQL through the whole program; judged by psql, pg_dump and tar.

mod creating;
mod erp;
mod existing;
pub mod interrupted;
mod jobs;
mod laboratory;
mod large;
mod programs;
mod refusals;
mod restore_text;
mod round_trip;
mod selecting;
mod verifying;
