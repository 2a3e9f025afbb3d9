//! The face: arguments in, reports out. The only layer that prints.

mod app;
#[cfg(feature = "sftp")]
mod askpass;
mod command_line;
mod complete;
mod exit_codes;
mod global;
mod local_zone;
mod log;
mod other_words;
mod render;
mod run;
mod signals;
mod size;
mod terminal;
mod usage;
mod variables;
mod verbs;
mod world;

pub use self::{command_line::command, run::run, world::World};
