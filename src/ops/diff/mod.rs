//! `diff`: what differs between an archive and this machine's state, or between two archives.
//!
//! Each directory is compared as two streams of its parts. Only those of a small one are in memory together.

mod archived;
mod entry;
mod machine;
mod part;
mod report;
mod spool;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use self::{
    archived::{ArchivedSide, MOST_TEXT_BYTES, Wanted},
    machine::Machine,
    part::{Content, Merged, SidePart, SideParts},
    spool::EntrySpool,
    text::unified,
};
pub use self::{
    entry::{DiffState, EntryDiff},
    report::DiffReport,
    spool::DiffEntries,
};
use crate::{
    catalog::input::ArchiveInput,
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::entry_name::EntryName,
    work::{events::ArchiveEvent, remark::RemarkKind},
};

/// The other side of a comparison with an archive.
pub enum DiffSide<'a> {
    /// This machine's state.
    Machine(&'a Settings),
    /// Another archive.
    Archive(&'a ArchiveInput),
}

/// The choice to compare text files line by line or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// They are.
    Shown,
    /// Only whether they differ.
    Hidden,
}

/// Compares an archive with something else.
pub fn diff(
    context: &Context,
    archive: &ArchiveInput,
    other: &DiffSide<'_>,
    text: Text,
) -> Result<DiffReport> {
    if matches!(
        (archive, other),
        (ArchiveInput::Stdin, DiffSide::Archive(ArchiveInput::Stdin))
    ) {
        return Err(Failure::new(Kind::Usage, "standard input is one archive, not two").into());
    }
    let is_shown = text == Text::Shown;
    let (here, there) = match other {
        DiffSide::Machine(settings) => {
            let machine = Machine { context, settings };
            let wanted = Wanted {
                text: &|name| is_shown && machine.place_of(name).is_some(),
                heads: true,
            };
            let there = ArchivedSide::read(context, archive, wanted)?;
            (Here::Machine(machine), there)
        }
        DiffSide::Archive(second) => {
            let wanted = Wanted {
                text: &|_| is_shown,
                heads: false,
            };
            let here = ArchivedSide::read(context, archive, wanted)?;
            let wanted = Wanted {
                text: &|name| here.text(name).is_some(),
                heads: false,
            };
            let there = ArchivedSide::read(context, second, wanted)?;
            (Here::Archive(Box::new(here)), there)
        }
    };
    let mut comparison = Comparison {
        context,
        here: &here,
        there: &there,
        text,
        entries: EntrySpool::new(&context.scratch),
        texts_left_out: 0,
    };
    let directories = here.directories().chain(there.directories());
    let directories: BTreeSet<EntryName> = directories.cloned().collect();
    // The name of a directory's part begins with that of the directory and a slash.
    let mut items: BTreeMap<String, (&EntryName, Shape)> = BTreeMap::new();
    for name in here
        .entries(&directories)
        .chain(there.entries(&directories))
    {
        items.insert(name.to_string(), (name, Shape::Entry));
    }
    for name in &directories {
        items.insert(format!("{name}/"), (name, Shape::Directory));
    }
    for (name, shape) in items.into_values() {
        context.stop.check()?;
        match shape {
            Shape::Entry => comparison.entry(name)?,
            Shape::Directory => comparison.directory(name)?,
        }
    }
    let mut remarks = context.remarks();
    if comparison.texts_left_out > 0 {
        let (count, most) = (comparison.texts_left_out, MOST_TEXT_BYTES >> 20);
        let message = format!(
            "{count} changed TOML files are not compared key by key: those of an archive have more than {most} MiB \
                together; extract them to compare them"
        );
        remarks.undone(RemarkKind::Text, "", message);
    }
    Ok(DiffReport {
        entries: comparison.entries.finish(),
        remarks,
    })
}

#[derive(Clone, Copy)]
enum Shape {
    Entry,
    Directory,
}

/// The side that is called here.
enum Here<'a> {
    Machine(Machine<'a>),
    Archive(Box<ArchivedSide>),
}

impl Here<'_> {
    fn directories(&self) -> Box<dyn Iterator<Item = &EntryName> + '_> {
        match self {
            Here::Machine(machine) => Box::new(machine.directories()),
            Here::Archive(archived) => Box::new(archived.directories()),
        }
    }

    fn entries<'b>(
        &'b self,
        directories: &'b BTreeSet<EntryName>,
    ) -> Box<dyn Iterator<Item = &'b EntryName> + 'b> {
        match self {
            Here::Machine(machine) => Box::new(machine.entries(directories)),
            Here::Archive(archived) => Box::new(archived.entries(directories)),
        }
    }
}

/// A comparison at work.
struct Comparison<'a> {
    context: &'a Context,
    here: &'a Here<'a>,
    there: &'a ArchivedSide,
    text: Text,
    entries: EntrySpool,
    /// The number of changed texts that cannot be compared, because there was no room for them.
    texts_left_out: u64,
}

