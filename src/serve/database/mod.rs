//! The state of the server: one SQLite file, which only its owner can read.
//!
//! Users, tokens, sessions and the audit trail are kept here alone. Archives, copies and what the verbs said last are a cache, which
//! `serve --rebuild` makes anew from the destinations. Only this room knows rusqlite.

mod archives;
mod audit;
mod file;
mod plans;
mod policies;
mod roles;
mod runs;
mod services;
mod sessions;
mod times;
mod tokens;
mod users;

pub use self::{
    archives::{Archive, ArchiveFilter, Copy, ID_DIGITS, Look, SeenArchive, id_of},
    audit::{AuditRecord, ByHand, Deed},
    file::Database,
    plans::{LIFE, Plan, PlanKind, PlannedArchive},
    policies::{Assignment, Policy},
    runs::{Beginning, End, Key, RunState, ServeRun},
    services::{ServiceCount, Sized},
    tokens::Token,
    users::User,
};
