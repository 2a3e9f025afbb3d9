//! Sources whose path is a pattern: every file that matches is a source of its own. Its entry has a name from which its
//! path is found again on a machine that has lost the file. The only module that knows the `globset` crate.

use std::{
    collections::BTreeSet,
    io,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result};
use globset::GlobBuilder;

use super::sources::{Presence, Source};
use crate::{
    error::{Failure, Kind},
    model::entry_name::EntryName,
};

/// The characters that make a path a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// A source whose path is a pattern.
///
/// Wildcards stand for parts of one component of the path, and not for a dot at its beginning. A star in the name
/// stands for what the star of the path stands for; a name without one is put before the path from the first component
/// with a wildcard on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// The source as the configuration says it: its path is the pattern.
    pub template: Source,
    /// Files that match, and whose names cannot be those of entries.
    pub unnamed: Vec<PathBuf>,
    /// The folder above the first component with a wildcard.
    base: PathBuf,
    /// The components from there on.
    parts: Vec<String>,
}

impl Glob {
    /// Returns the pattern that is the path of `source`; `None` if the path is not a pattern, or if something has
    /// exactly this path.
    pub fn new(source: &Source) -> Result<Option<Glob>> {
        let Some(path) = source.path().filter(|path| is_wild(path)) else {
            return Ok(None);
        };
        if path.symlink_metadata().is_ok() {
            return Ok(None);
        }
        let (mut base, mut parts) = (PathBuf::new(), Vec::new());
        for component in path.components() {
            let text = component.as_os_str().to_string_lossy();
            match component {
                Component::Normal(_) if !parts.is_empty() || text.contains(WILD) => {
                    parts.push(text.into_owned());
                }
                _ if parts.is_empty() => base.push(component),
                _ => return Err(bad(source, "a `..` cannot come after a wildcard").into()),
            }
        }
        if parts.iter().any(|part| part.contains("**")) {
            return Err(bad(
                source,
                "`**` has no meaning: name each level, or a directory",
            )
            .into());
        }
        if parts.iter().any(|part| compile(part).is_none()) {
            return Ok(None);
        }
        let glob = Glob {
            template: source.clone(),
            unnamed: Vec::new(),
            base,
            parts,
        };
        glob.check()?;
        Ok(Some(glob))
    }

    fn check(&self) -> Result<(), Failure> {
        let stars = |text: &str| text.matches('*').count();
        let name = self.template.name.as_str();
        if stars(name) == 0 {
            return match self.template.is_directory() {
                true => Err(bad(
                    &self.template,
                    "the name of a directory has no slash, so it needs a `*` for what the one of the path stands for",
                )),
                false => Ok(()),
            };
        }
        let in_path: usize = self.parts.iter().map(|part| stars(part)).sum();
        let is_simple = |part: &str| stars(part) <= 1 && !part.contains(['?', '[']);
        if in_path != stars(name)
            || !self.parts.iter().all(|part| is_simple(part))
            || name.split('/').any(|part| stars(part) > 1)
        {
            return Err(bad(
                &self.template,
                "each `*` of the name stands for one of the path: as many, one in a component at most, and no other wildcards",
            ));
        }
        Ok(())
    }

    /// Returns the folder above everything that can match.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns true if an export goes on if nothing matches.
    pub fn is_optional(&self) -> bool {
        self.template.presence == Presence::Optional
    }

