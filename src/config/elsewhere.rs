//! The paths that an import uses instead of those of the configuration: below another root, or in other folders.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    disk::{exists, in_real_folder, real},
    error::{Failure, Kind},
    store::{Word, address},
};

/// Other places than those that the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The folder that stands for `/`: everything lies below it, and nothing outside is touched.
    pub root: Option<PathBuf>,
    /// Folders and files that go elsewhere, with all that is below them: old and new path.
    pub maps: Vec<(PathBuf, PathBuf)>,
    /// True if import commands run below another root as well.
    pub runs_commands: bool,
}

impl Elsewhere {
    /// Returns the places below `root`, the folder that stands for `/`; it is made if it is missing.
    pub fn below(root: &Path) -> Result<Elsewhere> {
        let absolute = std::path::absolute(root)
            .with_context(|| format!("cannot tell where {} is", root.display()))?;
        if exists(&absolute) && !absolute.is_dir() {
            let message = format!("--root {} is not a folder", root.display());
            return Err(Failure::new(Kind::Usage, message)
                .hint("name a folder; one that is missing is created")
                .into());
        }
        let root = real(&absolute);
        Ok(Elsewhere {
            root: (root != Path::new("/")).then_some(root),
            ..Elsewhere::default()
        })
    }

    /// Parses `OLD=NEW`, both relative to the current folder if they are relative.
    pub fn parse_map(text: &str) -> Result<(PathBuf, PathBuf), String> {
        let (old, new) = text
            .split_once('=')
            .ok_or("it must be OLD=NEW, two paths")?;
        let path = |text: &str| match text {
            "" => Err("it must be OLD=NEW, two paths".to_owned()),
            text if text.starts_with('~') => {
                Err("`~` is not expanded there: write the whole path".to_owned())
            }
            text if !matches!(address::read(text), Ok(Word::Path)) => Err(format!(
                "{:?} looks like a place elsewhere: with ./ before it, it is a path",
                address::masked(text)
            )),
            text => {
                let path = std::path::absolute(text).map_err(|error| error.to_string())?;
                Ok(plain(&path))
            }
        };
        Ok((path(old)?, path(new)?))
    }

    /// Returns true if something goes elsewhere than the configuration says.
    pub fn is_elsewhere(&self) -> bool {
        self.root.is_some() || !self.maps.is_empty()
    }

    /// Returns the path on the disk of a path of the command line: below the root, if it is not there already.
    pub fn said(&self, path: PathBuf) -> PathBuf {
        match &self.root {
            Some(root) if path.starts_with(root) => path,
            _ => self.below_root(&path),
        }
    }

    /// Returns the path by which a program that runs in the root knows `path`.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let below = self
            .root
            .as_ref()
            .and_then(|root| path.strip_prefix(root).ok());
        below.map_or_else(|| path.to_owned(), |rest| Path::new("/").join(rest))
    }

    /// Returns the path on the disk of a path of the configuration.
    pub fn target(&self, path: &Path) -> PathBuf {
        if !self.is_elsewhere() {
            return tidy(path);
        }
        let path = match self.root {
            // Links of this machine say nothing of what is below the root.
            Some(_) => plain(path),
            None => tidy(path),
        };
        let longest = self
            .maps
            .iter()
            .filter_map(|(old, new)| Some((old, new, path.strip_prefix(old).ok()?)))
            .max_by_key(|(old, ..)| old.components().count());
        let mapped = longest.map(|(_, new, rest)| match rest.as_os_str().is_empty() {
            true => new.clone(),
            false => new.join(rest),
        });
        self.below_root(&mapped.unwrap_or(path))
    }

    /// Returns the path on the disk of the target of a link that is restored as it was: links are not mapped.
    pub fn led(&self, path: &Path) -> PathBuf {
        match self.root {
            Some(_) => self.below_root(&plain(path)),
            None => real(path),
        }
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        match (&self.root, path.strip_prefix("/")) {
            (Some(root), Ok(rest)) => root.join(rest),
            _ => path.to_owned(),
        }
    }

    /// Refuses a mapping that says nothing of any of `paths`: a slip would send a restore to the old places.
    pub fn all_apply<'a>(&self, paths: impl Iterator<Item = &'a Path> + Clone) -> Result<()> {
        let is_idle =
            |(old, _): &&(PathBuf, PathBuf)| !paths.clone().any(|path| path.starts_with(old));
        let Some((old, _)) = self.maps.iter().find(is_idle) else {
            return Ok(());
        };
        let places = paths.map(|path| path.display().to_string());
        let message = format!(
            "nothing goes to {} or below it: --map says nothing of any target",
            old.display()
        );
        Err(Failure::new(Kind::Usage, message)
            .hint(format!(
                "the places are {}",
                places.collect::<Vec<_>>().join(", ")
            ))
            .into())
    }

    /// Refuses a path that a link leads out of the root.
    pub fn stays_inside(&self, path: &Path) -> Result<()> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        let Ok(rest) = path.strip_prefix(root) else {
            return Ok(());
        };
        let real_root = root.canonicalize().unwrap_or_else(|_| root.clone());
        let mut at = root.clone();
        for component in rest.components() {
            at.push(component);
            if !at.is_symlink() {
                continue;
            }
            let led = at.canonicalize().ok();
            if !led.as_ref().is_some_and(|led| led.starts_with(&real_root)) {
                let to = led.or_else(|| at.read_link().ok()).unwrap_or_default();
                let message = format!(
                    "{} is a link that leads out of {}, to {}: with --root nothing outside is touched",
                    at.display(),
                    root.display(),
                    to.display()
                );
                return Err(Failure::new(Kind::Usage, message)
                    .hint("make it a relative link that stays inside, or put a folder in its place")
                    .into());
            }
        }
        Ok(())
    }
}

