//! stub: the kernel's locks, gone with their process.
use std::time::Duration;

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    No,
    For(Duration),
}

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _files: Vec<std::fs::File>,
}
