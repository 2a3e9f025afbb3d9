//! The meaning of the lines of `PRAGMA integrity_check` (SQLite's pragma.c, fts3.c, fts5_main.c).

use std::{collections::BTreeMap, fmt};

use crate::model::entry_name::printable;

/// The most findings of a kind that are kept, and the most of them that a message names.
const KEPT: usize = 20;
const NAMED: usize = 3;

/// The most rows that are kept of a fault.
pub const MOST_ROWS: usize = 1_000_000;

/// The beginnings or middles of findings about an index, up to its name.
const INDEX: [&str; 6] = [
    " missing from index ",
    " values differ from index ",
    "wrong # of entries in index ",
    "non-unique entry in index ",
    " of index ",
    "index ",
];

/// The beginning of a finding about a table without rowids, up to the table's name.
pub const UNORDERED: &str = "row not in PRIMARY KEY order for ";
/// The message of FTS5 that its index is not that of its text, up to the table's name.
const MISMATCH: &str = "fts5: checksum mismatch for table \"";

/// A fault of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFault {
    /// The index, or the full-text table.
    pub name: String,
    /// The first message of SQLite about it.
    pub finding: String,
    /// True if the number of its entries is wrong.
    pub is_counted: bool,
    /// The rows that are missing from it, by their place in the table, from 1, in order; [`MOST_ROWS`] of them.
    pub rows: Vec<i64>,
    /// Its remedy, in SQL.
    pub remedy: Remedy,
}

/// The remedy for an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// `REINDEX`.
    Reindex,
    /// Two rows have the value that only one may have: one of them has to go first.
    RemoveDuplicate,
    /// The command `rebuild` of a full-text table.
    Rebuild,
}

impl IndexFault {
    /// Returns the remedy in words.
    pub fn remedy(&self) -> String {
        let name = quoted(&self.name);
        match self.remedy {
            Remedy::Reindex => format!("the rows are good, and `REINDEX {name}` mends it"),
            Remedy::RemoveDuplicate => format!(
                "two rows have the value that only one may have: DELETE one of them, then `REINDEX {name}`"
            ),
            Remedy::Rebuild => format!(
                "the rows are good, and `INSERT INTO {name}({name}) VALUES('rebuild')` mends it"
            ),
        }
    }
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.remedy {
            Remedy::Rebuild => "full-text index",
            Remedy::Reindex | Remedy::RemoveDuplicate => "index",
        };
        let name = printable(&self.name);
        write!(
            f,
            "the {kind} {name} does not match its table: {}",
            self.finding
        )
    }
}

/// Returns a name as SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All findings, by what they mean.
#[derive(Debug, Default)]
pub struct Findings {
    damage: Vec<String>,
    odd_values: Vec<String>,
    /// By the name of the index.
    pub indexes: BTreeMap<String, IndexFault>,
    /// By the name of the full-text table.
    pub inverted: BTreeMap<String, IndexFault>,
    /// Tables without rowids whose rows are in another order than that of their keys.
    pub unordered: Vec<String>,
    /// Virtual tables that could not be checked, and why.
    pub unable: Vec<(String, String)>,
}

impl Findings {
    /// Returns findings with this damage, and nothing else.
    pub fn of_damage(finding: String) -> Findings {
        Findings {
            damage: vec![printable(&finding)],
            ..Findings::default()
        }
    }

    /// Adds one row that SQLite gave: a line, or several about the pages.
    pub fn add(&mut self, row: &str) {
        if row.starts_with("*** in database") {
            let lines = row.lines().skip(1).filter(|line| *line != "ok");
            self.damage.extend(lines.map(printable));
        } else if row != "ok" {
            self.add_line(row);
        }
    }

    fn add_line(&mut self, line: &str) {
        if is_odd_value(line) {
            if self.odd_values.len() < KEPT {
                self.odd_values.push(printable(line));
            }
        } else if let Some(name) = index_of(line) {
            let is_counted = line.starts_with(INDEX[2]);
            let remedy = match line.starts_with(INDEX[3]) {
                true => Remedy::RemoveDuplicate,
                false => Remedy::Reindex,
            };
            let fault = IndexFault {
                name: name.to_owned(),
                finding: printable(line),
                is_counted,
                rows: Vec::new(),
                remedy,
            };
            let known = self.indexes.entry(name.to_owned()).or_insert(fault);
            known.is_counted |= is_counted;
            let row = line
                .strip_prefix("row ")
                .and_then(|rest| rest.split_once(' '));
            if let Some((row, _)) = row.filter(|_| known.rows.len() < MOST_ROWS) {
                known.rows.extend(row.parse::<i64>());
            }
        } else if let Some(table) = line.strip_prefix(UNORDERED) {
            self.unordered.push(table.to_owned());
        } else if let Some(table) = full_text_of(line, "malformed inverted index for FTS")
            .or_else(|| line.strip_prefix(MISMATCH)?.strip_suffix('"'))
        {
            let fault = IndexFault {
                name: table.to_owned(),
                finding: printable(line),
                is_counted: false,
                rows: Vec::new(),
                remedy: Remedy::Rebuild,
            };
            self.inverted.entry(table.to_owned()).or_insert(fault);
        } else if let Some(table) =
            full_text_of(line, "unable to validate the inverted index for FTS")
            && let Some((table, reason)) = table.rsplit_once(": ")
            && reason == "SQL logic error"
        {
            self.unable.push((table.to_owned(), printable(line)));
        } else {
            self.damage.push(printable(line));
        }
    }

