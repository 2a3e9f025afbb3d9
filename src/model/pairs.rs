//! Two directories side by side: their records in the order of a listing, merged by name.

use std::{cmp::Ordering, iter::Peekable};

use super::{
    manifest::ListingLine,
    relative::{by_component, is_at_or_above},
};

/// The records of two directories, pair by pair. Only the next record of each is held.
pub struct Pairs<A: Iterator, B: Iterator> {
    one: Peekable<A>,
    other: Peekable<B>,
}

/// The records of one name: at least one of the two is there. They may be of different kinds.
#[derive(Debug, PartialEq)]
pub struct Pair {
    /// That of the first directory.
    pub one: Option<ListingLine>,
    /// That of the other one.
    pub other: Option<ListingLine>,
}

impl<A, B, E> Pairs<A, B>
where
    A: Iterator<Item = Result<ListingLine, E>>,
    B: Iterator<Item = Result<ListingLine, E>>,
{
    /// Returns the pairs of two directories, whose records come in the order of [`by_component`].
    pub fn new(one: A, other: B) -> Pairs<A, B> {
        let (one, other) = (one.peekable(), other.peekable());
        Pairs { one, other }
    }

    /// Returns true if the first directory has something below `folder` that comes in a later pair.
    pub fn first_has_below(&mut self, folder: &[u8]) -> bool {
        match self.one.peek() {
            Some(Ok(line)) => is_at_or_above(folder, line.name.as_bytes()),
            _ => false,
        }
    }

    fn read(&mut self) -> Result<Option<Pair>, E> {
        // An error comes first: it says nothing of names.
        let order = match (self.one.peek(), self.other.peek()) {
            (None, None) => return Ok(None),
            (Some(Err(_)), _) | (_, None) => Ordering::Less,
            (_, Some(Err(_))) | (None, _) => Ordering::Greater,
            (Some(Ok(one)), Some(Ok(other))) => {
                by_component(one.name.as_bytes(), other.name.as_bytes())
            }
        };
        let one = match order {
            Ordering::Greater => None,
            _ => self.one.next().transpose()?,
        };
        let other = match order {
            Ordering::Less => None,
            _ => self.other.next().transpose()?,
        };
        Ok(Some(Pair { one, other }))
    }
}

impl<A, B, E> Iterator for Pairs<A, B>
where
    A: Iterator<Item = Result<ListingLine, E>>,
    B: Iterator<Item = Result<ListingLine, E>>,
{
    type Item = Result<Pair, E>;

    fn next(&mut self) -> Option<Result<Pair, E>> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{manifest::ListedNode, relative::RelativeName, tree::FolderRecord};

    fn lines(names: &[&str]) -> impl Iterator<Item = Result<ListingLine, String>> {
        let line = |name: &&str| match *name {
            "!" => Err("broken".to_owned()),
            name => Ok(ListingLine {
                name: RelativeName::new(name.as_bytes()).expect("a good name"),
                node: ListedNode::Folder(FolderRecord::default()),
            }),
        };
        names.iter().map(line).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn every_name_comes_once_with_what_each_side_has_of_it() {
        let mut pairs = Pairs::new(
            lines(&["a", "a/b", "a-b", "c"]),
            lines(&["a", "a/a", "a-b", "d"]),
        );
        let mut found = Vec::new();
        while let Some(pair) = pairs.next() {
            let pair = pair.expect("good");
            let name = |line: Option<ListingLine>| line.map(|line| line.name.to_string());
            let below = pairs.first_has_below(b"a");
            found.push((name(pair.one), name(pair.other), below));
        }
        let some = |name: &str| Some(name.to_owned());
        let expected = [
            (some("a"), some("a"), true),
            (None, some("a/a"), true),
            (some("a/b"), None, false),
            (some("a-b"), some("a-b"), false),
            (some("c"), None, false),
            (None, some("d"), false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_error_of_either_side_comes_through() {
        for (one, other) in [
            (&["!"][..], &["a"][..]),
            (&["b"], &["a", "!"]),
            (&[], &["!"]),
        ] {
            let mut pairs = Pairs::new(lines(one), lines(other));
            let failed = pairs.find_map(Result::err);
            assert_eq!(failed.as_deref(), Some("broken"));
        }
    }
}
