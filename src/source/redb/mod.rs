//! redb databases: their header, their locks, copies that are proven before anyone trusts them.

pub mod header;
pub mod judge;
pub mod lock;
mod overlay;
pub mod pages;
pub mod snapshot;
pub mod walk;
