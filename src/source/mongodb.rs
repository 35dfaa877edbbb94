//! stub
use super::*;
use crate::config::Secret;

#[derive(Debug)]
pub struct MongoDb;
#[allow(unused_variables)]
impl MongoDb {
    pub fn open(name: &str, uri: &Secret, database: &str, cancel: Cancel) -> Result<Self> {
        unimplemented!()
    }
    pub fn open_target(
        name: &str,
        configured: &Secret,
        database: &str,
        into: Option<&str>,
        cancel: Cancel,
    ) -> Result<Self> {
        unimplemented!()
    }
}
#[allow(unused_variables)]
impl Source for MongoDb {
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
impl Target for MongoDb {
    fn server(&self) -> Server {
        unimplemented!()
    }
    fn inventory(&self) -> Result<Inventory> {
        unimplemented!()
    }
    fn stage(&self, stored: &StoredCollection, input: &dyn Input) -> Result<Staged> {
        unimplemented!()
    }
    fn switch(&self, staged: &Staged) -> Result<Switched> {
        unimplemented!()
    }
    fn discard(&self, staged: &Staged) -> Result<()> {
        unimplemented!()
    }
}

pub fn digest_records(body: &mut dyn std::io::Read) -> Result<StreamTotals> {
    let _ = body;
    unimplemented!()
}
