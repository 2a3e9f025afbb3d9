//! The way of one archive to the other destination: as it is, sealed, or sealed anew.

use std::sync::Arc;

use anyhow::Result;

use crate::{
    catalog::opening::opened_at,
    context::Context,
    crypt::{Recipients, header::sealed_bytes},
    error::{Failure, Kind},
    model::archive_name::{Ending, stem_of},
    work::ReadAt,
};

type Source = Arc<dyn ReadAt + Send + Sync>;

/// The recipients at both ends of a copy.
pub struct Ends {
    pub from: Option<Recipients>,
    pub to: Option<Recipients>,
}

/// The way of one archive.
pub struct Passage {
    /// The bytes that are sent.
    pub source: Source,
    /// The recipients for whom they are sealed on their way.
    pub seal: Option<Recipients>,
    /// The way in which they are verified.
    pub check: Check,
}

/// The way in which a copy is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// A reader reads the archive as it passes.
    Inside,
    /// No key opens it: it arrives as it was, and what it holds is not seen.
    Outside,
}

impl Ends {
    /// Returns the name that an archive gets at the other destination.
    pub fn name_there(&self, name: &str) -> String {
        match (Ending::of_file(name), &self.to) {
            (Some(Ending::Plain), Some(_)) => {
                format!("{}{}", stem_of(name), Ending::Sealed.text())
            }
            _ => name.to_owned(),
        }
    }

    /// Returns true if a file of `there` bytes at the other destination may be the copy of one of `here` bytes.
    pub fn may_be_copy(&self, name: &str, here: u64, there: u64) -> bool {
        match (Ending::of_file(name), &self.to) {
            (Some(Ending::Plain), Some(seal)) => {
                (here..=sealed_bytes(here, seal.count())).contains(&there)
            }
            _ if self.keeps_bytes(name) => here == there,
            // It was sealed for others: the headers differ by some hundred bytes.
            _ => here.abs_diff(there) < sealed_bytes(0, 64),
        }
    }

    /// Returns true if a sealed archive fits the other destination as it is.
    fn keeps_bytes(&self, name: &str) -> bool {
        Ending::of_file(name) != Some(Ending::Sealed)
            || match (&self.from, &self.to) {
                (_, None) => true,
                (Some(from), Some(to)) => from.are_same(to),
                (None, Some(_)) => false,
            }
    }

    /// Decides how the archive called `name`, whose bytes are `source`, goes to the other destination.
    ///
    /// Errors: [`Kind::Key`] if it has to be sealed for other recipients, and no key opens it.
    pub fn passage(
        &self,
        context: &Context,
        name: &str,
        shown: &str,
        source: Source,
    ) -> Result<Passage> {
        if Ending::of_file(name) != Some(Ending::Sealed) {
            let seal = self.to.clone();
            return Ok(Passage {
                source,
                seal,
                check: Check::Inside,
            });
        }
        let opened = match context.keys.ring()?.is_empty() {
            true => None,
            false => match opened_at(&context.keys, shown, source.clone()) {
                Ok(opened) => Some(opened),
                Err(error) if Failure::of(&error).kind == Kind::Key => None,
                Err(error) => return Err(error),
            },
        };
        if self.keeps_bytes(name) {
            let check = match opened {
                Some(_) => Check::Inside,
                None => Check::Outside,
            };
            return Ok(Passage {
                source,
                seal: None,
                check,
            });
        }
        let Some(source) = opened else {
            let message = format!(
                "{shown} is sealed for other recipients than those of the destination, and no key opens it"
            );
            return Err(Failure::new(Kind::Key, message)
                .hint("name a key with --identity FILE, so that it can be sealed anew; or copy it on a machine that has one")
                .into());
        };
        let (seal, check) = (self.to.clone(), Check::Inside);
        Ok(Passage {
            source,
            seal,
            check,
        })
    }
}
