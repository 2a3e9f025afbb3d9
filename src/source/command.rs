//! Commands as sources: the output of one is an entry, and another one takes it back.
//!
//! [`Runner`] runs them, without a time limit: that of a dump is as long as its data. Their standard error is logged,
//! and the last lines of it stand in the failure.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, Result};

use super::staged::{Staged, StagedContent};
use crate::{
    disk::publish::Draft,
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing},
        entry_name::EntryName,
        manifest::FileRecord,
    },
    work::{
        cancel::Advance,
        session,
        shell::{Line, LineCutter, Runner},
    },
};

/// Keeps the output of `command` in a nameless file in `scratch`. A command that fails or prints nothing is an error.
pub fn stage(
    runner: &Runner,
    command: Line<'_>,
    name: EntryName,
    scratch: &Path,
    advance: &Advance<'_>,
) -> Result<Staged> {
    let mut draft =
        Draft::create(scratch).with_context(|| format!("cannot write in {}", scratch.display()))?;
    let mut hashing = Hashing::new(draft.file());
    let mut keep = |bytes: &[u8]| {
        advance(bytes.len() as u64)?;
        hashing
            .write_all(bytes)
            .context("cannot keep what the command prints")
    };
    let ended = runner
        .stream(command, Stdio::null(), &mut keep, advance)
        .with_context(|| format!("the export command of {name} failed"))?;
    let fail = |why: String| {
        let message = format!("the export command of {name} {}", ended.because(&why));
        Failure::new(Kind::Failed, message)
            .hint(format!(
                "run it by hand, as the user that hookshot runs as; {}; nothing was written",
                session::HINT
            ))
            .faults(ended.complaints.clone())
    };
    if !ended.status.success() {
        return Err(fail(format!("failed, {}", ended.status)).into());
    }
    let (digest, size) = hashing.finish();
    if size == 0 {
        return Err(fail("printed nothing".to_owned()).into());
    }
    let mut record = FileRecord::new(name.clone(), digest, size);
    record.kind = Some("command".into());
    let mut file = draft.file().try_clone()?;
    file.rewind()?;
    Ok(Staged {
        name,
        record,
        content: StagedContent::File(file),
    })
}

/// Writes the output of `command` to `to`, and returns its digest, or the reason if the command fails or prints
/// nothing. A write failure is an error.
pub fn print(
    runner: &Runner,
    command: Line<'_>,
    to: &mut dyn io::Write,
    advance: &Advance<'_>,
) -> Result<Result<Digest, String>> {
    let mut hashing = Hashing::new(to);
    let mut keep = |bytes: &[u8]| {
        advance(bytes.len() as u64)?;
        Ok(hashing.write_all(bytes)?)
    };
    let ended = runner.stream(command, Stdio::null(), &mut keep, advance)?;
    let (digest, size) = hashing.finish();
    Ok(match (ended.status.success(), size) {
        (false, _) => Err(ended.because(&format!("failed, {}", ended.status))),
        (true, 0) => Err(ended.because("printed nothing")),
        (true, _) => Ok(digest),
    })
}

/// Gives the file at `content` to `command` on its standard input. `say` gets the lines that the command prints.
pub fn feed(
    runner: &Runner,
    command: Line<'_>,
    content: &Path,
    say: &mut dyn FnMut(&str),
    advance: &Advance<'_>,
) -> Result<()> {
    let file = File::open(content).with_context(|| format!("cannot read {}", content.display()))?;
    let (mut lines, masks) = (LineCutter::default(), &runner.masks);
    let mut show = |bytes: &[u8]| {
        lines.add(bytes, masks, say);
        Ok(())
    };
    let ended = runner.stream(command, file.into(), &mut show, advance)?;
    lines.end(masks, say);
    match ended.status.success() {
        true => Ok(()),
        false => {
            let message = ended.because(&format!("it ended with {}", ended.status));
            Err(Failure::new(Kind::Failed, message)
                .hint(session::HINT)
                .faults(ended.complaints)
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn go(_: u64) -> Result<()> {
        Ok(())
    }

    fn staged(command: &str) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a folder");
        let name = EntryName::new("dump").expect("a name");
        let staged = stage(
            &Runner::default(),
            Line::new(command, None),
            name,
            folder.path(),
            &go,
        )?;
        let mut bytes = Vec::new();
        staged.content.open()?.read_to_end(&mut bytes)?;
        assert_eq!(staged.record.size, bytes.len() as u64);
        assert_eq!(staged.record.checksum, Digest::of(&bytes));
        Ok(bytes)
    }

    #[test]
    fn what_a_command_prints_is_the_entry() {
        assert_eq!(staged("printf 'a\\0b'").expect("good"), b"a\0b");
        let large = staged("head -c 3000000 /dev/zero; exec 1>&-; sleep 0.1").expect("good");
        assert_eq!(large.len(), 3_000_000);
        for (command, says) in [
            ("true", "printed nothing"),
            ("echo half; exit 3", "failed, exit status: 3"),
            ("(echo half; exit 3) | cat", "failed, exit status: 3"),
            ("echo half; kill -9 $$", "failed, signal: 9"),
            (
                "no-such-program-here 2>/dev/null",
                "failed, exit status: 127",
            ),
        ] {
            let error = staged(command).expect_err(command);
            assert!(error.to_string().contains(says), "{command}: {error:#}");
        }
    }
}
