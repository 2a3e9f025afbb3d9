//! Plain files as sources: read with their digest, owner and mode.

use std::{
    fs::File,
    io::Read as _,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Group, Uid, User};

use crate::{
    disk::{
        dangling,
        holder::{self, Holder, OpenMode},
        open_regular,
        tree::beneath::xattrs,
    },
    error::{Failure, Kind},
    model::{
        digest::Digest, entry_name::EntryName, limits::SMALL_SOURCE_BYTES, manifest::FileRecord,
        tree::Xattrs,
    },
    source::staged::{Staged, StagedContent},
};

/// Opens the file at `path` for an entry; a missing file is [`Kind::NotFound`].
pub fn open(path: &Path, name: &EntryName) -> Result<File> {
    let file = open_regular(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let failure = dangling(path).unwrap_or_else(|| missing(path, name));
            failure.into()
        }
        _ => anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
    })?;
    Ok(file)
}

fn missing(path: &Path, name: &EntryName) -> Failure {
    let message = format!("{name} is missing: {} does not exist", path.display());
    let holders = deleted_holders(path);
    if holders.is_empty() {
        return Failure::new(Kind::NotFound, message)
            .hint("is this the right machine, and do --config, --services and --data-dir (or the configuration) name the right places?");
    }
    let message = format!(
        "{message}; it was deleted, and {} has it open, deleted",
        holder::describe(&holders)
    );
    Failure::new(Kind::NotFound, message).hint(
        "the content is lost when that process ends: let the service write it out, or copy it from /proc/PID/fd first; \
        then restore the file, and start the service again",
    )
}

/// Returns the processes that write to the file that was at `path` until it was deleted.
pub fn deleted_holders(path: &Path) -> Vec<Holder> {
    let open = holder::open_deleted(path).into_iter();
    let writers = open.filter(|(_, mode)| *mode == OpenMode::Writes);
    writers.map(|(holder, _)| holder).collect()
}

/// The number of attempts to read a file that changes meanwhile.
const ATTEMPTS: usize = 3;

/// Reads a plain file for the archive: as it was at one moment, as far as its size and time tell.
pub fn stage(path: &Path, name: EntryName) -> Result<Staged> {
    for _ in 0..ATTEMPTS {
        if let Some(staged) = stage_once(path, &name)? {
            return Ok(staged);
        }
    }
    let failure = Failure::new(
        Kind::Failed,
        format!("{} changes while it is read", path.display()),
    );
    Err(failure
        .hint("export again when no process writes it")
        .into())
}

/// Reads a plain file once; returns `None` if the file changed meanwhile.
fn stage_once(path: &Path, name: &EntryName) -> Result<Option<Staged>> {
    let mut file = open(path, name)?;
    let reading = || format!("cannot read {}", path.display());
    let metadata = file.metadata().with_context(reading)?;
    let (content, digest, size) = if metadata.len() <= SMALL_SOURCE_BYTES {
        let mut bytes = Vec::new();
        (&mut file)
            .take(SMALL_SOURCE_BYTES + 1)
            .read_to_end(&mut bytes)
            .with_context(reading)?;
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        (StagedContent::Bytes(bytes), digest, size)
    } else {
        let (digest, size) = Digest::of_reader(&file).with_context(reading)?;
        (
            StagedContent::File(file.try_clone().with_context(reading)?),
            digest,
            size,
        )
    };
    let stamp = |metadata: &std::fs::Metadata| {
        (
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        )
    };
    // Both the file that was read and the one that has the name now.
    let after = [file.metadata(), path.metadata()];
    let unchanged = after.iter().all(|after| {
        after
            .as_ref()
            .is_ok_and(|after| stamp(after) == stamp(&metadata))
    });
    if !unchanged || size != metadata.len() {
        return Ok(None);
    }
    let mut record = FileRecord::new(name.clone(), digest, size);
    record.kind = Some("file".into());
    describe(&mut record, path, &metadata)?;
    Ok(Some(Staged {
        name: name.clone(),
        record,
        content,
    }))
}

/// Puts mode, owner, time and extended attributes of the source into its record, as for files of directories.
pub fn describe(record: &mut FileRecord, path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    record.mode = Some(metadata.mode() & 0o7777);
    record.uid = Some(metadata.uid());
    record.gid = Some(metadata.gid());
    record.user = User::from_uid(Uid::from_raw(metadata.uid()))
        .ok()
        .flatten()
        .map(|user| user.name.into());
    record.group = Group::from_gid(Gid::from_raw(metadata.gid()))
        .ok()
        .flatten()
        .map(|group| group.name.into());
    record.mtime = Some(metadata.mtime());
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).ok();
    record.mtime_ns = nanoseconds.filter(|nanoseconds| *nanoseconds != 0);
    record.xattrs = attributes_of(path, metadata)
        .with_context(|| format!("cannot read the attributes of {}", path.display()))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    record.target = absolute.to_str().map(str::to_owned);
    Ok(())
}

/// Returns the extended attributes of the file at `path`; none if another file has that path now.
fn attributes_of(path: &Path, read: &std::fs::Metadata) -> std::io::Result<Xattrs> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Xattrs::new()),
        file => file?,
    };
    let found = file.metadata()?;
    match (found.dev(), found.ino()) == (read.dev(), read.ino()) {
        true => xattrs(file.as_fd()),
        false => Ok(Xattrs::new()),
    }
}
