//! Reads the sections of config.toml: takes values by their keys, and collects every fault.
//!
//! A section knows the keys that it was asked for. At its end every other key is unknown, and is named with the nearest
//! key that was asked for. So the code that reads a key is the only place that names it, and no list of keys can be
//! incomplete. A fault never repeats a value: it may be a secret.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use toml::{Table, Value};

use super::nearest::nearest;

/// The faults of one configuration, or a survey of the keys that its reader asks for.
#[derive(Default)]
struct Reader {
    faults: RefCell<Vec<String>>,
    /// In a survey nothing is there, every section is entered, and the keys are collected with their sections.
    survey: Option<RefCell<Vec<(String, &'static str)>>>,
    /// The keys whose values are paths.
    paths: RefCell<BTreeSet<&'static str>>,
    completeness: Completeness,
}

/// The extent of the configuration that a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Completeness {
    /// All of it.
    #[default]
    Whole,
    /// One file of several: what is missing may stand in another one.
    Part,
}

/// A section that is being read.
pub(super) struct Section<'a> {
    reader: &'a Reader,
    name: RefCell<String>,
    table: Option<&'a Table>,
    asked: RefCell<Vec<&'static str>>,
    missing: RefCell<Vec<&'static str>>,
    kinds: RefCell<Option<OtherKinds>>,
    foreign: RefCell<Vec<&'static Foreign>>,
    /// True if keys that were not asked for belong to the service.
    is_shared: Cell<bool>,
}

/// The kinds of such a section, each with its word and the function that reads its keys.
pub(super) type Kinds<T> = [(&'static str, fn(&Section<'_>) -> T)];

/// Keys of other tools, and what hookshot has instead.
type Foreign = [(&'static str, &'static str)];

/// The kinds that a section could have had, with their keys.
struct OtherKinds {
    /// The sections, in words.
    sections: &'static str,
    /// The section's own kind.
    own: &'static str,
    /// Every kind with its keys.
    keys: Vec<(&'static str, Vec<&'static str>)>,
}

/// Reads the text of a configuration, all of which is in one file; returns what `read` makes of it, or every fault.
#[cfg(test)]
pub(super) fn read<T>(
    text: &str,
    read: impl for<'a> FnOnce(&Section<'a>) -> T,
) -> Result<T, Vec<String>> {
    let table = super::text::parse_toml(text).map_err(|fault| vec![fault])?;
    read_table(&table, Completeness::Whole, read)
}

/// Reads the table of a configuration; returns what `read` makes of it, or every fault.
pub(super) fn read_table<T>(
    table: &Table,
    completeness: Completeness,
    read: impl for<'a> FnOnce(&Section<'a>) -> T,
) -> Result<T, Vec<String>> {
    let reader = Reader {
        completeness,
        ..Reader::default()
    };
    let value = Section::run(&reader, String::new(), Some(table), read);
    match reader.faults.into_inner() {
        faults if faults.is_empty() => Ok(value),
        faults => Err(faults),
    }
}

/// Returns every key that `read` asks for, with its section.
pub(super) fn survey<T>(
    read: impl for<'a> FnOnce(&Section<'a>) -> T,
) -> Vec<(String, &'static str)> {
    let reader = Reader {
        survey: Some(RefCell::default()),
        ..Reader::default()
    };
    Section::run(&reader, String::new(), None, read);
    reader.survey.map(RefCell::into_inner).unwrap_or_default()
}

/// Returns every key that `read` asks for and whose value is a path.
pub(super) fn paths<T>(read: impl for<'a> FnOnce(&Section<'a>) -> T) -> Vec<&'static str> {
    let reader = Reader {
        survey: Some(RefCell::default()),
        ..Reader::default()
    };
    Section::run(&reader, String::new(), None, read);
    reader.paths.into_inner().into_iter().collect()
}

