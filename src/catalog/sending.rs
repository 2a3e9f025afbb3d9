//! The bytes of a stored archive on their way into a shipment.

use std::{
    io::{self, Read as _, Write},
    sync::Arc,
};

use crate::{
    context::Context,
    error::{Failure, Kind},
    model::limits::BUFFER_BYTES,
    store::Pages,
    work::ReadAt,
};

/// The failure that kept an archive from another place, and its location.
pub enum Trouble {
    /// The archive is damaged, or cannot be read.
    Source(anyhow::Error),
    /// The destination does not take it.
    Target(anyhow::Error),
}

impl Trouble {
    /// Returns the failure.
    pub fn cause(self) -> anyhow::Error {
        match self {
            Trouble::Source(error) | Trouble::Target(error) => error,
        }
    }

    /// Returns the trouble of a shipment, which reads the archive on its way.
    pub fn on_the_way(error: anyhow::Error) -> Trouble {
        match Failure::of(&error).kind {
            Kind::Refused | Kind::Version => Trouble::Source(error),
            _ => Trouble::Target(error),
        }
    }
}

/// Writes the bytes of the archive called `from` to `to`.
pub fn send(
    context: &Context,
    source: Arc<dyn ReadAt + Send + Sync>,
    from: &str,
    to: &mut dyn Write,
) -> Result<(), Trouble> {
    let unread = |error: io::Error| {
        Trouble::Source(anyhow::Error::new(error).context(format!("cannot read {from}")))
    };
    let mut pages = context.watch(Pages::new(source).map_err(unread)?);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match pages.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unread(error)),
        };
        let sent = to.write_all(&buffer[..count]);
        sent.map_err(|error| Trouble::on_the_way(error.into()))?;
    }
}
