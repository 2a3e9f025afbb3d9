//! Notes that a cleanup is owed: one for each source, and one for `[backup]`, beside the journal.
//!
//! A note is durable before the command whose cleanup it names begins, and goes when the cleanup has run. It names the
//! source and no command: the configuration says which command that is. While a command runs, the note has its mark.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    publish::{Existing, publish},
    remove_file, sync_folder,
};
use crate::disk::transaction::home::{Home, trust};
use crate::{
    error::{Failure, Kind},
    model::{digest::Digest, limits::MAX_MARK_BYTES},
};

const BEGINNING: &str = "cleanup-";
const END: &str = ".json";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Note {
    version: u32,
    /// The source; absent for `[backup]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    time: String,
    /// The mark of the command that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<String>,
    /// True if the cleanup is missing: only a command that still runs has to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    without_cleanup: bool,
}

/// The content of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The source; nothing for `[backup]`.
    pub source: Option<String>,
    /// The mark of the command that ran when the note was written.
    pub running: Option<String>,
    /// True if a cleanup is owed, and not only the end of a command.
    pub has_cleanup: bool,
}

/// Notes durably what is owed, since `time`, in place of an earlier note of the same source.
pub fn note(home: &Home, owed: &Owed, time: String) -> Result<()> {
    let folder = home.folder();
    let looking = || format!("cannot look at {}", folder.display());
    // Do not begin a note that would not be trusted later.
    trust(folder, &folder.symlink_metadata().with_context(looking)?)?;
    let note = Note {
        version: VERSION,
        source: owed.source.clone(),
        time,
        running: owed.running.clone(),
        without_cleanup: !owed.has_cleanup,
    };
    let text = format!("{:#}\n", serde_json::to_value(&note)?);
    let path = path(home, owed.source.as_deref());
    publish(&path, text.as_bytes(), Existing::Replace)
}

/// Removes the note of `source`, durably.
pub fn forget(home: &Home, source: Option<&str>) -> io::Result<()> {
    remove_file(&path(home, source))?;
    match home.folder().is_dir() {
        true => sync_folder(home.folder()),
        false => Ok(()),
    }
}

/// Reads all notes, sorted by the names of the sources; `[backup]` comes last.
pub fn read(home: &Home) -> Result<Vec<Owed>> {
    let mut owed = Vec::new();
    for entry in std::fs::read_dir(home.folder()).into_iter().flatten() {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BEGINNING) && name.ends_with(END) {
            owed.push(read_note(home.folder().join(&*name))?);
        }
    }
    owed.sort_by(|one: &Owed, other| {
        let key = |owed: &Owed| (owed.source.is_none(), owed.source.clone());
        key(one).cmp(&key(other))
    });
    Ok(owed)
}

fn read_note(path: PathBuf) -> Result<Owed> {
    let reading = || format!("cannot read {}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(&path)
        .with_context(reading)?;
    trust(&path, &file.metadata().with_context(reading)?)?;
    let folder = super::folder_of(&path);
    trust(&folder, &folder.symlink_metadata().with_context(reading)?)?;
    let mut text = String::new();
    let room = MAX_MARK_BYTES.saturating_mul(64);
    io::Read::read_to_string(&mut io::Read::take(file, room), &mut text).with_context(reading)?;
    let note: Option<Note> = serde_json::from_str(&text).ok();
    match note.filter(|note| note.version == VERSION) {
        Some(note) => Ok(Owed {
            source: note.source,
            running: note.running,
            has_cleanup: !note.without_cleanup,
        }),
        None => Err(Failure::new(
            Kind::Failed,
            format!("{} is not a note of an owed cleanup", path.display()),
        )
        .hint("run the cleanup commands by hand, then remove the file")
        .into()),
    }
}

fn path(home: &Home, source: Option<&str>) -> PathBuf {
    let tag = match source {
        None => "backup".to_owned(),
        // Names have slashes.
        Some(source) => format!(
            "source-{}",
            &Digest::of(source.as_bytes()).to_string()[..16]
        ),
    };
    home.folder().join(format!("{BEGINNING}{tag}{END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::beside(&folder.path().join("config.toml"));
        assert_eq!(read(&home).expect("none"), vec![]);
        super::super::create_folders(home.folder()).expect("a folder");
        let owed = |source: Option<&str>| Owed {
            source: source.map(str::to_owned),
            running: None,
            has_cleanup: true,
        };
        for source in [None, Some("b/c"), Some("a"), None] {
            note(&home, &owed(source), "now".to_owned()).expect("noted");
        }
        let all = [owed(Some("a")), owed(Some("b/c")), owed(None)];
        assert_eq!(read(&home).expect("three"), all);
        forget(&home, Some("a")).expect("forgotten");
        forget(&home, None).expect("forgotten");
        assert_eq!(read(&home).expect("one"), all[1..2]);
        let running = Owed {
            running: Some("mark".to_owned()),
            has_cleanup: false,
            ..owed(Some("b/c"))
        };
        note(&home, &running, "later".to_owned()).expect("noted");
        assert_eq!(read(&home).expect("one"), [running]);
    }
}
