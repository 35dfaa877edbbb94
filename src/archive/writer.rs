//! stub
pub struct ArchiveWriter;
pub struct Finished;
