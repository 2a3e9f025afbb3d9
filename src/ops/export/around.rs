//! `prepare` and `cleanup`: commands that ask a service for a moment of rest, and end it, whatever becomes of the
//! export.
//!
//! Before a prepare command runs, a note beside the journal says that its cleanup is owed: an export that is killed
//! leaves it, and the next one ends the command, if it still runs, and then runs the cleanup. Exports that prepare
//! something exclude one another.

use anyhow::{Context as _, Result};

use crate::work::events::ExportEvent;
use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        NewFolders,
        lock::{Hold, StateLock},
        owed::{self, Owed},
        transaction::home::Home,
    },
    error::{Failure, Kind},
    model::entry_name::EntryName,
    source::leftover,
    work::{
        cancel::Advance,
        remark::RemarkKind,
        remarks::Remarks,
        shell::{self, Line},
    },
};

/// The commands around an export. When this value is dropped, every cleanup that is owed runs.
pub struct Around<'a> {
    /// The run.
    pub context: &'a Context,
    /// The settings that it exports.
    pub settings: &'a Settings,
    home: Home,
    /// Sources that were prepared and not cleaned up yet, in this order; `None` stands for `[backup]`.
    owed: Vec<Option<String>>,
    /// Cleanups that failed.
    pub remarks: Remarks,
    _lock: Option<StateLock>,
    _folders: NewFolders,
}

/// The commands of a source, or of `[backup]`.
struct Commands<'a> {
    prepare: Option<Line<'a>>,
    cleanup: Option<Line<'a>>,
}