    /// Returns the sources that are there, in the order of their paths; none at one of the paths `others`. If several
    /// paths lead to one file by links, it is one source, at the path without links if that matches.
    pub fn expand(&mut self, others: &BTreeSet<PathBuf>) -> Result<Vec<Source>> {
        let mut paths = Vec::new();
        self.walk(self.base.clone(), 0, &mut paths)?;
        let all: BTreeSet<PathBuf> = paths.iter().cloned().collect();
        let endings = [&[".bak"], self.template.kind.companions()].concat();
        let is_companion = |path: &Path| {
            let text = path.as_os_str().as_encoded_bytes();
            endings.iter().any(|ending| {
                let whole = text.strip_suffix(ending.as_bytes());
                whole.is_some_and(|whole| all.contains(Path::new(&*String::from_utf8_lossy(whole))))
            })
        };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let base = real(&self.base);
        let is_linked = |path: &PathBuf| {
            let below = path.strip_prefix(&self.base).unwrap_or(path);
            base.join(below) != real(path)
        };
        let mut taken: BTreeSet<PathBuf> = others.iter().map(|path| real(path)).collect();
        let (linked, mut plain): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(is_linked);
        plain.extend(linked);
        plain.retain(|path| taken.insert(real(path)));
        plain.sort();
        let mut sources = Vec::new();
        for path in plain {
            // Backups of an import and companions of a database belong to another file.
            if others.contains(&path) || is_companion(&path) {
                continue;
            }
            match self.name_of(&path) {
                Some(name) => sources.push(self.template.at(name, path)),
                None => self.unnamed.push(path),
            }
        }
        Ok(sources)
    }

    fn walk(&self, folder: PathBuf, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
        let Some(part) = self.parts.get(depth) else {
            let is_it =
                folder
                    .metadata()
                    .is_ok_and(|metadata| match self.template.is_directory() {
                        true => metadata.is_dir(),
                        false => metadata.is_file(),
                    });
            if is_it {
                found.push(folder);
            }
            return Ok(());
        };
        if !part.contains(WILD) {
            return self.walk(folder.join(part), depth + 1, found);
        }
        let reading = || format!("cannot read {}", folder.display());
        let entries = match folder.read_dir() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(());
            }
            entries => entries.with_context(reading)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.with_context(reading)?.file_name());
        }
        names.sort();
        let Some(matcher) = compile(part) else {
            return Ok(());
        };
        for name in names {
            if name.as_encoded_bytes().starts_with(b".hookshot") {
                continue;
            }
            let text = name.to_string_lossy();
            if !hides(part, &text) && matcher.is_match(&*text) {
                self.walk(folder.join(name), depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// Returns the name of the entry of a file that matches.
    fn name_of(&self, path: &Path) -> Option<EntryName> {
        let below = path.strip_prefix(&self.base).ok()?.to_str()?;
        let name = self.template.name.as_str();
        let text = match name.contains('*') {
            false => format!("{name}/{below}"),
            true => {
                let parts = self.parts.iter().zip(below.split('/'));
                let mut stars = parts.filter_map(|(part, text)| star(part, text));
                fill(name, &mut stars)?
            }
        };
        // A file gets a name only if the name leads back to it.
        let name = EntryName::new(&text).ok()?;
        (self.path_of(&name).as_deref() == Some(path)).then_some(name)
    }

    /// Returns the path of an entry whose name is one of this pattern's, even if the file is not here.
    pub fn path_of(&self, entry: &EntryName) -> Option<PathBuf> {
        let (name, entry) = (self.template.name.as_str(), entry.as_str());
        if name == entry {
            return self.template.path().map(Path::to_owned);
        }
        let below: Vec<String> = match name.contains('*') {
            false => {
                let below = entry.strip_prefix(name)?.strip_prefix('/')?;
                below.split('/').map(str::to_owned).collect()
            }
            true => {
                let (names, texts) = (name.split('/'), entry.split('/'));
                if names.clone().count() != texts.clone().count() {
                    return None;
                }
                let mut stars = Vec::new();
                for (name, text) in names.zip(texts) {
                    match name.contains('*') {
                        true => stars.push(star(name, text)?),
                        false if name == text => {}
                        false => return None,
                    }
                }
                let mut stars = stars.into_iter();
                let parts = self.parts.iter();
                parts
                    .map(|part| fill(part, &mut stars))
                    .collect::<Option<_>>()?
            }
        };
        let is_good = |(part, text): (&String, &String)| {
            !text.contains('/') && !matches!(text.as_str(), "" | "." | "..") && matches(part, text)
        };
        let fits = below.len() == self.parts.len() && self.parts.iter().zip(&below).all(is_good);
        fits.then(|| self.base.join(below.join("/")))
    }
}

/// Returns true if a path may be a pattern.
fn is_wild(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains(WILD))
}

fn bad(source: &Source, reason: &str) -> Failure {
    let path = source.path().unwrap_or(Path::new("")).display();
    let message = format!(
        "the path {path} of the source {} is not a good pattern: {reason}",
        source.name
    );
    Failure::new(Kind::Usage, message)
        .hint("docs/services.md, \"Files that come and go\", says what patterns mean")
}

/// Returns the matcher of one component: braces and backslashes are letters.
fn compile(part: &str) -> Option<globset::GlobMatcher> {
    let part = part.replace('{', "[{]").replace('}', "[}]");
    let mut builder = GlobBuilder::new(&part);
    let glob = builder.literal_separator(true).backslash_escape(false);
    Some(glob.build().ok()?.compile_matcher())
}

/// Returns true if a wildcard would stand for the dot at the beginning.
fn hides(part: &str, text: &str) -> bool {
    text.starts_with('.') && !part.starts_with('.')
}

fn matches(part: &str, text: &str) -> bool {
    if !part.contains(WILD) {
        return part == text;
    }
    !hides(part, text) && compile(part).is_some_and(|matcher| matcher.is_match(text))
}

/// Returns what the only star of `part` stands for in `text`.
fn star<'a>(part: &str, text: &'a str) -> Option<&'a str> {
    let (before, after) = part.split_once('*')?;
    text.strip_prefix(before)?.strip_suffix(after)
}

