//! Sets of archives: where they are kept, how they are listed, and how one gets there.

pub mod dates;
pub mod destination;
pub mod listing;
pub mod location;
pub mod set;
pub mod shipment;
