//! The content of commands before an import gives them an archive's entries: exported, kept, and given back by a
//! rollback.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{preflight::Force, rehearsal::Rehearsal};
use crate::{
    config::sources::Source,
    context::Context,
    disk::{
        self, survey,
        transaction::{Change, Form, New, PlacementMethod, backup::Known, home::Home},
    },
    model::{digest::Digest, entry_name::EntryName, plan::FileAttributes},
    source::command,
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks, shell::Line},
};

/// An entry that a command takes.
pub struct Fed<'a> {
    /// The entry.
    pub entry: &'a EntryName,
    /// The content that is given to the command.
    pub content: PathBuf,
    /// The place at which the entry that it held before is kept.
    pub kept: Option<PathBuf>,
    source: &'a Source,
    command: Line<'a>,
}

impl<'a> Fed<'a> {
    /// Returns the file at `content` for the import command of `source`; `None` if it has none.
    pub fn new(source: &'a Source, content: PathBuf) -> Option<Fed<'a>> {
        let command = source.kind.import_command()?;
        Some(Fed {
            entry: &source.name,
            content,
            kept: None,
            source,
            command: source.line(command),
        })
    }
}

/// Exports of this run that have no place yet; they are removed if they are not placed.
pub struct Exports<'a> {
    context: &'a Context,
    home: &'a Home,
    known: &'a Known,
    rehearsal: Rehearsal,
    force: Force,
    again: bool,
    files: Vec<PathBuf>,
}

impl Drop for Exports<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = disk::remove_file(file);
        }
    }
}

impl<'a> Exports<'a> {
    /// Exports for the journal in `home`, which is there unless this is a rehearsal.
    pub fn new(
        context: &'a Context,
        home: &'a Home,
        known: &'a Known,
        rehearsal: Rehearsal,
        force: Force,
    ) -> Exports<'a> {
        Exports {
            context,
            home,
            known,
            rehearsal,
            force,
            again: false,
            files: Vec::new(),
        }
    }

    /// Spares what the last import kept if it was an import of this `archive` too: the state before both is in that.
    pub fn spare(mut self, archive: &str) -> Exports<'a> {
        let last = self.home.record().ok().flatten();
        self.again = last
            .is_some_and(|last| last.verb == "import" && last.archive.as_deref() == Some(archive));
        self
    }

    /// Exports the present content of the commands, and names the path at which it will stay. A command that fails is
    /// not an obstacle: on a new machine there is nothing to keep. But then a rollback cannot give the content back,
    /// and a remark says so.
    pub fn keep(
        &mut self,
        commands: &mut [Fed<'_>],
        remarks: &mut Remarks,
    ) -> Result<Vec<Change<'static>>> {
        let mut taken = BTreeSet::new();
        let mut changes = Vec::new();
        for fed in commands {
            self.context.stop.check()?;
            let entry = fed.entry;
            self.context.begin("keeping what a command holds", None);
            let (file, exported) = self.export(fed)?;
            let digest = match exported {
                Ok(digest) => digest,
                Err(reason) => {
                    let message = format!(
                        "what the commands of {entry} hold now is not kept, because its export command {reason}: a \
                        rollback cannot bring it back"
                    );
                    match self.force {
                        Force::Yes | Force::Rollback => {
                            remarks.warning(RemarkKind::Backup, entry, message)
                        }
                        Force::No => remarks.undone(RemarkKind::Backup, entry, message),
                    }
                    continue;
                }
            };
            let base = self.home.kept(entry.as_str());
            let mut target = self.known.choose(&base, &taken)?.path;
            taken.insert(target.clone());
            if self.again && disk::exists(&target) {
                target = self.known.choose(&base, &taken)?.path;
                taken.insert(target.clone());
            }
            let aside = self.known.choose(&target, &taken)?;
            taken.insert(aside.path.clone());
            fed.kept = Some(target.clone());
            let Some(file) = file else {
                continue;
            };
            changes.push(Change {
                entry: entry.clone(),
                before: survey::present(&target, |file| Box::new(file))?
                    .map(|present| present.digest),
                stamp: survey::stamp(&target)?,
                rules: None,
                backup: Some((aside.path, aside.replaces)),
                new: New::File {
                    source: file,
                    origin: PlacementMethod::Moved,
                    digest,
                    attributes: FileAttributes {
                        mode: 0o600,
                        owner: None,
                        xattrs: Default::default(),
                    },
                    mtime: None,
                },
                form: Form::Kept,
                target,
            });
        }
        Ok(changes)
    }

    /// Runs the export command; a rehearsal keeps nothing of what it prints.
    fn export(&mut self, fed: &Fed<'_>) -> Result<(Option<PathBuf>, Result<Digest, String>)> {
        let Some(export) = fed.source.kind.export_command() else {
            return Ok((None, Err("is not there".to_owned())));
        };
        let (export, step) = (fed.source.line(export), self.context.step());
        let runner = &self.context.runner;
        if self.rehearsal == Rehearsal::DryRun {
            let digest = command::print(runner, export, &mut std::io::sink(), &step)?;
            return Ok((None, digest));
        }
        let number = self.files.len();
        let unique = &self.context.unique;
        let path = self
            .home
            .folder()
            .join(format!(".hookshot-{unique}-{number}.kept"));
        let writing = || format!("cannot write {}", path.display());
        let mut file = create(&path).with_context(writing)?;
        self.files.push(path.clone());
        let digest = command::print(runner, export, &mut file, &step).with_context(writing)?;
        file.sync_all().with_context(writing)?;
        Ok((Some(path), digest))
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

/// Gives entries to the import commands, one after the other. If one fails, the commands' earlier content stays in
/// files that the error names.
pub fn feed(context: &Context, commands: &[Fed<'_>]) -> Result<()> {
    for (number, fed) in commands.iter().enumerate() {
        context.stop.check()?;
        let length = fed.content.metadata().ok().map(|metadata| metadata.len());
        context.begin("importing by command", length);
        let entry = fed.entry;
        let mut say = |line: &str| {
            context.tell(RestoreEvent::CommandSays {
                line: line.to_owned(),
            });
        };
        let runner = &context.runner;
        command::feed(runner, fed.command, &fed.content, &mut say, &context.step()).with_context(|| {
            let kept = held_before(&commands[..=number]);
            Unfed(format!("the import command of {entry} failed, and what it did up to then is not undone{kept}"))
        })?;
        context.tell(RestoreEvent::Fed {
            entry: entry.clone(),
        });
    }
    Ok(())
}

/// The failure of an import command: files can be brought back, and what it did cannot.
#[derive(Debug)]
pub struct Unfed(String);

impl fmt::Display for Unfed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfed {}

/// Keeps the exports of these commands beyond the end of the work, and returns their paths in words.
fn held_before(commands: &[Fed<'_>]) -> String {
    let kept = commands.iter().filter_map(|fed| {
        let kept = disk::transaction::backup::second_name(fed.kept.as_ref()?).ok()?;
        Some(format!("{} held {}", fed.entry, kept.display()))
    });
    let kept: Vec<String> = kept.collect();
    match kept.is_empty() {
        true => String::new(),
        false => format!(
            " (before, {}: give that to the import command by hand)",
            kept.join(", ")
        ),
    }
}