impl<'a> Section<'a> {
    fn new(reader: &'a Reader, name: String, table: Option<&'a Table>) -> Section<'a> {
        Section {
            reader,
            name: RefCell::new(name),
            table,
            asked: RefCell::default(),
            missing: RefCell::default(),
            kinds: RefCell::default(),
            foreign: RefCell::default(),
            is_shared: Cell::new(false),
        }
    }

    /// Reads a section, then names its odd keys before the faults of its values.
    fn run<T>(
        reader: &'a Reader,
        name: String,
        table: Option<&'a Table>,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> T {
        let section = Section::new(reader, name, table);
        let begin = reader.faults.borrow().len();
        let value = read(&section);
        let odd = section.odd_keys();
        reader.faults.borrow_mut().splice(begin..begin, odd);
        value
    }

    /// Leaves the keys that are not asked for to the service.
    pub(super) fn share(&self) {
        self.is_shared.set(true);
    }

    /// Gives the section another name in messages.
    pub(super) fn rename(&self, name: String) {
        self.name.replace(name);
    }

    /// Knows the keys of other tools, and what hookshot has instead.
    pub(super) fn foreign(&self, keys: &'static Foreign) {
        self.foreign.borrow_mut().push(keys);
    }

    /// Returns the value of a key. This is the only way to a value, so every key that is read is known.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.know(key);
        self.table?.get(key)
    }

    fn know(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
        if let Some(survey) = &self.reader.survey {
            let entry = (self.name.borrow().clone(), key);
            let mut survey = survey.borrow_mut();
            if !survey.contains(&entry) {
                survey.push(entry);
            }
        }
    }

    /// Notes that the value of a key is a path.
    pub(super) fn know_path(&self, key: &'static str) {
        self.reader.paths.borrow_mut().insert(key);
    }

    /// Returns true if another file may say what this one does not.
    pub(super) fn is_part(&self) -> bool {
        self.reader.completeness == Completeness::Part
    }

    /// Reports a key that is not there, and has to be.
    pub(super) fn require(&self, key: &'static str) {
        if !self.is_part() && self.table.is_some_and(|table| !table.contains_key(key)) {
            self.missing.borrow_mut().push(key);
        }
    }

    /// Adds a fault of the section.
    pub(super) fn refuse(&self, fault: impl Into<String>) {
        self.reader.faults.borrow_mut().push(fault.into());
    }

    /// Adds a fault of a key: `says` goes on after its name and that of the section.
    pub(super) fn fault(&self, key: &str, says: impl Display) {
        self.refuse(format!("{} {says}", self.shown(key)));
    }

    /// Returns the name of the section.
    pub(super) fn name(&self) -> String {
        self.name.borrow().clone()
    }

    /// Returns a key with its section, for messages.
    pub(super) fn shown(&self, key: &str) -> String {
        match self.name.borrow().as_str() {
            "" => format!("`{key}`"),
            name => format!("`{key}` under [{name}]"),
        }
    }

    /// Returns the name of a section below this one.
    pub(super) fn below(&self, key: &str) -> String {
        match self.name.borrow().as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// Reads a section below this one; `None` if it is not there.
    pub(super) fn section<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Section<'a>) -> T,
    ) -> Option<T> {
        let name = self.below(key);
        let table = match self.value(key) {
            Some(Value::Table(table)) => Some(table),
            None if self.reader.survey.is_some() => None,
            None => return None,
            Some(_) => {
                self.fault(key, format!("must be a section, [{name}]"));
                return None;
            }
        };
        Some(Section::run(self.reader, name, table, read))
    }

    /// Reads a section below this one, as an empty one if it is not there.
    pub(super) fn section_or_empty<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Section<'a>) -> T,
    ) -> T {
        let section = self.section(key, &read);
        section.unwrap_or_else(|| Section::run(self.reader, self.below(key), None, &read))
    }

    /// Reads the sections `[KEY.NAME]`, each with its name.
    pub(super) fn named<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&Section<'a>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let above = self.below(key);
        let mut sections = BTreeMap::new();
        match self.value(key) {
            None if self.reader.survey.is_some() => {
                Section::run(self.reader, format!("{above}.NAME"), None, read);
            }
            None => {}
            Some(Value::Table(table)) => {
                for (name, value) in table {
                    let is_name =
                        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                    if name.is_empty() || !name.bytes().all(is_name) {
                        self.refuse(format!(
                            "names under [{above}] have letters, digits, `_` and `-`"
                        ));
                    } else if let Value::Table(table) = value {
                        let section = format!("{above}.{name}");
                        let value = Section::run(self.reader, section, Some(table), &mut read);
                        sections.extend(value.map(|value| (name.clone(), value)));
                    } else {
                        self.refuse(format!("`{name}` under [{above}] must be a section"));
                    }
                }
            }
            Some(_) => self.fault(key, format!("must be sections, [{above}.NAME]")),
        }
        sections
    }

    /// Reads the sections `[[KEY]]`; `None` if they are missing, or if they are not sections.
    pub(super) fn repeated<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&Section<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let name = self.below(key);
        let says = format!("must be sections, [[{name}]]");
        let values = match self.value(key) {
            None if self.reader.survey.is_some() => {
                Section::run(self.reader, name, None, read);
                return None;
            }
            None => return None,
            Some(Value::Array(values)) => values,
            Some(_) => {
                self.fault(key, says);
                return None;
            }
        };
        let mut sections = Vec::new();
        for (number, value) in (1..).zip(values) {
            match value {
                Value::Table(table) => {
                    let name = format!("{name} {number}");
                    sections.extend(Section::run(self.reader, name, Some(table), &mut read));
                }
                _ => self.fault(key, &says),
            }
        }
        Some(sections)
    }

    /// Reads the keys of the section's own kind, and knows those of the others. `sections` are such sections in words.
    pub(super) fn of_kind<T>(
        &self,
        sections: &'static str,
        kind: &str,
        kinds: &Kinds<T>,
    ) -> Option<T> {
        let (own, read) = kinds.iter().find(|(name, _)| *name == kind)?;
        let keys = kinds
            .iter()
            .map(|(name, read)| (*name, keys_of(*read).keys));
        *self.kinds.borrow_mut() = Some(OtherKinds {
            sections,
            own,
            keys: keys.collect(),
        });
        Some(read(self))
    }

    /// Knows the keys of every kind: the section does not say which one it is.
    pub(super) fn of_any_kind<T>(&self, kinds: &Kinds<T>) {
        for (_, read) in kinds {
            let of_kind = keys_of(*read);
            of_kind.keys.into_iter().for_each(|key| self.know(key));
            self.foreign.borrow_mut().extend(of_kind.foreign);
            self.reader.paths.borrow_mut().extend(of_kind.paths);
        }
    }

    /// Names the keys that are missing, those that only other kinds of such a section have, and those that are unknown.
    fn odd_keys(&self) -> Vec<String> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        let asked = self.asked.borrow();
        let is_unknown = |key: &&str| !asked.contains(key);
        let unknown: Vec<&str> = (table.keys().map(String::as_str))
            .filter(is_unknown)
            .collect();
        let mut faults = Vec::new();
        for key in self.missing.borrow().iter() {
            // A slip of it is named below, with the right word.
            if !unknown
                .iter()
                .any(|other| nearest(other, &asked) == Some(*key))
            {
                faults.push(format!("`{key}` is missing under [{}]", self.name.borrow()));
            }
        }
        if self.is_shared.get() {
            return faults;
        }
        let kinds = self.kinds.borrow();
        for key in unknown {
            let others = kinds.iter().flat_map(|kinds| &kinds.keys);
            let others = others.filter(|(_, keys)| keys.contains(&key));
            let others: Vec<String> = others.map(|(kind, _)| format!("`{kind}`")).collect();
            let shown = self.shown(key);
            faults.push(match (&*kinds, self.instead_of(key)) {
                (Some(kinds), _) if !others.is_empty() => format!(
                    "{shown} is a key of {} of the kind {}, and this one is of the kind `{}`",
                    kinds.sections,
                    others.join(", "),
                    kinds.own
                ),
                (_, Some(instead)) => format!("unknown key {shown}: {instead}"),
                (_, None) => format!("unknown key {shown}{}", did_you_mean(key, &asked)),
            });
        }
        faults
    }

    /// Returns what hookshot has instead of a key of another tool.
    fn instead_of(&self, key: &str) -> Option<&'static str> {
        let plain = key.to_ascii_lowercase().replace('-', "_");
        let foreign = self.foreign.borrow();
        let mut keys = foreign.iter().copied().flatten();
        let found = keys.find(|(foreign, _)| *foreign == plain);
        found.map(|(_, instead)| *instead)
    }
}

/// The keys of a kind.
struct OfKind {
    /// The keys that it asks for.
    keys: Vec<&'static str>,
    /// The keys of other tools that it knows.
    foreign: Vec<&'static Foreign>,
    /// Those of its keys that are paths.
    paths: BTreeSet<&'static str>,
}

/// Returns the keys of a kind.
fn keys_of<T>(read: fn(&Section<'_>) -> T) -> OfKind {
    let reader = Reader::default();
    let section = Section::new(&reader, String::new(), None);
    read(&section);
    OfKind {
        keys: section.asked.into_inner(),
        foreign: section.foreign.into_inner(),
        paths: reader.paths.into_inner(),
    }
}

/// Returns a question after the nearest word, if one is near.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    let meant = nearest(word, known).map(|name| format!("; did you mean `{name}`?"));
    meant.unwrap_or_default()
}

#[cfg(test)]
mod tests;