impl<'a> Around<'a> {
    /// Runs the cleanups that an earlier export left, and keeps other exports that prepare something out.
    pub fn enter(context: &'a Context, settings: &'a Settings) -> Result<Around<'a>> {
        let home = Home::beside(&settings.config);
        let mut around = Around {
            context,
            settings,
            owed: Vec::new(),
            home,
            remarks: context.remarks(),
            _lock: None,
            _folders: NewFolders::default(),
        };
        let sources = settings.sources.iter();
        let mut all = sources.map(|source| Some(source.name.to_string()));
        let is_used = |name: Option<String>| {
            let commands = around.commands(name.as_deref());
            commands.is_some_and(|commands| commands.prepare.or(commands.cleanup).is_some())
        };
        if !is_used(None) && !all.any(is_used) && owed::read(&around.home)?.is_empty() {
            return Ok(around);
        }
        // A folder that cannot be made is said when something has to be noted in it.
        let _ = around._folders.create(around.home.folder());
        let folder = [around.home.folder().to_owned()];
        around._lock = Some(StateLock::acquire(&folder, Hold::Exclusive)?);
        around.take_over(owed::read(&around.home)?);
        Ok(around)
    }

    /// Ends commands that an earlier export left at work, and runs the cleanups that it owes.
    fn take_over(&mut self, left: Vec<Owed>) {
        for owed in &left {
            let name = owed.source.as_deref();
            let ended = owed.running.as_deref().map(leftover::end);
            if ended.is_some_and(|ended| !ended.is_empty()) {
                self.context.tell(ExportEvent::LeftoverEnded {
                    source: owed.source.clone(),
                });
            }
            if !owed.has_cleanup
                && let Err(error) = owed::forget(&self.home, name)
            {
                self.context.tell(ExportEvent::NoteStays {
                    reason: error.to_string(),
                });
            }
        }
        let cleanups = left.into_iter().filter(|owed| owed.has_cleanup);
        self.owed = cleanups.map(|owed| owed.source).collect();
        if !self.owed.is_empty() {
            self.context.tell(ExportEvent::CleanupOwed);
        }
        self.end_all();
    }

    /// Notes that the cleanup of a source is owed, or only that a command of it runs.
    fn note(&self, name: Option<&str>, has_cleanup: bool, running: bool) -> Result<()> {
        let owed = Owed {
            source: name.map(str::to_owned),
            running: running.then(|| self.context.unique.clone()),
            has_cleanup,
        };
        owed::note(&self.home, &owed, self.context.time())
    }

    /// Runs the prepare command of `source`, or of `[backup]`, after it is noted that its cleanup is owed.
    pub fn prepare(&mut self, source: Option<&Source>) -> Result<()> {
        let name = source.map(|source| source.name.as_str());
        let Some(Commands { prepare, cleanup }) = self.commands(name) else {
            return Ok(());
        };
        if prepare.is_none() && cleanup.is_none() {
            return Ok(());
        }
        let noted = self.note(name, cleanup.is_some(), prepare.is_some());
        if let Some(error) = noted.err().filter(|_| cleanup.is_some()) {
            let message = format!(
                "cannot note that the cleanup of {} is owed: it runs at the end of this export, but not if this export \
                is killed: {error:#}",
                shown(name)
            );
            self.remarks
                .warning(RemarkKind::Cleanup, name.unwrap_or(""), message);
        }
        if cleanup.is_some() {
            self.owed.push(name.map(str::to_owned));
        }
        let Some(prepare) = prepare else {
            return Ok(());
        };
        self.context.tell(ExportEvent::Preparing {
            source: name.map(str::to_owned),
        });
        let done = self.run(prepare, "prepare", name, &self.context.step());
        // The processes that it left in the background may stay.
        let _ = match cleanup {
            Some(_) => self.note(name, true, false),
            None => owed::forget(&self.home, name).map_err(anyhow::Error::from),
        };
        self.context.stop.check()?;
        done.map_err(|error| {
            let message = format!("the prepare command of {} failed: {error:#}", shown(name));
            Failure::new(Kind::Failed, message)
                .hint(format!(
                    "nothing was exported; run the command by hand, as the user that hookshot runs as; {}",
                    crate::work::session::HINT
                ))
                .into()
        })
    }

    /// Runs the cleanup of `source`, if it is owed.
    pub fn end(&mut self, source: &Source) {
        let name = source.name.as_str();
        if self.owed.iter().any(|owed| owed.as_deref() == Some(name)) {
            self.clean(Some(name));
        }
    }

    /// Runs the cleanups of all sources that are owed, the last one first.
    pub fn end_sources(&mut self) {
        let sources: Vec<String> = self.owed.iter().rev().flatten().cloned().collect();
        for name in sources {
            self.clean(Some(&name));
        }
    }

    /// Runs every cleanup that is owed, that of `[backup]` at the end.
    pub fn end_all(&mut self) {
        self.end_sources();
        if !self.owed.is_empty() {
            self.clean(None);
        }
    }

    /// Runs a cleanup. One that fails stays owed for the next export. A signal does not end it: it is what a signal
    /// must not leave undone.
    fn clean(&mut self, name: Option<&str>) {
        self.owed.retain(|owed| owed.as_deref() != name);
        let command = self.commands(name).and_then(|commands| commands.cleanup);
        let done = match command {
            Some(command) => {
                self.context.tell(ExportEvent::CleaningUp {
                    source: name.map(str::to_owned),
                });
                // It is owed as before if this cannot be noted.
                let _ = self.note(name, true, true);
                self.run(command, "cleanup", name, &|_| Ok(()))
            }
            None => {
                let message = format!(
                    "the cleanup of {} was owed, and the configuration says no command for it any more",
                    shown(name)
                );
                self.remarks
                    .undone(RemarkKind::Cleanup, name.unwrap_or(""), message);
                Ok(())
            }
        };
        let done = done
            .and_then(|()| owed::forget(&self.home, name).context("cannot note that it has run"));
        if let Err(error) = done {
            let message = format!(
                "the cleanup of {} failed, and is tried again by the next export: {error:#}",
                shown(name)
            );
            self.remarks
                .undone(RemarkKind::Cleanup, name.unwrap_or(""), message);
        }
    }

    fn commands(&self, name: Option<&str>) -> Option<Commands<'a>> {
        let schema = &self.settings.schema;
        let (prepare, cleanup, shell) = match name {
            None => (&schema.prepare, &schema.cleanup, None),
            Some(name) => {
                let mut sources = self.settings.sources.iter();
                let mut globs = self.settings.globs.iter();
                let entry = EntryName::new(name).ok()?;
                let source = sources.find(|source| source.name == entry).or_else(|| {
                    // The file may be gone meanwhile.
                    let glob = globs.find(|glob| glob.path_of(&entry).is_some())?;
                    Some(&glob.template)
                })?;
                (&source.prepare, &source.cleanup, source.shell.as_deref())
            }
        };
        let line = |command: &'a Option<String>| Some(Line::new(command.as_deref()?, shell));
        Some(Commands {
            prepare: line(prepare),
            cleanup: line(cleanup),
        })
    }

    fn run(
        &self,
        command: Line<'_>,
        what: &'static str,
        name: Option<&str>,
        advance: &Advance<'_>,
    ) -> Result<()> {
        let mut say = |line: &str| {
            self.context.tell(ExportEvent::CommandSays {
                command: what,
                source: name.map(str::to_owned),
                line: line.to_owned(),
            });
        };
        let limit = self.settings.schema.prepare_timeout;
        let around = shell::Around {
            mark: &self.context.unique,
            limit,
            variables: &[],
        };
        let runner = &self.context.runner;
        runner.hook(command, around, &mut say, advance)
    }
}

impl Drop for Around<'_> {
    fn drop(&mut self) {
        self.end_all();
    }
}

fn shown(name: Option<&str>) -> &str {
    name.unwrap_or("[backup]")
}
