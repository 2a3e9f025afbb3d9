//! Selects the files of a directory for an archive, by patterns as in gitignore(5). The only module that
//! knows the `ignore` crate.

mod pattern;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use ignore::gitignore::Gitignore;
use serde::{Deserialize, Serialize};

/// The rules that decide which files of a directory an archive takes.
///
/// Patterns have the meaning that lines of a `.gitignore` at the top of the directory have. The last one that matches
/// decides, and `!` takes back. `/` at the beginning or in the middle ties a pattern to the top, `/` at the end means
/// folders alone. Nothing brings back a path below an excluded folder. If there are patterns to include, a file is
/// taken only if one of them matches it, or a folder above it. An excluded path stays excluded in any case.
#[derive(Debug, Clone)]
pub struct Rules {
    include: Option<Gitignore>,
    exclude: Gitignore,
    /// Paths of other sources, excluded whatever the patterns say.
    others: BTreeSet<Vec<u8>>,
    /// Paths that are taken, whatever the patterns and the other sources say.
    claimed: BTreeSet<Vec<u8>>,
    /// The patterns as they were written: those that include, and those that exclude.
    patterns: (Vec<String>, Vec<String>),
    /// True if everything is taken, even the kinds of file that no archive holds.
    takes_special: bool,
    /// The child of the directory that is inspected by itself; empty for the whole directory.
    child: Vec<u8>,
}

/// Rules as text, so that the same rules can be applied again later.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WrittenRules {
    /// Patterns that include.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    include: Vec<String>,
    /// Patterns that exclude.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
    /// Paths that belong to other sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<PathBuf>,
    /// Paths that are taken although they are excluded or belong to other sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claimed: Vec<PathBuf>,
    /// The child of the directory that is inspected by itself.
    #[serde(default, skip_serializing_if = "is_empty")]
    child: PathBuf,
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// The decision on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is taken.
    Kept,
    /// A folder in which something may be taken; the folder is taken if that is so.
    Searched,
    /// An excluded folder above a claimed path: only that path is taken.
    Crossed,
    /// Neither the path nor anything below it is taken.
    Excluded,
}

impl Rules {
    /// Compiles patterns, or names every invalid one.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Rules, Vec<String>> {
        let mut faults = Vec::new();
        let excluding = pattern::compile(exclude, &mut faults);
        let including = pattern::compile(include, &mut faults);
        match excluding {
            Some(compiled) if faults.is_empty() => Ok(Rules {
                include: including.filter(|patterns| !patterns.is_empty()),
                exclude: compiled,
                others: BTreeSet::new(),
                claimed: BTreeSet::new(),
                patterns: (include.to_vec(), exclude.to_vec()),
                takes_special: false,
                child: Vec::new(),
            }),
            _ => Err(faults),
        }
    }

    /// Makes rules that take everything, sockets, fifos and devices among it.
    pub fn everything() -> Rules {
        Rules {
            include: None,
            exclude: Gitignore::empty(),
            others: BTreeSet::new(),
            claimed: BTreeSet::new(),
            patterns: (Vec::new(), Vec::new()),
            takes_special: true,
            child: Vec::new(),
        }
    }

    /// Takes `claimed` as well, paths below the top: they count as taken although the patterns exclude them or they
    /// belong to another source.
    #[must_use]
    pub fn claiming(mut self, claimed: impl IntoIterator<Item = Vec<u8>>) -> Rules {
        self.claimed.extend(claimed);
        self
    }

    /// Returns true if sockets, fifos and devices count as taken: no archive holds them, but journals of version 1 told
    /// folders by them.
    pub fn takes_special(&self) -> bool {
        self.takes_special
    }

    /// Returns the same rules for one file or folder of the directory by itself: paths are those below it.
    #[must_use]
    pub fn of_child(&self, name: &[u8]) -> Rules {
        Rules {
            child: name.to_vec(),
            ..self.clone()
        }
    }

    /// Returns the rules as text.
    pub fn written(&self) -> WrittenRules {
        let paths = |paths: &BTreeSet<Vec<u8>>| -> Vec<PathBuf> {
            let paths = paths.iter().map(|path| OsStr::from_bytes(path));
            paths.map(PathBuf::from).collect()
        };
        WrittenRules {
            include: self.patterns.0.clone(),
            exclude: self.patterns.1.clone(),
            others: paths(&self.others),
            claimed: paths(&self.claimed),
            child: PathBuf::from(OsStr::from_bytes(&self.child)),
        }
    }

    /// Excludes `others` as well, paths below the top, with everything below them: targets of other sources, for
    /// example.
    #[must_use]
    pub fn without(mut self, others: impl IntoIterator<Item = Vec<u8>>) -> Rules {
        self.others.extend(others);
        self
    }

    /// Returns true if the file or folder at `relative`, a path below the top, is taken, or is a folder to search.
    pub fn keeps(&self, relative: &[u8], is_folder: bool) -> bool {
        self.decide(relative, is_folder) != Decision::Excluded
    }

    /// Returns the decision on the file or folder at `relative`, a path below the top.
    pub fn decide(&self, relative: &[u8], is_folder: bool) -> Decision {
        let slashes = relative.iter().enumerate();
        let folders = slashes.filter(|(_, byte)| **byte == b'/');
        // From the top: patterns do not apply below an excluded folder.
        let mut above = self.of_top();
        for (at, _) in folders {
            above = self.below(above, &relative[..at], true);
        }
        self.below(above, relative, is_folder)
    }

    /// Returns the decision on the top itself.
    pub fn of_top(&self) -> Decision {
        let top = match self.include {
            None => Decision::Kept,
            Some(_) => Decision::Searched,
        };
        match self.child.as_slice() {
            [] => top,
            child => self.judge(top, child, true),
        }
    }

    /// Returns the decision on `relative`, in a folder for which `above` was decided.
    pub fn below(&self, above: Decision, relative: &[u8], is_folder: bool) -> Decision {
        match self.child.as_slice() {
            [] => self.judge(above, relative, is_folder),
            child => self.judge(above, &[child, b"/", relative].concat(), is_folder),
        }
    }

    fn judge(&self, above: Decision, relative: &[u8], is_folder: bool) -> Decision {
        if self.claimed.contains(relative) {
            return Decision::Kept;
        }
        match self.by_patterns(above, relative, is_folder) {
            Decision::Excluded if is_folder && self.is_above_claimed(relative) => Decision::Crossed,
            decision => decision,
        }
    }

    fn is_above_claimed(&self, folder: &[u8]) -> bool {
        let first = [folder, b"/"].concat();
        let mut below = self.claimed.range(first.clone()..);
        below.next().is_some_and(|path| path.starts_with(&first))
    }

    fn by_patterns(&self, above: Decision, relative: &[u8], is_folder: bool) -> Decision {
        let path = Path::new(OsStr::from_bytes(relative));
        if matches!(above, Decision::Excluded | Decision::Crossed)
            || self.others.contains(relative)
            || self.exclude.matched(path, is_folder).is_ignore()
        {
            return Decision::Excluded;
        }
        let mut is_included = above == Decision::Kept;
        if let Some(include) = &self.include {
            let matched = include.matched(path, is_folder);
            is_included = (is_included || matched.is_ignore()) && !matched.is_whitelist();
        }
        match (is_included, is_folder) {
            (true, _) => Decision::Kept,
            (false, true) => Decision::Searched,
            (false, false) => Decision::Excluded,
        }
    }
}

