//! `backup`: backs up, verifies and restores exactly the data that belongs to a module, a tenant or the whole
//! installation, out of MongoDB, SQLite and upload directories.
//!
//! How data flows (each arrow is a call downwards; nothing below knows what is above it):
//!
//! ```text
//!  cli ── config ──► license ──► modules ──► plan ──► create / restore / verify / …   (use cases, one file each)
//!                    Grants      Selection   Plan      │
//!                                                      ├─► source    MongoDB, SQLite, files: records and files, as raw bytes
//!                                                      ├─► pipeline  1 MiB blocks ► digests ► compress workers
//!                                                      ├─► archive   tar entries ► gzip or zstd members ► index
//!                                                      └─► repository staging ► fsync ► re-read ► manifest ► rename
//! ```

pub mod archive;
pub mod cli;
pub mod config;
pub mod create;
pub mod doctor;
pub mod error;
pub mod event;
pub mod forget;
pub mod hold;
pub mod hooks;
pub mod keyring;
pub mod keys;
pub mod license;
pub mod manifest;
pub mod modules;
pub mod monitor;
pub mod names;
pub mod notify;
pub mod pipeline;
pub mod plan;
pub mod prune;
pub mod report;
pub mod repository;
pub mod restore;
pub mod schedule;
pub mod source;
pub mod stats;
pub mod tenants;
pub mod verify;
pub mod verify_collections;
