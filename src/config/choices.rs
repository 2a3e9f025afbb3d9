//! The choices of flags and environment, before the configuration file is read.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::elsewhere::Elsewhere;
use crate::{
    error::{Failure, Kind},
    model::written::unexpanded,
    store::address::require_path,
};

/// The place of the configuration unless the user says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/hookshot/config.toml";
/// The folder in which the service keeps its state unless the configuration says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/hookshot";

/// The choices of flags and environment.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The file of the services.
    pub services: Option<PathBuf>,
    /// The secrets file.
    pub secrets: Option<PathBuf>,
    /// The folder of the state.
    pub data_dir: Option<PathBuf>,
    /// The destinations in place of `[backup] to`, separated by commas or blanks.
    pub to: Option<OsString>,
    /// The files of private keys that open archives.
    pub identities: Vec<PathBuf>,
    /// The text of an archive's configuration file, if this machine has none.
    pub archived: Option<String>,
    /// The text that counts as that of the configuration file, whatever the file says now: a rollback goes where the
    /// archive came from.
    pub pinned: Option<String>,
    /// The places to which an import puts things instead of those of the configuration.
    pub elsewhere: Elsewhere,
}

impl Choices {
    /// Returns the configuration file, absolute: what is written down of it must hold in any folder.
    pub fn config_path(&self) -> Result<PathBuf> {
        Ok(self.elsewhere.said(self.said_config()?))
    }

    /// Returns the configuration file as the user says it, whatever the root.
    pub fn said_config(&self) -> Result<PathBuf> {
        absolute(self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG)))
    }
}

/// Returns the absolute path of a flag or a variable.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let place = "in options and variables";
    if let Some(fault) = path.to_str().and_then(|path| unexpanded(path, place)) {
        return Err(Failure::new(Kind::Usage, fault)
            .hint("a shell expands it only where it stands without quotes")
            .into());
    }
    require_path(path)?;
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}
