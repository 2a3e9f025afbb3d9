//! The configuration that an archive carries: for a machine that has none, and beside one that has its own.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::work::events::{Events, RestoreEvent};
use crate::{
    archive::Sink,
    catalog::input::ArchiveInput,
    config::{DEFAULT_CONFIG, read_text, schema::Schema, sources::CONFIG},
    context::Context,
    disk::{
        create_folders, exists, folder_of,
        publish::{Existing, publish},
        remove_file,
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
        shell_word::quoted,
    },
};

/// The fate of the archive's configuration if this machine's says something else under `[backup]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// It is laid beside this machine's.
    Beside,
    /// It replaces this machine's.
    Put,
}

/// The configuration file in an archive.
#[derive(Debug)]
pub struct ArchivedConfig {
    /// Its text.
    pub text: String,
    /// Its place on the machine that made the archive; information only.
    pub target: Option<String>,
}

/// Reads the configuration file of an archive, for a machine that has none.
pub fn archived_config(context: &Context, archive: &ArchiveInput) -> Result<ArchivedConfig> {
    if matches!(archive, ArchiveInput::Stdin) {
        let message = "an archive on standard input cannot be asked for its configuration first";
        return Err(Failure::new(Kind::Usage, message)
            .hint("save it to a file, or name where it is")
            .into());
    }
    let name = EntryName::new(CONFIG).expect("a plain name");
    let mut taken = Taken::default();
    let names = std::slice::from_ref(&name);
    if archive
        .select(context, names, "reading", &mut taken)?
        .is_none()
    {
        taken = Taken::default();
        archive.read(context, "reading", &mut taken)?;
    }
    let text = String::from_utf8(taken.bytes)
        .ok()
        .filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "the archive has no config.toml that could be read",
        )
        .hint("write one for this machine; `hookshot init` makes a first one")
    })?;
    Ok(ArchivedConfig {
        text,
        target: taken.target,
    })
}

impl ArchivedConfig {
    /// The refusal if only this configuration says where the archive's entries go, and this machine has none; nothing
    /// if the archive is one of a hookshot service, whose places are known. `config` is what the user says of it, and
    /// `archive` what the user calls the archive, `places` the options that send things elsewhere.
    pub fn is_needed(&self, config: Option<&Path>, archive: &str, places: &str) -> Option<Failure> {
        let sources = Schema::parse(&self.text).ok()?.sources?;
        let missing = config.unwrap_or(Path::new(DEFAULT_CONFIG));
        let message = format!(
            "{} does not exist, and only the archive's own config.toml says where its {} go",
            missing.display(),
            match sources.len() {
                1 => "entries".to_owned(),
                count => format!("{count} sources"),
            }
        );
        let default = || {
            let target = self.target.as_deref()?;
            (target.starts_with('/') && target != DEFAULT_CONFIG).then(|| PathBuf::from(target))
        };
        let place = config.map(Path::to_owned).or_else(default);
        let place =
            place.map(|place| format!("--config {} ", quoted(&place.display().to_string())));
        let place = place.unwrap_or_default();
        let saved = match archive {
            "-" => "save the archive to a file; on a machine that has nothing yet: ",
            _ => "on a machine that has nothing yet: ",
        };
        let archive = match archive {
            "-" => "FILE".to_owned(),
            archive => quoted(archive),
        };
        let hint = format!(
            "{saved}`hookshot {place}import {archive} --use-archive-config{places}` (look first, with --dry-run); else \
            name this machine's configuration with --config"
        );
        Some(Failure::new(Kind::Usage, message).hint(hint))
    }
}

/// An archive's configuration that does not replace this machine's.
pub struct Beside {
    place: PathBuf,
    bytes: Vec<u8>,
    /// The message about it.
    pub message: String,
}

