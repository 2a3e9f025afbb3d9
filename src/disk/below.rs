//! A look at everything below a folder, in memory for the folders above one file.

use std::{
    fs::{self, DirEntry, Metadata, ReadDir},
    ops::ControlFlow,
    path::Path,
};

/// Folders that are open at once; of the subfolders of one that lies deeper, the paths are held instead.
const MOST_OPEN: usize = 64;

/// A folder that is being read.
enum Level {
    Open(ReadDir),
    Read(Vec<DirEntry>),
}

impl Level {
    fn of(path: &Path, depth: usize) -> Option<Level> {
        let read = fs::read_dir(path).ok()?;
        Some(match depth < MOST_OPEN {
            true => Level::Open(read),
            false => Level::Read(read.flatten().collect()),
        })
    }

    fn next(&mut self) -> Option<DirEntry> {
        match self {
            Level::Open(read) => read.find_map(Result::ok),
            Level::Read(entries) => entries.pop(),
        }
    }
}

/// Tells `visit` of everything below the folder at `top`, in no order, until it breaks off. Goes into those folders for
/// which `is_part` returns true. What cannot be looked at is left out.
pub fn visit_below(
    top: &Path,
    is_part: &dyn Fn(&DirEntry, &Metadata) -> bool,
    visit: &mut dyn FnMut(&DirEntry, &Metadata) -> ControlFlow<()>,
) {
    let mut levels: Vec<Level> = Level::of(top, 0).into_iter().collect();
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.next() else {
            levels.pop();
            continue;
        };
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if visit(&entry, &metadata).is_break() {
            return;
        }
        if metadata.is_dir() && is_part(&entry, &metadata) {
            levels.extend(Level::of(&entry.path(), levels.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_visited_once_however_deep_it_lies() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut path = folder.path().to_owned();
        for depth in 0..100 {
            for name in ["one", "two"] {
                fs::write(path.join(name), "").expect("written");
            }
            fs::create_dir(path.join("empty")).expect("made");
            path.push(format!("{depth}"));
            fs::create_dir(&path).expect("made");
        }
        let mut count = 0;
        let mut visit = |_: &DirEntry, _: &Metadata| {
            count += 1;
            ControlFlow::Continue(())
        };
        visit_below(folder.path(), &|_, _| true, &mut visit);
        assert_eq!(count, 400);
    }
}
