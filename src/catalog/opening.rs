//! Opening what may be a sealed archive: its content comes out as if it were not sealed.

use std::{
    io::{Cursor, Read},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::{
    archive::{
        Input,
        reader::{ReadSeek, ReadTwice},
        scratch::ScratchFolders,
    },
    crypt::{
        Keyring, Keys, Recipients, Trial,
        header::{Form, MAGIC_BYTES, beginning, form_of},
    },
    error::{Failure, Kind},
    work::ReadAt,
};

/// Returns the archive called `shown` for its reader, decrypted if it is sealed: then no copy of it lies on a disk.
///
/// Errors: [`Kind::Key`] if no key opens it.
pub fn opened_stream(
    keys: &Keys,
    shown: &str,
    mut input: impl Read + 'static,
    scratch: ScratchFolders,
) -> Result<Input> {
    let first = beginning(&mut input).with_context(|| format!("cannot read {shown}"))?;
    let form = form_of(&first);
    let whole = Cursor::new(first).chain(input);
    Ok(match form {
        None => Input::Stream(Box::new(whole), scratch),
        Some(form) => Input::Secret(Box::new(keys.ring()?.open(shown, form, whole)?), scratch),
    })
}

/// Says what to do about a sealed stream that has to be read twice; leaves any other error as it is.
pub fn as_file(shown: &str, error: anyhow::Error) -> anyhow::Error {
    if !error.is::<ReadTwice>() {
        return error;
    }
    let message =
        format!("{shown} is sealed, and another program packed it: it has to be read twice");
    Failure::new(Kind::Failed, message)
        .hint("write it to a file and name that file: its content is not copied to a disk, so a stream does not do")
        .into()
}

/// Returns the archive called `shown`, decrypted if it is sealed. Errors: as [`opened_stream`].
pub fn opened_file(
    keys: &Keys,
    shown: &str,
    mut input: impl ReadSeek + 'static,
) -> Result<Box<dyn ReadSeek>> {
    let reading = || format!("cannot read {shown}");
    let first = beginning(&mut input).with_context(reading)?;
    input.rewind().with_context(reading)?;
    Ok(match form_of(&first) {
        None => Box::new(input),
        Some(form) => Box::new(keys.ring()?.open(shown, form, input)?),
    })
}

/// Returns the archive called `shown`, decrypted if it is sealed, to read any part of it; `None` if it is armored,
/// which is read from its first byte on only. Errors: as [`opened_stream`].
pub fn opened_at(
    keys: &Keys,
    shown: &str,
    source: Arc<dyn ReadAt + Send + Sync>,
) -> Result<Option<Arc<dyn ReadAt + Send + Sync>>> {
    Ok(match form_at(shown, &*source)? {
        None => Some(source),
        Some(Form::Armored) => None,
        Some(form) => Some(Arc::new(keys.ring()?.open_at(shown, form, source)?)),
    })
}

/// Returns the archive called `shown`, decrypted if it is sealed, to read it from its first byte on. Errors: as
/// [`opened_stream`].
pub fn opened_whole(
    keys: &Keys,
    shown: &str,
    source: Arc<dyn ReadAt + Send + Sync>,
) -> Result<Arc<dyn ReadAt + Send + Sync>> {
    Ok(match form_at(shown, &*source)? {
        None => source,
        Some(form) => Arc::new(keys.ring()?.open_at(shown, form, source)?),
    })
}

/// Tries each key on the header of the archive called `shown`; `None` if it is not sealed.
pub fn try_keys(
    ring: &Keyring,
    shown: &str,
    source: Arc<dyn ReadAt + Send + Sync>,
) -> Result<Option<Trial>> {
    let form = form_at(shown, &*source)?;
    let trial = form.map(|form| ring.try_header(shown, form, source));
    trial.transpose()
}

/// Returns true if the archive called `shown` is sealed, by its first bytes.
pub fn is_sealed(shown: &str, source: &(dyn ReadAt + Send + Sync)) -> Result<bool> {
    Ok(form_at(shown, source)?.is_some())
}

/// Returns the form of the archive called `shown`; `None` if it is not sealed.
fn form_at(shown: &str, source: &(dyn ReadAt + Send + Sync)) -> Result<Option<Form>> {
    let reading = || format!("cannot read {shown}");
    let length = source.length().with_context(reading)?;
    let mut first = [0; MAGIC_BYTES];
    let first = match usize::try_from(length) {
        Ok(length) if length < MAGIC_BYTES => &mut first[..length],
        _ => &mut first[..],
    };
    source.read_exact_at(first, 0).with_context(reading)?;
    Ok(form_of(first))
}

/// Returns true if the archive called `shown` is sealed for exactly these recipients, as far as its header tells
/// ([`Keyring::is_for`]); `None` if it is not sealed, whatever its name says. Reads the header alone.
///
/// Errors: as [`opened_stream`].
pub fn is_sealed_for(
    keys: &Keys,
    shown: &str,
    source: Arc<dyn ReadAt + Send + Sync>,
    recipients: &Recipients,
) -> Result<Option<bool>> {
    let form = form_at(shown, &*source)?;
    let is_for = form.map(|form| keys.ring()?.is_for(shown, form, source, recipients));
    is_for.transpose()
}
