//! The content of a probe, and the checks of a store's answers about it.

use std::{io::Write as _, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use chrono::TimeDelta;

use crate::{
    context::Context,
    error::{Failure, Kind},
    model::digest::Digest,
    store::{self, Pages, Store, Upload},
    work::ReadAt,
};

/// The beginning of the names of probes; no archive has such a name.
pub const PROBE: &str = "hookshot-check-";
/// After this long a probe counts as left behind.
const PATIENCE: TimeDelta = TimeDelta::hours(24);
/// The number of lines of a probe.
pub const LINES: usize = 64;

/// The content of a probe: lines of text, so that whoever finds one knows what it is.
pub fn content(probe: &str, which: &str) -> Vec<u8> {
    let line = format!("{probe}: the {which} upload of a check; it can be removed\n");
    line.repeat(LINES).into_bytes()
}

pub fn finish(mut upload: Box<dyn Upload>, content: &[u8]) -> Result<store::Proof> {
    upload.write_all(content)?;
    upload.finish(&Digest::of(content))
}

pub fn find(store: &dyn Store, probe: &str, length: usize) -> Result<()> {
    let found = store.find(probe)?;
    let place = store.shown();
    match found.map(|stored| stored.size_bytes) {
        None => Err(anyhow!("{probe} is not in {place}")),
        Some(size) if size != length as u64 => {
            Err(anyhow!("{probe} in {place} has {size} bytes of {length}"))
        }
        Some(_) => Ok(()),
    }
}

/// Returns true if a part from the middle and the whole probe read back as `content`.
pub fn reads(store: &dyn Store, probe: &str, content: &[u8]) -> Result<bool> {
    let source: Arc<dyn ReadAt + Send + Sync> = Arc::from(store.open(probe)?);
    let reading = || format!("cannot read {probe} in {}", store.shown());
    let (from, to) = (content.len() / 3, content.len() / 2);
    let mut part = vec![0; to - from];
    source
        .read_exact_at(&mut part, from as u64)
        .with_context(reading)?;
    let (whole, _) = Pages::new(source)
        .and_then(Digest::of_reader)
        .with_context(reading)?;
    Ok(part == content[from..to] && whole == Digest::of(content))
}

pub struct ProbeListing {
    /// The number of objects beside the probe.
    pub count: usize,
    pub has_probe: bool,
    /// Probes of checks that ended long ago.
    pub left: Vec<String>,
}

pub fn list(context: &Context, store: &dyn Store, probe: &str) -> Result<ProbeListing> {
    let mut listed = ProbeListing {
        count: 0,
        has_probe: false,
        left: Vec::new(),
    };
    store.list(&mut |stored| {
        if stored.name == probe {
            listed.has_probe = true;
        } else {
            listed.count += 1;
        }
        let is_old = |at| context.now - at > PATIENCE;
        let is_earlier = stored.name.starts_with(PROBE) && stored.name != probe;
        if is_earlier && stored.modified.is_some_and(is_old) {
            listed.left.push(stored.name);
        }
        Ok(())
    })?;
    Ok(listed)
}

/// Ends the second upload of the name, which must be refused, and change nothing.
pub fn create_once(
    store: &dyn Store,
    probe: &str,
    second: Box<dyn Upload>,
    content: &[u8],
    other: &[u8],
) -> Result<()> {
    let place = store.shown();
    let taken = store::taken(&place, probe).message;
    let is_refused = match finish(second, other) {
        Err(error) if Failure::of(&error).message.ends_with(&taken) => true,
        Err(error) => return Err(error),
        Ok(_) => false,
    };
    if is_refused && reads(store, probe, content)? {
        return Ok(());
    }
    let message =
        format!("{place} lets a second upload replace the first: it knows no conditional writes");
    Err(Failure::new(Kind::Failed, message)
        .hint("set the destination's `conditional_writes = false` if the store has none: then names are looked at \
            right before; and let no two machines export to one prefix")
        .into())
}
