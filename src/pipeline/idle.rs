//! Readers with nothing left to read: whoever reads something large asks for one of them.

/// The readers of a run, as far as they are idle.
pub trait Idle: Sync {
    /// Takes one, who is given back by [`Idle::give_back`]; false where there is none.
    fn take(&self) -> bool;

    /// Gives back one that was taken.
    fn give_back(&self);
}

/// None ever is.
#[derive(Debug)]
pub struct Nobody;

impl Idle for Nobody {
    fn take(&self) -> bool {
        false
    }

    fn give_back(&self) {}
}
