//! The note of a guarded run: what the next hookshot has to know if this one is killed while the service is stopped.
//!
//! It lies in `.hookshot` beside the journal. While the run lives it holds a lock on that folder (flock(2)), which no
//! other verb takes. So a note without a lock is that of a run that was killed.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    config::Settings,
    context::Context,
    disk::{
        NewFolders, exists,
        lock::{Hold, StateLock},
        publish::{Existing, publish},
        remove_file, sync_folder,
        transaction::home::Home,
    },
    error::{Failure, Kind},
    work::events::{GuardEvent, GuardNote, GuardPhase},
};

/// The file's name.
const FILE: &str = "guard.json";
/// The time for which a run waits for the lock: a look at it takes an instant.
const LOOK: Duration = Duration::from_millis(500);
/// The time between two attempts to get the lock.
const TICK: Duration = Duration::from_millis(20);

/// The guard of a run: its lock, and its note.
pub struct Guard<'a> {
    context: &'a Context,
    file: PathBuf,
    note: GuardNote,
    /// True if this run has written its note: one that was there before is that of another run.
    is_noted: bool,
    _lock: StateLock,
}

impl<'a> Guard<'a> {
    /// Locks the folder of the journal, and makes it if it is missing. Writes no note yet.
    ///
    /// Errors: [`Kind::Blocked`] if another guarded run is at work.
    pub fn begin(
        context: &'a Context,
        settings: &Settings,
        verb: &str,
        start: Option<String>,
    ) -> Result<Guard<'a>> {
        let home = Home::beside(&settings.config);
        let folder = home.folder();
        let mut made = NewFolders::default();
        made.create(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        made.keep();
        let lock = acquire(folder)?;
        Ok(Guard {
            context,
            file: folder.join(FILE),
            note: GuardNote {
                verb: verb.to_owned(),
                time: context.time(),
                phase: GuardPhase::Command,
                start,
                archive: None,
                config: settings.config.display().to_string(),
            },
            is_noted: false,
            _lock: lock,
        })
    }

    /// Names the archive of the run in later notes.
    pub fn name_archive(&mut self, archive: Option<String>) {
        self.note.archive = archive;
    }

    /// Notes, durably, the step that begins.
    pub fn note(&mut self, phase: GuardPhase) -> Result<()> {
        self.note.phase = phase;
        // What the run protects against may have removed the folder.
        if let Some(folder) = self.file.parent() {
            let mut made = NewFolders::default();
            made.create(folder)?;
            made.keep();
        }
        let mut text = serde_json::to_string_pretty(&self.note)?;
        text.push('\n');
        publish(&self.file, text.as_bytes(), Existing::Replace)?;
        self.is_noted = true;
        Ok(())
    }

    /// Notes the step that begins. If that fails, it is told: the work goes on, because the service is stopped.
    pub fn note_or_tell(&mut self, phase: GuardPhase) {
        if let Err(error) = self.note(phase) {
            let reason = format!("{error:#}");
            let file = self.file.display().to_string();
            self.context.tell(GuardEvent::NoteStays { file, reason });
        }
    }

    /// Ends the run: nothing of it is left to tell.
    pub fn end(&self) {
        if self.is_noted
            && exists(&self.file)
            && let Err(error) = forget(&self.file)
        {
            let reason = format!("{error:#}");
            let file = self.file.display().to_string();
            self.context.tell(GuardEvent::NoteStays { file, reason });
        }
    }
}

/// Returns the note of a run that was killed, and its file; `None` without one, or while its run lives.
pub fn left(config: &Path) -> Option<(PathBuf, GuardNote)> {
    let home = Home::beside(config);
    let file = home.folder().join(FILE);
    if !exists(&file) {
        return None;
    }
    let folder = [home.folder().to_owned()];
    let _look = StateLock::acquire(&folder, Hold::Shared).ok()?;
    let text = std::fs::read(&file).ok()?;
    let note = serde_json::from_slice(&text).ok()?;
    Some((file, note))
}

/// Removes a note.
pub fn forget(file: &Path) -> Result<()> {
    remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    if let Some(folder) = file.parent() {
        sync_folder(folder)?;
    }
    Ok(())
}

fn acquire(folder: &Path) -> Result<StateLock> {
    let begun = Instant::now();
    loop {
        match StateLock::acquire(&[folder.to_owned()], Hold::Exclusive) {
            Err(error) if Failure::of(&error).kind == Kind::Blocked && begun.elapsed() < LOOK => {
                thread::sleep(TICK);
            }
            result => return result,
        }
    }
}
