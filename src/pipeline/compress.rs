//! stub
#[derive(Debug)]
pub struct CompressedBlock;
#[derive(Debug)]
pub struct Pending;
#[derive(Debug)]
pub struct Pool;