impl Beside {
    /// The archive's configuration, `bytes`, if that at `target`, or else `described`, which says where things go, has
    /// a section `[backup]` that says something else.
    pub fn find(target: &Path, described: &Schema, bytes: &[u8]) -> Result<Option<Beside>> {
        let here = match read_text(target)? {
            Some(text) => Schema::parse(&text).ok(),
            None => Some(described.clone()),
        };
        let Some(here) = here else {
            return Ok(None);
        };
        let archived = std::str::from_utf8(bytes).ok();
        let Some(archived) = archived.and_then(|text| Schema::parse(text).ok()) else {
            return Ok(None);
        };
        let differences = match here.backup_differences(&archived) {
            Some(differences) if here.has_backup => differences.join(", "),
            _ => return Ok(None),
        };
        let place = free_place(target, bytes);
        let message = format!(
            "config.toml is left out: this machine's says something else under [backup] than the archive's \
            ({differences}); the archive's is laid beside {}, as {} (--with-config puts it in place)",
            target.display(),
            place.display()
        );
        Ok(Some(Beside {
            place,
            bytes: bytes.to_owned(),
            message,
        }))
    }

    /// Lays it there, durable and 0600, unless it is there already. What was laid can be taken away again.
    pub fn lay(&self, events: &Events) -> Result<Laid<'_>> {
        if exists(&self.place) {
            return Ok(Laid(None, Events::default()));
        }
        create_folders(&folder_of(&self.place))?;
        publish(&self.place, &self.bytes, Existing::Keep)?;
        Ok(Laid(Some(&self.place), events.clone()))
    }
}

/// A file that was laid, and goes again unless it is kept.
pub struct Laid<'a>(Option<&'a Path>, Events);

impl Laid<'_> {
    /// Leaves it where it is.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Laid<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0
            && let Err(error) = remove_file(place)
        {
            self.1.send(RestoreEvent::NotRemoved {
                path: place.to_owned(),
                reason: error.to_string(),
            });
        }
    }
}

/// `TARGET.archive`, or the first of `TARGET.archive.1`, `.2` and so on that nothing has, or that has the same bytes:
/// what lies there may be the user's own.
fn free_place(target: &Path, bytes: &[u8]) -> PathBuf {
    let numbered = |number: usize| {
        let mut name = target.as_os_str().to_owned();
        name.push(".archive");
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    let is_free = |place: &PathBuf| !exists(place) || holds(place, bytes);
    let mut places = (0..).map(numbered);
    places.find(is_free).unwrap_or_else(|| numbered(0))
}

fn holds(place: &Path, bytes: &[u8]) -> bool {
    let is_file = place
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
    is_file && std::fs::read(place).is_ok_and(|there| there == bytes)
}

/// Keeps the configuration file of an archive.
#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    target: Option<String>,
}

impl Sink for Taken {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if name.as_str() == CONFIG && record.size <= MAX_CONFIG_BYTES {
            self.target.clone_from(&record.target);
            return Ok(Box::new(&mut self.bytes));
        }
        Ok(Box::new(io::sink()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "[backup]\nprefix = \"here\"\n";
    const THERE: &[u8] = b"[backup]\nprefix = \"there\"\n";

    #[test]
    fn what_lies_beside_a_configuration_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("config.toml");
        publish(&target, HERE.as_bytes(), Existing::Keep).expect("written");
        let mine = folder.path().join("config.toml.archive");
        publish(&mine, b"mine", Existing::Keep).expect("written");
        for _ in 0..2 {
            let beside =
                Beside::find(&target, &Schema::parse("").expect("good"), THERE).expect("read");
            let beside = beside.expect("another [backup]");
            assert!(beside.place.ends_with("config.toml.archive.1"));
            beside.lay(&Events::default()).expect("laid").keep();
        }
        assert_eq!(std::fs::read(&mine).expect("a file"), b"mine");
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 3);
    }

    #[test]
    fn what_was_laid_goes_again_unless_it_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("config.toml");
        publish(&target, HERE.as_bytes(), Existing::Keep).expect("written");
        let beside = Beside::find(&target, &Schema::parse("").expect("good"), THERE)
            .expect("read")
            .expect("another");
        drop(beside.lay(&Events::default()).expect("laid"));
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
    }
}
