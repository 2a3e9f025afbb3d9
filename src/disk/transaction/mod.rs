//! Several files replaced as one: all of them or none, whenever the process or the machine dies.
//!
//! A redo journal: `begin` prepares, `redo` works behind the commit point. Every new file is placed beside its target
//! and synced. Then the journal is synced: the commit point. After it the backups get their names, then the new files
//! theirs. Each step may be repeated, and at no instant is a replaced target missing. Until the caller has looked at
//! the result it can still be undone.
//!
//! Not promised: that no process sees the new first file beside the old second one between two renames; the lock of the
//! database keeps the service out meanwhile.

pub mod backup;
mod begin;
mod change;
mod copy;
pub mod home;
pub mod journal;
pub mod names;
pub mod redo;
mod swap;

pub use self::{
    begin::{Committed, Refused, Transaction},
    change::{Build, Carry, Change, Form, Names, New, PlacementMethod},
    names::backup_path,
};