impl Comparison<'_> {
    /// Compares an entry that lies in no directory.
    fn entry(&mut self, name: &EntryName) -> Result<()> {
        let there = self.there.entry(name).filter(|_| self.is_compared(name));
        let mut here = match self.here {
            Here::Machine(machine) => machine.entry(name)?,
            Here::Archive(archived) => archived.entry(name),
        };
        if let (Here::Machine(machine), Some(here), Some(there)) = (self.here, &mut here, &there)
            && let Some(path) = machine.place_of(name)
        {
            here.digest = machine.counts_as(self.there, name, &path, here.digest, there)?;
        }
        self.add(name, here, there)
    }

    /// Compares the parts of the directory called `name`.
    fn directory(&mut self, name: &EntryName) -> Result<()> {
        let (here, there) = (self.here, self.there);
        let staged = match here {
            Here::Machine(machine) => machine.directory(name)?,
            Here::Archive(_) => None,
        };
        let here = match here {
            Here::Machine(machine) => machine.parts(name, staged.as_ref())?,
            Here::Archive(archived) => archived.parts(name)?,
        };
        let there = there.parts(name)?;
        let most = usize::try_from(self.context.unlisted_files).unwrap_or(usize::MAX);
        match (Length::of(here, most)?, Length::of(there, most)?) {
            // The parts of a small directory come in the order of their names.
            (Length::Short(here), Length::Short(there)) => {
                let merged = Merged::by_entry(here, there);
                self.parts(name, merged)
            }
            (here, there) => self.parts(name, Merged::by_path(here.parts(), there.parts())),
        }
    }

    fn parts(&mut self, directory: &EntryName, merged: Merged<'_>) -> Result<()> {
        let has_commands = match self.here {
            Here::Machine(machine) => machine.has_commands_in(directory),
            Here::Archive(_) => false,
        };
        for both in merged {
            let (mut here, there) = both?;
            let there = there.filter(|part| !has_commands || self.is_compared(&part.entry));
            if let (Here::Machine(machine), Some(here), Some(there)) =
                (self.here, &mut here, &there)
                && there.content.database.is_some()
                && let Some(path) = machine.place(directory, here)
            {
                let (content, there) = (&mut here.content, &there.content);
                content.digest =
                    machine.counts_as(self.there, &here.entry, &path, content.digest, there)?;
            }
            let name = match (&here, &there) {
                (Some(part), _) | (None, Some(part)) => part.entry.clone(),
                (None, None) => continue,
            };
            self.context.stop.check()?;
            let content = |part: SidePart| part.content;
            self.add(&name, here.map(content), there.map(content))?;
        }
        Ok(())
    }

    /// Returns true if the archived entry can be compared; says so if not.
    fn is_compared(&self, name: &EntryName) -> bool {
        match self.here {
            Here::Machine(machine) if !machine.is_compared(name) => {
                let entry = name.clone();
                self.context.tell(ArchiveEvent::NotCompared { entry });
                false
            }
            _ => true,
        }
    }

    /// Adds the result for one entry.
    fn add(
        &mut self,
        name: &EntryName,
        here: Option<Content>,
        there: Option<Content>,
    ) -> Result<()> {
        let state = match (&here, &there) {
            (Some(here), Some(there)) if here.digest == there.digest => DiffState::Unchanged,
            (Some(_), Some(_)) => DiffState::Changed,
            (Some(_), None) => DiffState::OnlyHere,
            (None, Some(_)) => DiffState::OnlyThere,
            (None, None) => return Ok(()),
        };
        let text = match state {
            DiffState::Changed if self.text == Text::Shown => self.changed_text(name)?,
            _ => None,
        };
        self.entries.push(&EntryDiff {
            entry: name.as_str().to_owned(),
            here_bytes: here.map(|content| content.size),
            state,
            text,
            there_bytes: there.map(|content| content.size),
        })
    }

    fn changed_text(&mut self, name: &EntryName) -> Result<Option<String>> {
        let is_left_out = match self.here {
            Here::Archive(here) if here.lacks_text(name) => true,
            Here::Archive(here) if here.text(name).is_none() => false,
            _ => self.there.lacks_text(name),
        };
        self.texts_left_out += u64::from(is_left_out);
        let Some(there) = self.there.text(name) else {
            return Ok(None);
        };
        Ok(match self.here {
            Here::Machine(machine) => {
                let here = machine.text(name)?;
                here.and_then(|here| unified(name, &here, there))
            }
            Here::Archive(archived) => {
                let here = archived.text(name);
                here.and_then(|here| unified(name, here, there))
            }
        })
    }
}

/// The parts of one side of a directory: all of them if they are few.
enum Length<'a> {
    Short(Vec<SidePart>),
    Long(SideParts<'a>),
}

impl<'a> Length<'a> {
    /// Returns all parts if there are at most `most`.
    fn of(mut parts: SideParts<'a>, most: usize) -> Result<Length<'a>> {
        let first = parts
            .by_ref()
            .take(most)
            .collect::<Result<Vec<SidePart>>>()?;
        Ok(match parts.next() {
            None => Length::Short(first),
            Some(next) => {
                let first = first.into_iter().map(Ok).chain([next]);
                Length::Long(Box::new(first.chain(parts)))
            }
        })
    }

    fn parts(self) -> SideParts<'a> {
        match self {
            Length::Short(parts) => Box::new(parts.into_iter().map(Ok)),
            Length::Long(parts) => parts,
        }
    }
}
