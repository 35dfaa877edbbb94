//! stub
use super::*;
use std::path::Path;

#[derive(Debug)]
pub struct Sqlite;
#[allow(unused_variables)]
impl Sqlite {
    pub fn open(name: &str, path: &Path, cancel: Cancel) -> Result<Self> {
        unimplemented!()
    }
    pub fn open_target(name: &str, configured: &Path, into: Option<&str>, cancel: Cancel) -> Result<Self> {
        unimplemented!()
    }
}
#[allow(unused_variables)]
impl Source for Sqlite {
    fn server(&self) -> Server {
        unimplemented!()
    }
    fn inventory(&self) -> Result<Inventory> {
        unimplemented!()
    }
    fn open_view<'a>(
        &'a self,
        collections: &[Wanted],
        consistency: config::Consistency,
        at_most: Level,
    ) -> Result<Box<dyn View + 'a>> {
        unimplemented!()
    }
    fn count(&self, wanted: &Wanted) -> Result<Option<u64>> {
        unimplemented!()
    }
    fn orphans(&self, relationship: &config::Relationship) -> Result<Orphans> {
        unimplemented!()
    }
}
#[allow(unused_variables)]
impl Target for Sqlite {
    fn server(&self) -> Server {
        unimplemented!()
    }
    fn inventory(&self) -> Result<Inventory> {
        unimplemented!()
    }
    fn stage(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Staged> {
        unimplemented!()
    }
    fn switch(&self, staged: &Staged, input: &dyn Input) -> Result<Switched> {
        unimplemented!()
    }
    fn discard(&self, staged: &Staged) -> Result<()> {
        unimplemented!()
    }
}
