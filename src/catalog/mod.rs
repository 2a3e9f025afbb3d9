//! Sets of archives: their destinations, their listings, and their uploads.

pub mod dates;
pub mod destination;
pub mod each;
pub mod location;
pub mod newest;
pub mod repository;
pub mod shipment;
pub mod slot;
pub mod tar_store;
