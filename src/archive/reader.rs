//! stub
pub struct ArchiveReader;
pub fn decode_all() {}