impl TryFrom<&WrittenRules> for Rules {
    type Error = Vec<String>;

    fn try_from(written: &WrittenRules) -> Result<Rules, Vec<String>> {
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        Ok(Rules::new(&written.include, &written.exclude)?
            .without(written.others.iter().map(bytes))
            .claiming(written.claimed.iter().map(bytes))
            .of_child(&bytes(&written.child)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(include: &[&str], exclude: &[&str]) -> Rules {
        let owned = |patterns: &[&str]| -> Vec<String> {
            patterns.iter().map(|text| (*text).to_owned()).collect()
        };
        Rules::new(&owned(include), &owned(exclude)).expect("good patterns")
    }

    /// Returns true if the rules exclude `path`; `path/` is a folder.
    fn excluded(rules: &Rules, path: &str) -> bool {
        let (path, is_folder) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        !rules.keeps(path.as_bytes(), is_folder)
    }

    #[test]
    fn patterns_exclude_what_git_ignores() {
        // Patterns, paths that they exclude, paths that they keep. Each line was compared with `git check-ignore`.
        let table: &[(&[&str], &[&str], &[&str])] = &[
            (
                &["*.log"],
                &["a.log", "x/y/a.log", ".log", "d.log/", "d.log/x"],
                &["a.logs", "log"],
            ),
            (&["/a.log"], &["a.log"], &["x/a.log"]),
            (&["x/a.log"], &["x/a.log"], &["y/x/a.log"]),
            (&["**/x/a.log"], &["x/a.log", "y/x/a.log"], &["a.log"]),
            (
                &["cache/"],
                &["cache/", "cache/x", "a/cache/x"],
                &["cache", "a/cache"],
            ),
            (&["/cache"], &["cache", "cache/", "cache/x/y"], &["a/cache"]),
            (
                &["*.log", "!keep.log"],
                &["a.log"],
                &["keep.log", "x/keep.log"],
            ),
            (&["!keep.log", "*.log"], &["keep.log"], &["x"]),
            (&["cache/", "!cache/keep"], &["cache/keep"], &["keep"]),
            (
                &["cache/*", "!cache/keep"],
                &["cache/x"],
                &["cache/keep", "cache/"],
            ),
            (&["a/**"], &["a/b", "a/b/c"], &["a/", "b"]),
            (
                &["a/**/z"],
                &["a/z", "a/b/z", "a/b/c/z"],
                &["z", "b/a/z", "az"],
            ),
            (&["a*b"], &["ab", "axxb", "y/ab", "a\nb"], &["a/b"]),
            (&["a?b"], &["axb"], &["ab", "a/b", "axxb"]),
            (&["[a-c].x", "[!0-9].y"], &["b.x", "z.y"], &["d.x", "0.y"]),
            (&["{a,b}"], &["{a,b}"], &["a", "b"]),
            (&["#c", "\\#d", "\\!e"], &["#d", "!e"], &["#c", "e"]),
            (&["tail  ", "two\\ "], &["tail", "two "], &["tail  ", "two"]),
            (&["*"], &["a", "b/c"], &[]),
            (
                &["/*", "!/keep"],
                &["a", "x/keep"],
                &["keep", "keep/", "keep/a"],
            ),
            (&["é*"], &["était"], &["etait"]),
            (&["", "   "], &[], &["a", " "]),
            (&["***/x", "y***"], &["x", "a/b/x", "yy"], &["xy"]),
            (&["*[!a]e"], &["dbe", "x/dbe"], &["d/e", "dae"]),
            (&["[]-]", "[!]x]y"], &["]", "-", "ay"], &["]y", "xy", "a/y"]),
        ];
        for (patterns, out, kept) in table {
            let rules = rules(&[], patterns);
            for path in *out {
                assert!(excluded(&rules, path), "{patterns:?} keeps {path:?}");
            }
            for path in *kept {
                assert!(!excluded(&rules, path), "{patterns:?} excludes {path:?}");
            }
        }
    }

    #[test]
    fn names_that_are_not_utf_8_are_matched_by_their_bytes() {
        let rules = rules(&[], &["*.log", "a?c"]);
        assert!(!rules.keeps(b"\xff\xfe.log", false));
        assert!(!rules.keeps(b"a\xffc", false));
        assert!(rules.keeps(b"\xff\xfe", false));
    }

    #[test]
    fn what_is_included_goes_along_and_nothing_else() {
        let rules = rules(&["*.db", "/conf", "!conf/local"], &["old/", "*.tmp.db"]);
        for (path, is_folder, verdict) in [
            ("a.db", false, Decision::Kept),
            ("x/a.db", false, Decision::Kept),
            ("a.txt", false, Decision::Excluded),
            ("x", true, Decision::Searched),
            ("conf", true, Decision::Kept),
            ("conf/deep/file", false, Decision::Kept),
            ("conf/local", false, Decision::Excluded),
            ("x/conf", false, Decision::Excluded),
            ("old", true, Decision::Excluded),
            ("old/a.db", false, Decision::Excluded),
            ("a.tmp.db", false, Decision::Excluded),
        ] {
            assert_eq!(rules.decide(path.as_bytes(), is_folder), verdict, "{path}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_excluded_whatever_patterns_say() {
        let rules =
            rules(&["*"], &["!state.redb"]).without([b"state.redb".to_vec(), b"x/out".to_vec()]);
        for path in ["state.redb", "x/out/", "x/out/a"] {
            assert!(excluded(&rules, path), "{path}");
        }
        assert!(!excluded(&rules, "x/state.redb"));
    }

    #[test]
    fn what_is_claimed_is_taken_although_it_is_excluded_and_nothing_around_it() {
        let rules = rules(&["*.txt"], &["state/", "*.db"])
            .without([b"other.db".to_vec(), b"state/app.db".to_vec()])
            .claiming([b"state/app.db".to_vec(), b"b.db".to_vec()]);
        let again = Rules::try_from(&rules.written()).expect("good");
        for rules in [&rules, &again] {
            for (path, is_folder, verdict) in [
                ("state", true, Decision::Crossed),
                ("state/app.db", false, Decision::Kept),
                ("state/a.txt", false, Decision::Excluded),
                ("state/deep", true, Decision::Excluded),
                ("b.db", false, Decision::Kept),
                ("c.db", false, Decision::Excluded),
                ("other.db", false, Decision::Excluded),
                ("a.txt", false, Decision::Kept),
            ] {
                assert_eq!(rules.decide(path.as_bytes(), is_folder), verdict, "{path}");
            }
        }
    }

    #[test]
    fn a_child_by_itself_is_ruled_as_it_is_in_the_directory() {
        let whole = rules(&["app/*.txt", "web/"], &["/app/cache/"]);
        let child = whole.of_child(b"app");
        let again = Rules::try_from(&child.written()).expect("good");
        for child in [&child, &again] {
            assert_eq!(child.of_top(), Decision::Searched);
            for (path, is_folder) in [
                ("a.txt", false),
                ("b", false),
                ("cache", true),
                ("deep", true),
            ] {
                let full = format!("app/{path}");
                let verdict = whole.decide(full.as_bytes(), is_folder);
                assert_eq!(child.decide(path.as_bytes(), is_folder), verdict, "{path}");
            }
        }
        assert_eq!(whole.of_child(b"web").of_top(), Decision::Kept);
    }

    #[test]
    fn every_bad_pattern_is_named() {
        let bad = ["a//b", "[a", "good", "[[:alpha:]]", "a\nb", "!", "[\\]]"].map(str::to_owned);
        let faults = Rules::new(&bad, &bad).expect_err("bad");
        assert_eq!(faults.len(), 12, "{faults:?}");
    }
}