/// Puts the texts that stars stand for in the places of the stars of `pattern`.
fn fill<'a>(pattern: &str, stars: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    let mut parts = pattern.split('*');
    text.push_str(parts.next()?);
    for part in parts {
        text.push_str(stars.next()?);
        text.push_str(part);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{SourceKind, file_source::FileSource};

    fn glob(name: &str, path: &str) -> Result<Option<Glob>> {
        let name = EntryName::new(name).expect("a name");
        let path = path.into();
        Glob::new(&Source::new(name, SourceKind::File(FileSource { path })))
    }

    #[test]
    fn names_and_paths_are_found_from_one_another() {
        for (name, path, entry, file) in [
            ("b", "/no/such/*.db", "b/x.db", "/no/such/x.db"),
            ("b/*.x", "/no/such/g-*.db", "b/1.x", "/no/such/g-1.db"),
            ("b", "/no/*/db-[0-9]?", "b/u/db-1x", "/no/u/db-1x"),
            ("*/of-*", "/no/*/a-*/db", "u/of-1", "/no/u/a-1/db"),
            ("b", "/no/{x}*", "b/{x}1", "/no/{x}1"),
        ] {
            let glob = glob(name, path).expect(path).expect(path);
            let entry = EntryName::new(entry).expect("a name");
            assert_eq!(glob.path_of(&entry), Some(PathBuf::from(file)), "{path}");
            assert_eq!(glob.name_of(Path::new(file)), Some(entry), "{path}");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_pattern() {
        let globs = [("x-*", "/no/*/db"), ("x-*", "/no/.*/db"), ("x", "/no/*")];
        for (name, path) in globs {
            let glob = glob(name, path).expect(path).expect(path);
            for entry in ["x-..", "x-.", "x-", "x/.hidden", "x/a/b", "y-1", "x-a/b"] {
                let entry = EntryName::new(entry).expect("a name");
                let found = glob.path_of(&entry);
                let is_inside = found.as_ref().is_none_or(|found| {
                    let mut parts = found.components();
                    parts.all(|part| part != Component::ParentDir) && found.starts_with("/no")
                });
                assert!(is_inside, "{entry}: {found:?}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_taken_as_it_is_and_what_says_nothing_is_refused() {
        assert_eq!(glob("a", "/no/file").expect("plain"), None);
        assert_eq!(glob("a", "/no/[file").expect("plain"), None);
        for (name, path) in [
            ("a", "/no/**/x"),
            ("a-*", "/no/*/*"),
            ("a-*", "/no/[ab]*"),
            ("a-*-*", "/no/*/*"),
            ("a-*", "/no/a-*-*"),
        ] {
            glob(name, path).expect_err(path);
        }
    }
}
