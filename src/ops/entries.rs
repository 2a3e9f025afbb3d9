//! The four entries of a hookshot service, and where each lies on this machine.

use std::path::PathBuf;

use crate::{
    config::Settings,
    model::{entry_name::EntryName, plan::Privacy},
};

/// What an entry is to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `config.toml`.
    Config,
    /// The secrets file.
    Secrets,
    /// `services.toml`.
    Services,
    /// `state.redb`.
    Database,
}

impl Role {
    /// Every role, in the order of the entries' names.
    pub const ALL: [Role; 4] = [Role::Config, Role::Secrets, Role::Services, Role::Database];

    /// The entry's name in an archive.
    pub fn name(self) -> EntryName {
        let name = match self {
            Role::Config => "config.toml",
            Role::Secrets => "secrets",
            Role::Services => "services.toml",
            Role::Database => "state.redb",
        };
        EntryName::new(name).expect("a plain name")
    }

    /// The role of the entry with this name, if it has one.
    pub fn of(name: &EntryName) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == *name)
    }

    /// Where this machine has it.
    pub fn path(self, settings: &Settings) -> PathBuf {
        match self {
            Role::Config => settings.config.clone(),
            Role::Secrets => settings.secrets.clone(),
            Role::Services => settings.services.clone(),
            Role::Database => settings.database(),
        }
    }

    /// Whether others may ever read it.
    pub fn privacy(self) -> Privacy {
        match self {
            Role::Secrets => Privacy::Private,
            _ => Privacy::Ordinary,
        }
    }
}
