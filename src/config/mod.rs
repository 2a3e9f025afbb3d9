//! config.toml: what hookshot reads of it, and the settings that come of flags, environment, file and defaults.
//!
//! The file belongs to the service. hookshot reads `[storage] data_dir`, `[logging]`, `[secrets] file` and
//! `[backup]`, and lets every other section be.

mod nearest;
pub mod schema;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    disk::folder_of,
    error::{Failure, Kind},
    model::limits::MAX_CONFIG_BYTES,
};
use schema::Schema;

/// Where the configuration lies unless somebody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/hookshot/config.toml";
/// Where the service keeps its state unless the configuration says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/hookshot";

/// What flags and environment say.
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
}

/// Where everything of this machine's state lies, and how hookshot treats it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether it is there.
    pub config_exists: bool,
    /// The file of the services.
    pub services: PathBuf,
    /// The secrets file.
    pub secrets: PathBuf,
    /// The folder of the state.
    pub data_dir: PathBuf,
    /// What the file says.
    pub schema: Schema,
}

impl Settings {
    /// Merges what `choices` say with the file that they name. A missing file counts as an empty one.
    pub fn load(choices: &Choices) -> Result<Settings> {
        let config = choices
            .config
            .clone()
            .unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
        let text = read_text(&config)?;
        let config_exists = text.is_some();
        let schema =
            Schema::parse(&text.unwrap_or_default()).map_err(|faults| refused(&config, &faults))?;
        let folder = folder_of(&config);
        // Paths in the file are relative to the file.
        let inside = |path: &PathBuf| folder.join(path);
        Ok(Settings {
            services: choices
                .services
                .clone()
                .unwrap_or_else(|| folder.join("services.toml")),
            secrets: choices
                .secrets
                .clone()
                .or_else(|| schema.secrets_file.as_ref().map(inside))
                .unwrap_or_else(|| folder.join("secrets")),
            data_dir: choices
                .data_dir
                .clone()
                .or_else(|| schema.data_dir.as_ref().map(inside))
                .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
            config,
            config_exists,
            schema,
        })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("state.redb")
    }

    /// The folders that are locked while hookshot works on this state.
    pub fn folders(&self) -> [PathBuf; 2] {
        [folder_of(&self.config), self.data_dir.clone()]
    }
}

/// The text of a configuration file; `None` where there is none.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    let reading = || format!("cannot read {}", path.display());
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.with_context(reading)?,
    };
    if !file.metadata().with_context(reading)?.is_file() {
        return Err(Failure::new(
            Kind::Usage,
            format!("{} is not a regular file", path.display()),
        )
        .into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Failure::new(
            Kind::Usage,
            format!("{} is larger than 16 MiB", path.display()),
        )
        .into());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Kind::Usage, format!("{} is not UTF-8", path.display())))?;
    Ok(Some(text))
}

fn refused(path: &Path, faults: &[String]) -> Failure {
    let first = faults.first().map(String::as_str).unwrap_or_default();
    Failure::new(
        Kind::Usage,
        format!("{} is not a good configuration: {first}", path.display()),
    )
    .hint("correct the file; `hookshot validate` names every fault in it")
    .faults(faults.to_vec())
}