/// Returns a path without `.`, `..` and doubled slashes, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            component => out.push(component),
        }
    }
    out
}

/// Returns a path as a person would write it: `..` is resolved on the disk, because a link may stand before it.
pub fn tidy(path: &Path) -> PathBuf {
    let path: PathBuf = path.components().collect();
    match path
        .components()
        .any(|component| component == Component::ParentDir)
    {
        true => in_real_folder(&path),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(root: Option<&str>, maps: &[&str]) -> Elsewhere {
        let maps = maps
            .iter()
            .map(|map| Elsewhere::parse_map(map).expect("a map"));
        Elsewhere {
            root: root.map(PathBuf::from),
            maps: maps.collect(),
            ..Elsewhere::default()
        }
    }

    #[test]
    fn the_longest_map_counts_and_whole_components_only() {
        let elsewhere = elsewhere(
            None,
            &["/srv=/mnt", "/srv/app/=/new", "/srv/app/x.db=/y/z.db"],
        );
        for (from, to) in [
            ("/srv/app/data", "/new/data"),
            ("/srv/app", "/new"),
            ("/srv/app/x.db", "/y/z.db"),
            ("/srv/application", "/mnt/application"),
            ("/other", "/other"),
        ] {
            assert_eq!(elsewhere.target(Path::new(from)), Path::new(to));
        }
        assert!(
            elsewhere
                .all_apply([Path::new("/srv/app/x.db")].into_iter())
                .is_ok()
        );
        assert!(
            elsewhere
                .all_apply([Path::new("/srv/app")].into_iter())
                .is_err()
        );
    }

    #[test]
    fn everything_lies_below_the_root_and_no_path_climbs_out() {
        let elsewhere = elsewhere(Some("/r"), &["/srv=/mnt"]);
        for (from, to) in [
            ("/etc/app/config.toml", "/r/etc/app/config.toml"),
            ("/srv/../srv/./a", "/r/mnt/a"),
            ("/r/a", "/r/r/a"),
            ("/../../x", "/r/x"),
        ] {
            assert_eq!(elsewhere.target(Path::new(from)), Path::new(to));
        }
        assert_eq!(elsewhere.said("/r/a".into()), Path::new("/r/a"));
        assert_eq!(elsewhere.said("/a".into()), Path::new("/r/a"));
        assert_eq!(elsewhere.inside(Path::new("/r/a")), Path::new("/a"));
    }

    #[test]
    fn a_map_is_two_paths() {
        for text in ["", "/a", "=/a", "/a=", "~/a=/b"] {
            assert!(Elsewhere::parse_map(text).is_err(), "{text}");
        }
    }
}
