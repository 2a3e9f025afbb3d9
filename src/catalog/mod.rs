//! Sets of archives: their destinations, their listings, and their uploads.

pub mod dates;
pub mod destination;
pub mod listing;
pub mod location;
pub mod set;
pub mod shipment;
