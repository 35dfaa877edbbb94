//! stub
pub fn entry_path() {}
pub fn part_path() {}
