//! Policies: a schedule and a retention under a name, which configurations inherit, and the way into their files.
//!
//! The configuration of the host stays the one truth that jobs read. A policy is in force as soon as its values stand there.

mod assign;
mod keep;
mod report;
mod values;
mod write;

pub use self::{
    assign::{
        Desired, Difference, How, assign, decided, desired, differences, force, no_good, shown,
    },
    keep::{Wanted, add, change, remove},
    report::{PolicyReport, report},
    values::{PolicyValues, Rule},
    write::{PolicyRequest, WriteMode, WrittenPolicy, apply},
};
