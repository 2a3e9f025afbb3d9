//! A look at everything below a folder, in memory for the folders above one file.

use std::{
    fs::{self, Metadata, ReadDir},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The most folders that are open at once; of a deeper one, the paths of what lies in it are held instead.
const MOST_OPEN: usize = 64;

/// A folder that is being read.
enum Level {
    Open(ReadDir),
    Read(Vec<PathBuf>),
}

impl Level {
    fn of(path: &Path, depth: usize) -> Option<Level> {
        let read = fs::read_dir(path).ok()?;
        Some(match depth < MOST_OPEN {
            true => Level::Open(read),
            false => Level::Read(read.flatten().map(|entry| entry.path()).collect()),
        })
    }

    fn next(&mut self) -> Option<PathBuf> {
        match self {
            Level::Open(read) => read.find_map(Result::ok).map(|entry| entry.path()),
            Level::Read(paths) => paths.pop(),
        }
    }
}

/// Tells `visit` of everything below the folder at `top`, in no order, until it breaks off. Goes into those folders for
/// which `is_part` returns true. What cannot be looked at is left out.
pub fn visit_below(
    top: &Path,
    is_part: &dyn Fn(&Path, &Metadata) -> bool,
    visit: &mut dyn FnMut(&Path, &Metadata) -> ControlFlow<()>,
) {
    let mut levels: Vec<Level> = Level::of(top, 0).into_iter().collect();
    while let Some(level) = levels.last_mut() {
        let Some(path) = level.next() else {
            levels.pop();
            continue;
        };
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        if visit(&path, &metadata).is_break() {
            return;
        }
        if metadata.is_dir() && is_part(&path, &metadata) {
            levels.extend(Level::of(&path, levels.len()));
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
        for depth in 0..200 {
            for name in ["one", "two"] {
                fs::write(path.join(name), "").expect("written");
            }
            fs::create_dir(path.join("empty")).expect("made");
            path.push(format!("{depth}"));
            fs::create_dir(&path).expect("made");
        }
        let mut count = 0;
        let mut visit = |_: &Path, _: &Metadata| {
            count += 1;
            ControlFlow::Continue(())
        };
        visit_below(folder.path(), &|_, _| true, &mut visit);
        assert_eq!(count, 800);
    }
}
