//! Entries that the user names, or describes by patterns as in gitignore(5).

use std::collections::BTreeSet;

use anyhow::Result;

use crate::{
    archive::{contents::DirectoryContents, reader::Discard},
    catalog::input::ArchiveInput,
    context::Context,
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        manifest::Manifest,
        rules::{Decision, Rules},
    },
};

/// Words for entries of an archive: names, and patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPatterns {
    names: Vec<EntryName>,
    patterns: Vec<String>,
}

/// The parts of a directory that a pattern may select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Single files, too.
    Files,
    /// None: a directory is taken as one.
    Whole,
}

impl From<Vec<EntryName>> for EntryPatterns {
    fn from(names: Vec<EntryName>) -> EntryPatterns {
        let patterns = Vec::new();
        EntryPatterns { names, patterns }
    }
}

impl EntryPatterns {
    /// Reads the words of a command line. A word without wildcards is a name; a slash at the end of one is not a part
    /// of it.
    ///
    /// Fails with [`Kind::Usage`] if a word is neither a good name nor a good pattern.
    pub fn new(words: &[String]) -> Result<EntryPatterns, Failure> {
        let mut read = EntryPatterns::default();
        for word in words {
            if is_pattern(word) {
                read.patterns.push(word.clone());
                continue;
            }
            let name = word.trim_end_matches('/');
            let name = EntryName::new(if name.is_empty() { word } else { name });
            let name = name.map_err(|fault| Failure::new(Kind::Usage, fault.to_string()))?;
            // The same name twice is asked for once.
            if !read.names.contains(&name) {
                read.names.push(name);
            }
        }
        match Rules::new(&read.patterns, &[]) {
            Ok(_) => Ok(read),
            Err(faults) => {
                let first = faults.first().cloned().unwrap_or_default();
                Err(Failure::new(Kind::Usage, first).faults(faults))
            }
        }
    }

    /// Returns the names if no word is a pattern: no archive has to be read for them.
    pub fn plain(&self) -> Option<&[EntryName]> {
        self.patterns.is_empty().then_some(&self.names)
    }

    /// Returns true without a word.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Returns the names, and the entries that match a pattern. Without a word, returns every file and directory. A
    /// directory of which everything matches is one name.
    ///
    /// Fails with [`Kind::NotFound`] if nothing matches a pattern.
    pub fn resolve(
        &self,
        context: &Context,
        archive: &ArchiveInput,
        parts: Parts,
    ) -> Result<Vec<EntryName>> {
        if let Some(names) = self.plain().filter(|names| !names.is_empty()) {
            return Ok(names.to_vec());
        }
        let manifest = archive.manifest(context)?;
        let mut found: BTreeSet<EntryName> = self.names.iter().cloned().collect();
        if self.is_empty() {
            found.extend(tops(&manifest).cloned());
        }
        for pattern in &self.patterns {
            let matching = matching(context, archive, &manifest, pattern, parts)?;
            if matching.is_empty() {
                let message = format!("nothing in the archive matches {pattern}");
                return Err(Failure::new(Kind::NotFound, message)
                    .hint("`hookshot inspect` lists its entries")
                    .into());
            }
            found.extend(matching);
        }
        Ok(found.into_iter().collect())
    }
}

/// Returns true if a word describes entries by more than a name.
fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '[', '\\']) || word.starts_with(['!', '/'])
}

/// Returns the files that lie in no directory, and the directories.
fn tops(manifest: &Manifest) -> impl Iterator<Item = &EntryName> {
    let is_inside = |name: &EntryName| {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        first.is_some_and(|first| {
            manifest.trees.contains_key(first) || manifest.directories.contains_key(first)
        })
    };
    let files = manifest.files.keys();
    let files = files.filter(move |name| !is_inside(name) && !manifest.is_listing(name));
    files.chain(directories(manifest))
}

fn directories(manifest: &Manifest) -> impl Iterator<Item = &EntryName> {
    manifest.trees.keys().chain(manifest.directories.keys())
}

/// Returns the entries that match a pattern.
fn matching(
    context: &Context,
    archive: &ArchiveInput,
    manifest: &Manifest,
    pattern: &str,
    parts: Parts,
) -> Result<Vec<EntryName>> {
    let patterns = [pattern.to_owned()];
    let bad = |faults: Vec<String>| Failure::new(Kind::Usage, faults.join("; "));
    let rules = Rules::new(&patterns, &[]).map_err(bad)?;
    let decide = |name: &EntryName, is_folder| match name.as_str() == pattern {
        true => Decision::Kept,
        false => rules.decide(name.as_str().as_bytes(), is_folder),
    };
    let mut found = Vec::new();
    for name in tops(manifest) {
        let is_directory = manifest.has_directory(name);
        match decide(name, is_directory) {
            Decision::Kept => found.push(name.clone()),
            Decision::Searched if is_directory && parts == Parts::Files => {
                let mut add = |contents: &DirectoryContents<'_>| -> Result<()> {
                    for line in contents.lines()? {
                        let line = line?;
                        let path = line.file().map(|record| &record.path);
                        let path = path.filter(|path| decide(path, false) == Decision::Kept);
                        found.extend(path.cloned());
                    }
                    Ok(())
                };
                with_contents(context, archive, manifest, name, &mut add)?;
            }
            _ => {}
        }
    }
    // A name may have the characters of a pattern: then it means this entry alone.
    let exact = found.iter().find(|name| name.as_str() == pattern);
    Ok(exact.map(|name| vec![name.clone()]).unwrap_or(found))
}

/// Passes the contents of a directory to `take`. Of a large archive only the listing is read.
fn with_contents(
    context: &Context,
    archive: &ArchiveInput,
    manifest: &Manifest,
    name: &EntryName,
    take: &mut dyn FnMut(&DirectoryContents<'_>) -> Result<()>,
) -> Result<()> {
    if let Some(contents) = DirectoryContents::in_manifest(manifest, name) {
        return take(&contents);
    }
    let Some(listed) = manifest.directories.get(name) else {
        return Ok(());
    };
    let names = std::slice::from_ref(&listed.listing);
    if let Some(selected) = archive.select(context, names, "reading", &mut Discard)? {
        return selected
            .directory(name)
            .map_or(Ok(()), |contents| take(&contents));
    }
    let verified = archive.read(context, "reading", &mut Discard)?;
    verified
        .directory(name)
        .map_or(Ok(()), |contents| take(&contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<EntryPatterns, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        EntryPatterns::new(&words)
    }

    #[test]
    fn a_word_without_wildcards_is_a_name() {
        let names = read(&["a.toml", "data/", "data", "data/x y"]).expect("good");
        let names = names.plain().expect("names alone");
        let names: Vec<&str> = names.iter().map(EntryName::as_str).collect();
        assert_eq!(names, ["a.toml", "data", "data/x y"]);
        assert!(read(&["*.toml"]).expect("good").plain().is_none());
        assert!(read(&["../x"]).is_err() && read(&["[a"]).is_err());
    }
}