    /// Adds the findings of a part. If the part was checked with stand-ins for functions, the values that these gave
    /// mean nothing.
    pub fn extend(&mut self, part: Findings, has_stand_ins: bool) {
        self.damage.extend(part.damage);
        if !has_stand_ins {
            self.odd_values.extend(part.odd_values);
        }
        for (name, fault) in part.indexes {
            self.indexes.entry(name).or_insert(fault);
        }
        self.inverted.extend(part.inverted);
        self.unordered.extend(part.unordered);
        self.unable.extend(part.unable);
    }

    /// Returns true if further findings would change nothing.
    pub fn are_enough(&self) -> bool {
        self.damage.len() >= KEPT
    }

    /// Returns the first damages, in words.
    pub fn damage(&self) -> Option<String> {
        first(&self.damage)
    }

    /// Returns the first values that break the rules of their columns.
    pub fn odd_values(&self) -> Vec<String> {
        self.odd_values.iter().take(NAMED).cloned().collect()
    }
}

fn first(findings: &[String]) -> Option<String> {
    let more = match findings.len() {
        0 => return None,
        1..=NAMED => "",
        _ => ", and more",
    };
    let first = findings[..findings.len().min(NAMED)].join(", ");
    Some(format!("{first}{more}"))
}

/// Returns true if a line is about a value that its column should not hold. It was written so: its page is good.
fn is_odd_value(line: &str) -> bool {
    let kinds = [
        "NULL",
        "NUMERIC",
        "TEXT",
        "non-BLOB",
        "non-INT",
        "non-INTEGER",
        "non-REAL",
        "non-TEXT",
    ];
    let kind = line.split_once(" value in ").map(|(kind, _)| kind);
    kind.is_some_and(|kind| kinds.contains(&kind))
}

/// Returns the index that a line is about.
fn index_of(line: &str) -> Option<&str> {
    let is_number = |text: &str| text.parse::<i64>().is_ok();
    if let Some(rest) = line.strip_prefix("row ") {
        let (row, _) = rest.split_once(' ')?;
        let rest = rest.strip_prefix(row)?;
        let name = INDEX[..2].iter().find_map(|words| rest.strip_prefix(words));
        return name.filter(|_| is_number(row));
    }
    if let Some(name) = INDEX[2..4]
        .iter()
        .find_map(|words| line.strip_prefix(words))
    {
        return Some(name);
    }
    if let Some(rest) = line.strip_prefix("rowid not at end-of-record for row ") {
        let (row, name) = rest.split_once(INDEX[4])?;
        return Some(name).filter(|_| is_number(row));
    }
    let imprecise = " stores an imprecise floating-point value for row ";
    let (name, _) = line.strip_prefix(INDEX[5])?.rsplit_once(imprecise)?;
    Some(name)
}

/// Returns the full-text table that a line is about which begins so.
fn full_text_of<'a>(line: &'a str, begins: &str) -> Option<&'a str> {
    let (_, place) = line.strip_prefix(begins)?.split_once(" table ")?;
    place.strip_prefix("main.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_indexes_name_them_and_other_lines_are_damage() {
        for (line, name) in [
            ("row 2 missing from index ib", Some("ib")),
            (
                "row -7 missing from index a of index b",
                Some("a of index b"),
            ),
            ("row 3 values differ from index x y", Some("x y")),
            ("wrong # of entries in index ib", Some("ib")),
            (
                "non-unique entry in index sqlite_autoindex_t_1",
                Some("sqlite_autoindex_t_1"),
            ),
            (
                "rowid not at end-of-record for row 9 of index ib",
                Some("ib"),
            ),
            (
                "index ib stores an imprecise floating-point value for row 4",
                Some("ib"),
            ),
            ("Tree 5 page 3 cell 2: Rowid 9 out of order", None),
            ("Page 4: never used", None),
            ("database disk image is malformed", None),
        ] {
            let mut findings = Findings::default();
            findings.add(line);
            assert_eq!(
                findings.indexes.keys().next().map(String::as_str),
                name,
                "{line}"
            );
            assert_eq!(findings.damage().is_none(), name.is_some(), "{line}");
        }
    }

    #[test]
    fn values_that_break_a_rule_are_no_damage() {
        let mut findings = Findings::default();
        for line in [
            "NULL value in t.b",
            "non-INT value in t.b",
            "TEXT value in t.b",
            "ok",
        ] {
            findings.add(line);
        }
        assert_eq!(findings.damage(), None);
        assert_eq!(findings.odd_values().len(), 3);
        findings.add("*** in database main ***\nTree 2 page 2: btreeInitPage() returns error code 11\nPage 9: never used");
        assert_eq!(
            findings.damage().expect("damage"),
            "Tree 2 page 2: btreeInitPage() returns error code 11, Page 9: never used"
        );
    }
}
