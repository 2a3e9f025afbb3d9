//! The parts of a directory that are compared: its files and its symbolic links, as a stream in order.

use std::{cmp::Ordering, iter::Peekable};

use anyhow::Result;

use crate::model::{
    digest::Digest,
    entry_name::EntryName,
    manifest::{FileRecord, ListedNode, ListingLine},
    relative::{RelativeName, by_component},
};

/// The content of an entry, as it is compared.
pub struct Content {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
    /// The record if it is a database of an archive.
    pub database: Option<Box<FileRecord>>,
}

impl Content {
    /// Returns the content that a record states.
    pub fn of(record: &FileRecord) -> Content {
        Content {
            digest: record.checksum,
            size: record.size,
            database: record.engine().map(|_| Box::new(record.clone())),
        }
    }
}

/// A file or a link in a directory.
pub struct SidePart {
    /// The path below the directory's top folder.
    pub name: RelativeName,
    /// The entry that has it.
    pub entry: EntryName,
    /// Its content; the target of a link.
    pub content: Content,
}

/// Parts in the order of a listing.
pub type SideParts<'a> = Box<dyn Iterator<Item = Result<SidePart>> + 'a>;

/// Returns the part in a line of the directory called `directory`; `None` for a folder.
pub fn of_line(directory: &EntryName, line: Result<ListingLine>) -> Option<Result<SidePart>> {
    let ListingLine { name, node } = match line {
        Ok(line) => line,
        Err(error) => return Some(Err(error)),
    };
    let (entry, content) = match node {
        ListedNode::Folder(_) => return None,
        ListedNode::File(record) => {
            let content = Content {
                digest: record.checksum,
                size: record.size,
                database: None,
            };
            let (entry, database) = match record.engine() {
                Some(_) => (name.entry(directory).0, Some(record)),
                None => (record.path, None),
            };
            (
                entry,
                Content {
                    database,
                    ..content
                },
            )
        }
        ListedNode::Link(link) => {
            let content = Content {
                // Never the digest of a file of the same bytes.
                digest: Digest::of(&[b"symbolic link\0", &link.target[..]].concat()),
                size: link.target.len() as u64,
                database: None,
            };
            (name.entry(directory).0, content)
        }
    };
    Some(Ok(SidePart {
        name,
        entry,
        content,
    }))
}

/// Returns parts that come in any order, in that of a listing. All of them are in memory.
pub fn in_order<'a>(parts: impl Iterator<Item = Result<SidePart>>) -> Result<SideParts<'a>> {
    let mut parts = parts.collect::<Result<Vec<SidePart>>>()?;
    parts.sort_by(|one, other| by_component(one.name.as_bytes(), other.name.as_bytes()));
    Ok(Box::new(parts.into_iter().map(Ok)))
}

/// Two streams of parts in the same order, merged: each item has what either side has at one path.
pub struct Merged<'a> {
    here: Peekable<SideParts<'a>>,
    there: Peekable<SideParts<'a>>,
    order: fn(&SidePart, &SidePart) -> Ordering,
}

impl<'a> Merged<'a> {
    /// Merges two streams in the order of a listing.
    pub fn by_path(here: SideParts<'a>, there: SideParts<'a>) -> Merged<'a> {
        Merged {
            here: here.peekable(),
            there: there.peekable(),
            order: |one, other| by_component(one.name.as_bytes(), other.name.as_bytes()),
        }
    }

    /// Sorts two lists by the names of the entries, and merges them.
    pub fn by_entry(here: Vec<SidePart>, there: Vec<SidePart>) -> Merged<'a> {
        let sorted = |mut parts: Vec<SidePart>| -> SideParts<'a> {
            parts.sort_by(|one, other| one.entry.cmp(&other.entry));
            Box::new(parts.into_iter().map(Ok))
        };
        Merged {
            here: sorted(here).peekable(),
            there: sorted(there).peekable(),
            order: |one, other| one.entry.cmp(&other.entry),
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<(Option<SidePart>, Option<SidePart>)>;

    fn next(&mut self) -> Option<Self::Item> {
        use Ordering::{Equal, Greater, Less};
        let order = match (self.here.peek(), self.there.peek()) {
            (None, None) => return None,
            (Some(Ok(one)), Some(Ok(two))) => (self.order)(one, two),
            // An error comes first.
            (Some(Err(_)), _) | (Some(_), None) => Less,
            (_, Some(Err(_))) | (None, Some(_)) => Greater,
        };
        let here = match order {
            Less | Equal => self.here.next(),
            Greater => None,
        };
        let there = match order {
            Greater | Equal => self.there.next(),
            Less => None,
        };
        let both = here
            .transpose()
            .and_then(|here| Ok((here, there.transpose()?)));
        Some(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(names: &[&str]) -> Vec<SidePart> {
        let part = |name: &&str| SidePart {
            name: RelativeName::new(name.as_bytes()).expect("a good path"),
            entry: EntryName::new(&format!("data/{name}")).expect("a good name"),
            content: Content {
                digest: Digest::of(name.as_bytes()),
                size: 0,
                database: None,
            },
        };
        names.iter().map(part).collect()
    }

    fn merged(merged: Merged<'_>) -> Vec<String> {
        let name = |part: &Option<SidePart>| part.as_ref().map(|part| part.name.to_string());
        let pairs = merged.map(|both| {
            let (here, there) = both.expect("no error");
            match (name(&here), name(&there)) {
                (Some(here), None) => format!("<{here}"),
                (None, Some(there)) => format!(">{there}"),
                (here, there) => {
                    assert_eq!(here, there, "merged by their path");
                    format!("={}", here.unwrap_or_default())
                }
            }
        });
        pairs.collect()
    }

    #[test]
    fn two_streams_are_merged_by_their_paths_in_the_order_of_each() {
        let (here, there) = (["b", "a-b", "a/b"], ["a/b", "a/c", "c", "a-b"]);
        let stream = |names: &[&str]| in_order(parts(names).into_iter().map(Ok)).expect("good");
        let by_path = merged(Merged::by_path(stream(&here), stream(&there)));
        assert_eq!(by_path, ["=a/b", ">a/c", "=a-b", "<b", ">c"]);
        let by_entry = merged(Merged::by_entry(parts(&here), parts(&there)));
        assert_eq!(by_entry, ["=a-b", "=a/b", ">a/c", "<b", ">c"]);
    }

    #[test]
    fn an_error_of_either_side_is_passed_on() {
        let broken =
            || -> SideParts<'static> { Box::new([Err(anyhow::anyhow!("unreadable"))].into_iter()) };
        let good = || -> SideParts<'static> { Box::new(parts(&["a"]).into_iter().map(Ok)) };
        for (here, there) in [(broken(), good()), (good(), broken())] {
            assert!(Merged::by_path(here, there).any(|both| both.is_err()));
        }
    }
}
