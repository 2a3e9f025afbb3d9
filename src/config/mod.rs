//! config.toml, flags and environment, merged into settings.
//!
//! The file belongs to the service. hookshot reads `[storage] data_dir`, `[logging]`, `[secrets] file` and
//! `[backup]`, and ignores every other section.

mod apart;
mod archived;
mod choices;
pub mod delivery;
pub mod destinations;
pub mod drill;
pub mod elsewhere;
pub mod encryption;
mod foreign;
pub mod globs;
pub mod health;
pub mod hooks;
pub mod import;
pub mod include;
pub mod mail_server;
mod nearest;
pub mod needs;
pub mod notify;
pub mod open_secrets;
mod reader;
pub mod references;
pub mod repository;
pub mod retention;
pub mod schedule;
pub mod schema;
pub mod secret;
mod secret_keys;
pub mod serve;
mod settings;
pub mod sources;
mod sources_section;
mod text;
mod values;

pub use self::{
    choices::{Choices, DEFAULT_CONFIG, DEFAULT_DATA_DIR, absolute},
    settings::Settings,
    text::{parse_toml, read_text},
};
