//! Uploads in parts, as large archives go: one that becomes an object, and one that is given up.

use std::io::Write as _;

use anyhow::{Result, anyhow};

use super::{
    Examination,
    probe::{LINES, find, finish, reads},
    report::Ability,
};
use crate::{
    store::{Maker, Store},
    work::events::ArchiveEvent,
};

impl Examination {
    /// Tries both, if the store has parts: two of the smallest size that it takes, the second a little shorter. An
    /// error is an interruption.
    pub(super) fn parts(
        &mut self,
        store: &dyn Store,
        maker: &Maker,
        probe: &str,
        can_delete: bool,
    ) -> Result<()> {
        let Some(part_bytes) = store.part_bytes() else {
            return Ok(());
        };
        if !can_delete {
            self.not_tried(Ability::Parts, "what is written cannot be deleted");
            self.not_tried(Ability::AbortParts, "what is written cannot be deleted");
            return Ok(());
        }
        let name = format!("{probe}-parts");
        let content = content(&name, part_bytes);
        self.written.push(name.clone());
        let arrived = self.attempt(Ability::Parts, || {
            let proof = finish(store.create_in_parts(&name, maker)?, &content)?;
            find(store, &name, content.len())?;
            if !reads(store, &name, &content)? {
                let place = store.shown();
                return Err(anyhow!("what {place} gives is not what was written"));
            }
            Ok(((), Some(format!("proven by {}", proof.name()))))
        })?;
        match store.remove(&name) {
            Ok(()) => self.written.retain(|written| *written != name),
            Err(error) => {
                self.events.send(ArchiveEvent::PartsProbeStays {
                    probe: name,
                    reason: format!("{error:#}"),
                });
            }
        }
        if arrived.is_none() {
            self.not_tried(Ability::AbortParts, "no upload in parts arrived");
            return Ok(());
        }
        let name = format!("{probe}-aborted");
        self.attempt(Ability::AbortParts, || {
            let mut upload = store.create_in_parts(&name, maker)?;
            // More than one part: the first is sent.
            upload.write_all(&content)?;
            upload.abandon()?;
            match store.find(&name)? {
                None => Ok(((), None)),
                Some(_) => {
                    store.remove(&name)?;
                    let place = store.shown();
                    Err(anyhow!(
                        "{name} was in {place} although its upload was given up"
                    ))
                }
            }
        })?;
        Ok(())
    }
}

/// Lines of text that are a part and some more.
fn content(name: &str, part_bytes: usize) -> Vec<u8> {
    let line = format!("{name}: an upload in parts of a check; it can be removed\n");
    let lines = part_bytes / line.len() + LINES;
    line.repeat(lines).into_bytes()
}
