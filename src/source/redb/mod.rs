//! redb databases: their header, their locks, copies that are proven before anyone trusts them.

pub mod copy;
pub mod header;
pub mod judge;
pub mod lock;
mod overlay;
