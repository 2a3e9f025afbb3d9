//! A file of lines that only grows at its end, and is cut at its beginning when it has too many.
//!
//! Promised: a line is whole or missing, also after a power cut; processes that append at the same time do not mix
//! their lines. Not promised: that a network file system keeps what it acknowledged.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    exists, folder_of, open_regular,
    publish::{Draft, Existing},
    sync_folder,
};

/// The most bytes of a line that is read; a longer one is skipped.
pub const MOST_LINE_BYTES: u64 = 4 << 20;

/// The beginning of the name of a draft, on file systems that know no files without names.
const DRAFT: &str = ".lines-";
/// The longest time to wait for another process that appends.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two attempts.
const TICK: Duration = Duration::from_millis(5);

/// A file of lines, 0600. It need not exist.
#[derive(Debug, Clone)]
pub struct LineFile {
    path: PathBuf,
}

impl LineFile {
    /// Names the file.
    pub fn new(path: PathBuf) -> LineFile {
        LineFile { path }
    }

    /// Appends a line, which has no line break, and syncs it. Removes a torn last line before. Keeps the newest
    /// `most_lines`.
    pub fn append(&self, line: &str, most_lines: usize) -> Result<()> {
        let mut file = self.lock().with_context(|| self.failing("write"))?;
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut text)
            .with_context(|| self.failing("read"))?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = text[..whole].iter().filter(|&&byte| byte == b'\n').count();
        if lines >= most_lines {
            let skipped = lines + 1 - most_lines;
            let mut kept = text[..whole]
                .split_inclusive(|&byte| byte == b'\n')
                .skip(skipped);
            let mut fresh: Vec<u8> = Vec::with_capacity(whole);
            kept.by_ref().for_each(|line| fresh.extend_from_slice(line));
            fresh.extend_from_slice(line.as_bytes());
            fresh.push(b'\n');
            return self.replace(&fresh).with_context(|| self.failing("write"));
        }
        let append = |file: &mut File| -> io::Result<()> {
            if whole < text.len() {
                file.set_len(whole as u64)?;
            }
            file.seek(SeekFrom::Start(whole as u64))?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        append(&mut file)
            .inspect_err(|_| {
                // A part of a line is removed.
                let _ = file.set_len(whole as u64);
            })
            .with_context(|| self.failing("write"))
    }

    /// Drops the lines that are not `wanted`, and a torn last line. A missing file has none.
    pub fn retain(&self, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        if !exists(&self.path) {
            return Ok(());
        }
        let mut file = self.lock().with_context(|| self.failing("write"))?;
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut text)
            .with_context(|| self.failing("read"))?;
        let mut kept = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if line.strip_suffix(b"\n").is_some_and(&mut *wanted) {
                kept.extend_from_slice(line);
            }
        }
        match kept.len() == text.len() {
            true => Ok(()),
            false => self.replace(&kept).with_context(|| self.failing("write")),
        }
    }

    /// Passes each whole line to `take`, without its line break. A missing file has none.
    pub fn read(&self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let file = match open_regular(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.with_context(|| self.failing("read"))?,
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let part = &mut (&mut reader).take(MOST_LINE_BYTES);
            let count = part
                .read_until(b'\n', &mut line)
                .with_context(|| self.failing("read"))?;
            if count == 0 {
                return Ok(());
            }
            if line.pop() == Some(b'\n') {
                take(&line);
            }
        }
    }

    /// Opens the file for appending, alone among its writers. Creates it if it is missing.
    fn lock(&self) -> io::Result<File> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).mode(0o600);
            // A link is not followed: the file is ours, or it is refused.
            options.custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
            let file = match options.open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match options.clone().create_new(true).open(&self.path) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                        made => {
                            let file = made?;
                            sync_folder(&folder_of(&self.path))?;
                            file
                        }
                    }
                }
                opened => opened?,
            };
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            hold(&file)?;
            // Another process may have replaced it since it was opened.
            let (held, named) = (file.metadata()?, self.path.symlink_metadata());
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
                return Ok(file);
            }
        }
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut draft = Draft::create_as(&folder_of(&self.path), DRAFT)?;
        draft.file().write_all(text)?;
        draft.publish(&self.path, Existing::Replace)
    }

    fn failing(&self, what: &str) -> String {
        format!("cannot {what} {}", self.path.display())
    }
}

/// Takes the lock of the file, which other processes hold for a moment only.
fn hold(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match fs2::FileExt::try_lock_exclusive(file) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(TICK);
            }
            held => return held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::publish::publish;

    fn lines(file: &LineFile) -> Vec<String> {
        let mut lines = Vec::new();
        file.read(&mut |line| lines.push(String::from_utf8_lossy(line).into_owned()))
            .expect("read");
        lines
    }

    #[test]
    fn lines_are_appended_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = LineFile::new(folder.path().join("lines"));
        assert!(lines(&file).is_empty());
        for number in 0..7 {
            file.append(&number.to_string(), 3).expect("appended");
        }
        assert_eq!(lines(&file), ["4", "5", "6"]);
        let mode = folder
            .path()
            .join("lines")
            .metadata()
            .expect("there")
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_last_line_is_skipped_and_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        publish(&path, b"one\ntw", Existing::Keep).expect("written");
        let file = LineFile::new(path);
        assert_eq!(lines(&file), ["one"]);
        file.append("three", 10).expect("appended");
        assert_eq!(lines(&file), ["one", "three"]);
    }

    #[test]
    fn lines_that_are_not_wanted_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        let file = LineFile::new(path.clone());
        file.retain(&mut |_| false).expect("nothing to do");
        assert!(!path.exists());
        publish(&path, b"one\ntwo\nthree\nto", Existing::Keep).expect("written");
        file.retain(&mut |line| line != b"two").expect("dropped");
        assert_eq!(lines(&file), ["one", "three"]);
        file.append("four", 10).expect("appended");
        assert_eq!(lines(&file), ["one", "three", "four"]);
    }

    #[test]
    fn writers_at_the_same_time_lose_no_line() {
        // With the smaller number, writers replace the file below each other.
        for (most_lines, left) in [(200, 200), (120, 120)] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = LineFile::new(folder.path().join("lines"));
            std::thread::scope(|scope| {
                for writer in 0..4 {
                    let file = file.clone();
                    scope.spawn(move || {
                        for number in 0..50 {
                            file.append(&format!("{writer}-{number}"), most_lines)
                                .expect("appended");
                        }
                    });
                }
            });
            let found = lines(&file);
            assert_eq!(found.len(), left);
            let distinct: std::collections::BTreeSet<&String> = found.iter().collect();
            assert_eq!(distinct.len(), left);
        }
    }
}
