//! The decision how an archive goes to another destination: as it is, sealed, or sealed anew.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::{
    catalog::{destination::Destination, opening::opened_whole},
    config::Settings,
    context::Context,
    crypt::{
        Recipients,
        header::{Form, MAGIC_BYTES, MAX_HEADER_BYTES, content_bytes, content_offset, form_of},
    },
    error::{Failure, Kind},
    model::{
        archive_name::{Ending, stem_of},
        digest::Digest,
    },
    work::ReadAt,
};

type Source = Arc<dyn ReadAt + Send + Sync>;

/// The recipients at both ends of a copy.
pub struct Ends {
    /// Those of the other destination; `None` if nothing has to be sealed there.
    to: Option<Recipients>,
    /// True if both destinations seal for the same.
    are_same: bool,
    /// True if the other one is a repository: it seals by its own password, and holds nothing that was sealed before.
    opens: bool,
}

/// The bytes that are sent, and what is done with them.
pub struct Decision {
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
    /// No key opens it, and this machine proved bytes of this digest.
    Known(Digest),
    /// No key opens it: it arrives as it was, and what it holds is not seen.
    Outside,
}

impl Ends {
    /// Returns the recipients at both ends.
    pub fn new(
        context: &Context,
        settings: &Settings,
        from: &Destination,
        to: &Destination,
    ) -> Result<Ends> {
        let recipients = to.recipients(context, settings)?;
        let are_same = from.encryption == to.encryption
            || match &recipients {
                None => false,
                // One whose recipients cannot be told now is another one.
                Some(there) => {
                    matches!(from.recipients(context, settings), Ok(Some(here)) if here.are_same(there))
                }
            };
        let opens = to.repository.vault().is_some();
        let to = recipients;
        Ok(Ends {
            to,
            are_same,
            opens,
        })
    }

    /// Returns the name that an archive gets at the other destination.
    pub fn name_there(&self, name: &str) -> String {
        match (Ending::of_file(name), &self.to) {
            (Some(Ending::Plain), Some(_)) => {
                format!("{}{}", stem_of(name), Ending::Sealed.text())
            }
            (Some(Ending::Sealed), None) if self.opens => {
                format!("{}{}", stem_of(name), Ending::Plain.text())
            }
            _ => name.to_owned(),
        }
    }

    /// Returns true if an archive goes to the other destination as it is.
    pub fn keeps_bytes(&self, is_sealed: bool) -> bool {
        match is_sealed {
            false => self.to.is_none(),
            true => !self.opens && (self.to.is_none() || self.are_same),
        }
    }

    /// Decides how the archive that is called `shown`, and whose bytes are `source`, goes to the other destination. `known`
    /// is their digest, if this machine proved them.
    ///
    /// Errors: [`Kind::Key`] if it has to be sealed for other recipients, and no key opens it; [`Kind::Refused`] if its
    /// name says something else than its bytes.
    pub fn decide(
        &self,
        context: &Context,
        name: &str,
        shown: &str,
        (source, known): (Source, Option<Digest>),
    ) -> Result<Decision> {
        let form = form(&*source).with_context(|| format!("cannot read {shown}"))?;
        let says = match (Ending::of_file(name), form) {
            (Some(Ending::Plain), Some(_)) => {
                "is sealed, and its name is that of an archive that is not"
            }
            (Some(Ending::Sealed), None) => {
                "is not sealed, and its name is that of a sealed archive"
            }
            _ => "",
        };
        if !says.is_empty() {
            return Err(Failure::new(Kind::Refused, format!("{shown} {says}"))
                .hint("rename it, so that nothing takes it for what it is not, and copy it then")
                .into());
        }
        if form.is_none() {
            let seal = self.to.clone();
            let check = Check::Inside;
            return Ok(Decision {
                source,
                seal,
                check,
            });
        }
        let opened = opened_whole(&context.keys, shown, source.clone());
        if self.keeps_bytes(true) {
            let check = match opened {
                Ok(_) => Check::Inside,
                Err(error) if Failure::of(&error).kind == Kind::Key => {
                    known.map_or(Check::Outside, Check::Known)
                }
                Err(error) => return Err(error),
            };
            let seal = None;
            return Ok(Decision {
                source,
                seal,
                check,
            });
        }
        let source = opened.map_err(|error| match Failure::of(&error) {
            failure if failure.kind == Kind::Key => Failure {
                message: match self.opens {
                    true => format!(
                        "{}; a repository seals by its own password",
                        failure.message
                    ),
                    false => format!(
                        "{}; it has to be sealed anew, for the recipients of the destination",
                        failure.message
                    ),
                },
                ..failure
            }
            .into(),
            _ => error,
        })?;
        let (seal, check) = (self.to.clone(), Check::Inside);
        Ok(Decision {
            source,
            seal,
            check,
        })
    }
}

/// Returns the size of an archive before it was sealed; `None` if that is not told.
pub fn content_size(source: &dyn ReadAt) -> std::io::Result<Option<u64>> {
    let length = source.length()?;
    match form(source)? {
        None => return Ok(Some(length)),
        Some(Form::Armored) => return Ok(None),
        Some(Form::Binary) => {}
    }
    let mut header = vec![0; usize::try_from(length.min(MAX_HEADER_BYTES)).unwrap_or_default()];
    source.read_exact_at(&mut header, 0)?;
    let offset = content_offset(&header);
    Ok(offset.and_then(|offset| content_bytes(length.checked_sub(offset)?)))
}

fn form(source: &dyn ReadAt) -> std::io::Result<Option<Form>> {
    let length = usize::try_from(source.length()?).unwrap_or(usize::MAX);
    let mut first = vec![0; length.min(MAGIC_BYTES)];
    source.read_exact_at(&mut first, 0)?;
    Ok(form_of(&first))
}
