//! Sets of archives: their destinations, their listings, and their uploads.

pub mod dates;
pub mod destination;
pub mod each;
pub mod input;
pub mod newest;
pub mod output;
pub mod repository;
pub mod shipment;
pub mod tar_store;
pub mod target;
