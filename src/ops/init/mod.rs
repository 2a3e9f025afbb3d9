//! `init`: a starter configuration and an empty database.

pub mod apps;
mod nightly;
pub mod own;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

pub use self::nightly::Nightly;
use super::check::CheckReport;
use crate::{
    config::{Choices, DEFAULT_DATA_DIR, Settings, absolute, sources::Source},
    disk::{
        create_folders, exists, folder_of,
        publish::{Draft, Existing, publish},
    },
    error::{Failure, Kind},
    model::written::escaped,
    state,
};

/// The results of `init`.
#[derive(Debug, Serialize)]
pub struct InitReport {
    /// The files.
    pub created: Vec<String>,
    /// Those of them that are not UTF-8, percent-encoded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub created_escaped: Vec<String>,
    /// The sources of archives, as the configuration has them; those of a hookshot service if it names none.
    pub sources: Vec<InitSource>,
    /// True if these are the four files of a hookshot service, and no service has used them.
    pub is_new_state: bool,
    /// The check of the destination, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckReport>,
    /// The command that comes next, if a schedule was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A source of archives.
#[derive(Debug, Clone, Serialize)]
pub struct InitSource {
    /// The entry's name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its place; `None` for the output of a command.
    pub path: Option<String>,
}

impl InitReport {
    /// Adds the sources that a configuration names. Those that match patterns are left out.
    fn with_sources_of(mut self, choices: &Choices) -> Result<InitReport> {
        let settings = Settings::load(choices)?;
        let shown = |source: &Source| InitSource {
            name: source.name.to_string(),
            kind: source.kind.name(),
            path: source.path().map(|path| path.display().to_string()),
        };
        self.sources = settings.sources.iter().map(shown).collect();
        Ok(self)
    }

    fn of(files: &[PathBuf]) -> InitReport {
        InitReport {
            created: files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            created_escaped: files.iter().filter_map(|path| escaped(path)).collect(),
            sources: Vec::new(),
            is_new_state: false,
            check: None,
            next: None,
        }
    }
}

/// Makes configuration, services file and database if none of them exists.
pub fn init(choices: &Choices, nightly: Option<&Nightly>) -> Result<InitReport> {
    let config = choices.config_path()?;
    let services = choices
        .services
        .clone()
        .unwrap_or_else(|| folder_of(&config).join("services.toml"));
    let services = absolute(&services)?;
    let data_dir = absolute(
        choices
            .data_dir
            .as_deref()
            .unwrap_or(Path::new(DEFAULT_DATA_DIR)),
    )?;
    if data_dir.to_str().is_none() {
        let message = format!(
            "{} is not UTF-8, and so cannot stand in a configuration",
            data_dir.display()
        );
        return Err(Failure::new(Kind::Usage, message)
            .hint("name another --data-dir; nothing was made")
            .into());
    }
    let database = data_dir.join("state.redb");
    if let Some(there) = [&config, &services, &database]
        .into_iter()
        .find(|path| exists(path))
    {
        let failure = Failure::new(
            Kind::Usage,
            format!("{} exists already, nothing was made", there.display()),
        );
        return Err(failure.hint("`init` is for a machine that has nothing yet; `hookshot validate` looks at what is there").into());
    }
    let text = with_nightly(starter_config(&data_dir), nightly)?;
    for folder in [folder_of(&config), folder_of(&services), data_dir.clone()] {
        create_folders(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    publish(&config, text.as_bytes(), Existing::Keep)?;
    publish(&services, STARTER_SERVICES.as_bytes(), Existing::Keep)?;
    empty_database(&database)?;
    let report = InitReport::of(&[config, services, database]).with_sources_of(choices)?;
    Ok(InitReport {
        is_new_state: true,
        ..report
    })
}

/// Writes the nightly job into a starter configuration, if the user asks for it, and at its end a comment on encryption.
fn with_nightly(starter: String, nightly: Option<&Nightly>) -> Result<String, Failure> {
    let text = match nightly {
        Some(nightly) => nightly.written_into(&starter)?,
        None => starter,
    };
    Ok(text + COMMENT_ON_ENCRYPTION)
}

fn starter_config(data_dir: &Path) -> String {
    let data_dir = toml::Value::String(data_dir.display().to_string());
    format!(
        "# The configuration of the service. hookshot reads [storage], [logging], [secrets] and [backup],\n\
         # and lets every other section be.\n\
         \n\
         [storage]\n\
         # Where state.redb lies.\n\
         data_dir = {data_dir}\n\
         \n\
         [logging]\n\
         level = \"info\"\n\
         # text or json\n\
         format = \"text\"\n\
         \n\
         [secrets]\n\
         # Relative to this file. Keep it 0600.\n\
         file = \"secrets\"\n\
         \n\
         [backup]\n\
         # Names of archives start with this: PREFIX-YYYYMMDD-HHMMSS.tar.gz\n\
         prefix = \"hookshot-state\"\n\
         # 0 (store) to 12 (smallest); unless said, 5, and 6 for what is smaller than 512 KiB.\n\
         # level = 9\n\
         # Where archives go when an export names no output; several are possible, on other machines too.\n\
         to = [\"local\"]\n\
         \n\
         [backup.destinations.local]\n\
         url = \"/var/backups/hookshot\"\n"
    )
}

/// The end of a starter configuration. Only a comment is safe there: sections would take the keys of others.
const COMMENT_ON_ENCRYPTION: &str = "\n\
    # Archives that only the owners of these keys can read. Two commands make a key for this service and one for\n\
    # recovery, and print the public keys; keep both files off this machine (docs/encryption.md):\n\
    #   hookshot key generate -o /root/hookshot.key\n\
    #   hookshot key generate -o /media/usb/recovery.key\n\
    # [backup.encryption]\n\
    # recipients = [\"age1...\", \"age1...\"]\n";

/// The services file that [`init`] writes.
pub const STARTER_SERVICES: &str = "# One section for each service that is deployed.\n\
    #\n\
    # [services.web]\n\
    # repository = \"https://git.example/web.git\"\n\
    # branch = \"main\"\n";

/// The number of the last transaction of the database that [`init`] makes. Whoever opens it for writing goes beyond it.
pub const LAST_TRANSACTION: u64 = 4;

/// An empty database with the tables of [`state`], whole when it gets its name.
fn empty_database(path: &Path) -> Result<()> {
    let make = || -> Result<()> {
        let mut draft = Draft::create(&folder_of(path))?;
        let backend = redb::backends::FileBackend::new(draft.file().try_clone()?)?;
        let db = redb::Builder::new().create_with_backend(backend)?;
        let tx = db.begin_write()?;
        for table in [state::DEPLOYMENTS, state::SERVICES, state::LOCKS] {
            tx.open_table(table)?;
        }
        tx.commit()?;
        drop(db);
        Ok(draft.publish(path, Existing::Keep)?)
    };
    make().with_context(|| format!("cannot make the database {}", path.display()))
}
