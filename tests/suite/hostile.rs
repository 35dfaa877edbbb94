//! Archives, manifests and configurations from elsewhere. Nothing is signed here, and every digest is right: only the
//! content is evil. Nothing is written outside the target, memory is bounded, nothing crashes.

mod bombs;
mod databases;
mod forge;
mod fuzz;
mod manifests;
mod paths;
mod surroundings;
mod terminal;
