//! The configuration that an archive carries, for a machine that has none.

use std::io::{self, Write};

use anyhow::Result;

use crate::{
    archive::Sink,
    config::sources::CONFIG,
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
    },
    ops::{Context, archive_input::Location},
};

/// The configuration file in an archive, for a machine that has none.
pub fn archived_config(context: &Context, archive: &Location) -> Result<String> {
    if matches!(archive, Location::Stdin) {
        let message = "an archive on standard input cannot be asked for its configuration first";
        return Err(Failure::new(Kind::Usage, message)
            .hint("save it to a file, or name where it is")
            .into());
    }
    let name = EntryName::new(CONFIG).expect("a plain name");
    let mut taken = Taken(Vec::new());
    let names = std::slice::from_ref(&name);
    if archive
        .select(context, names, "reading", &mut taken)?
        .is_none()
    {
        taken = Taken(Vec::new());
        archive.read(context, "reading", &mut taken)?;
    }
    let text = String::from_utf8(taken.0)
        .ok()
        .filter(|text| !text.is_empty());
    Ok(text.ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "the archive has no config.toml that could be read",
        )
        .hint("write one for this machine; `hookshot init` makes a first one")
    })?)
}

/// Keeps the configuration file of an archive.
struct Taken(Vec<u8>);

impl Sink for Taken {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if name.as_str() == CONFIG && record.size <= MAX_CONFIG_BYTES {
            return Ok(Box::new(&mut self.0));
        }
        Ok(Box::new(io::sink()))
    }
}
