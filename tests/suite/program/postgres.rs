//! PostgreSQL through the whole program; judged by psql, pg_dump and tar.

mod laboratory;
mod restore_text;
mod round_trip;
