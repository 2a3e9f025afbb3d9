//! The holders of a file: the processes that have a lock on it or have it open, from /proc.

mod locks;
mod open;
mod process;

pub use self::{
    locks::{is_flocked, listed_on, lock_holders, locked_below},
    open::{deleted_below, has_open, open_below, open_by, open_deleted, working_below},
    process::{Holder, OpenMode, describe},
};
