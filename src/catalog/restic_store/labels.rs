//! The labels of states: by them a repository knows the archives among its snapshots.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use chrono::{DateTime, Utc};

use super::engine::State;
use crate::model::{
    archive_name::{ArchiveName, Ending, MOST_NUMBER, is_archive_file, is_prefix, stem_of},
    digest::Digest,
    manifest::Manifest,
    retention::Mark,
};

/// The label of every state of ours.
const OURS: &str = "hookshot";
/// The label with the name of the archive.
const ARCHIVE: &str = "archive=";
/// The label with the SHA-256 of the manifest.
const MANIFEST: &str = "manifest=";
/// The label of a state that stays.
const KEEP: &str = "keep=";

/// Returns the labels of the state of an archive called `archive`, whose manifest has this text.
pub fn labels_of(manifest: &Manifest, text: &[u8], archive: &str) -> Vec<String> {
    let mut labels = vec![OURS.to_owned(), format!("{ARCHIVE}{archive}")];
    labels.extend(manifest.app.as_ref().map(|app| format!("app={app}")));
    labels.push(format!("{MANIFEST}{}", Digest::of(text)));
    // The manifest has all of them; these words are for the repository.
    let is_ours = |key: &str| [ARCHIVE, MANIFEST, KEEP].contains(&&*format!("{key}="));
    let tags = manifest.tags.iter().filter(|(key, _)| !is_ours(key));
    labels.extend(tags.map(|(key, value)| format!("{key}={value}")));
    // restic separates labels by commas.
    labels.retain(|label| !label.contains(',') && !label.chars().any(char::is_control));
    labels
}

/// Returns true if a repository can tell that a state has this name.
pub fn can_be_named(name: &str) -> bool {
    let is_odd = |symbol: char| symbol == ',' || symbol == '/' || symbol.is_control();
    is_archive_file(name) && !name.starts_with('.') && !name.contains(is_odd)
}

/// The content and the time of a state, and the name that its labels tell.
type Identity = (String, String, Option<DateTime<Utc>>);

/// The names by which this process knows states. A state keeps its name, whatever others do to the repository meanwhile:
/// what was listed under a name is what is removed under it.
#[derive(Default)]
pub struct GivenNames(BTreeMap<Identity, String>);

impl GivenNames {
    /// Returns the states of ours, by the names of their archives. No two have the same name.
    pub fn named(&mut self, states: Vec<State>) -> Vec<(String, State)> {
        let distinct = distinct(states);
        let told: BTreeSet<String> = distinct.keys().map(|(told, ..)| told.clone()).collect();
        let mut used: BTreeSet<String> = self.0.values().cloned().collect();
        let (mut named, mut unnamed) = (Vec::new(), Vec::new());
        for (identity, state) in distinct {
            match self.0.get(&identity) {
                Some(name) => named.push((name.clone(), state)),
                None => unnamed.push((identity, state)),
            }
        }
        // The one that came first by the clock of the store has the name alone. Time and origin in a record prove nothing:
        // a thief writes both.
        unnamed.sort_by_key(|(_, state)| state.arrival);
        for (identity, state) in unnamed {
            let name = match used.contains(&identity.0) {
                false => identity.0.clone(),
                true => another_name(&identity, |name| {
                    !used.contains(name) && !told.contains(name)
                }),
            };
            used.insert(name.clone());
            self.0.insert(identity, name.clone());
            named.push((name, state));
        }
        named
    }

    /// Forgets a name, whose state is gone: a new one is going to have it.
    pub fn release(&mut self, name: &str) {
        self.0.retain(|_, given| given != name);
    }
}

/// Returns the states of ours as this listing names them.
pub fn named(states: Vec<State>) -> Vec<(String, State)> {
    GivenNames::default().named(states)
}

/// Returns the states of ours. Several records of one state are one: a mark of any of them holds.
fn distinct(mut states: Vec<State>) -> BTreeMap<Identity, State> {
    states.sort_by(|one, other| one.id.cmp(&other.id));
    let mut distinct: BTreeMap<Identity, State> = BTreeMap::new();
    for state in states {
        let Some(name) = name_of(&state) else {
            continue;
        };
        match distinct.entry((name, state.tree.clone(), state.time)) {
            Entry::Vacant(place) => drop(place.insert(state)),
            Entry::Occupied(mut place) => {
                let first = place.get_mut();
                let mark = mark_of(first).or(mark_of(&state));
                first.tags = marked(first, mark);
                let arrivals = [first.arrival, state.arrival].into_iter();
                first.arrival = arrivals.flatten().min();
                first.twins.push(state.id);
            }
        }
    }
    distinct
}

/// Returns a further name for a state: two machines of one prefix may write in the same second. It goes by content and
/// time, so it does not depend on others, and a mark, which writes the record anew, does not change it.
fn another_name((told, tree, time): &Identity, is_free: impl Fn(&String) -> bool) -> String {
    let seconds = time.map(|time| time.timestamp());
    let identity =
        Digest::of(format!("{tree} {}", seconds.unwrap_or_default()).as_bytes()).to_string();
    // No export goes so high.
    let digits = identity
        .get(..5)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let number = MOST_NUMBER + 1 + digits.unwrap_or_default();
    let numbers = number..=number + 1000;
    let mut names = ArchiveName::of_file(told).into_iter().flat_map(|name| {
        let numbers = numbers.clone();
        numbers.map(move |number| name.file_name(number, Ending::Plain))
    });
    let unnumbered = || format!("{}-{identity}{}", stem_of(told), Ending::Plain.text());
    names.find(is_free).unwrap_or_else(unnumbered)
}

/// Returns the file name that the state's archive would have in another destination; `None` if it is not a state of
/// ours.
pub fn name_of(state: &State) -> Option<String> {
    if !state.tags.iter().any(|tag| tag == OURS) {
        return None;
    }
    let mut told = state
        .tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(ARCHIVE));
    if let (Some(name), None) = (told.next(), told.next())
        && can_be_named(name)
    {
        return Some(name.to_owned());
    }
    // The user of another program may write the first label.
    if !state.tags.iter().any(|tag| tag.starts_with(MANIFEST)) {
        return None;
    }
    let prefix = state.paths.first()?.trim_start_matches('/');
    let name = ArchiveName::new(prefix, state.time?).ok();
    Some(
        name.filter(|_| is_prefix(prefix))?
            .file_name(0, Ending::Plain),
    )
}

/// Returns the SHA-256 of the state's manifest, if its labels tell it.
pub fn manifest_digest(state: &State) -> Option<Digest> {
    let mut tags = state.tags.iter();
    let text = tags.find_map(|tag| tag.strip_prefix(MANIFEST))?;
    text.parse().ok()
}

/// Returns the mark of a state. One that cannot be read holds for ever.
pub fn mark_of(state: &State) -> Option<Mark> {
    let text = state.tags.iter().find_map(|tag| tag.strip_prefix(KEEP))?;
    Some(text.parse().unwrap_or(Mark::Forever))
}

/// Returns the labels of the state with another mark, or without one.
pub fn marked(state: &State, mark: Option<Mark>) -> Vec<String> {
    let mut labels = state.tags.clone();
    labels.retain(|label| !label.starts_with(KEEP));
    labels.extend(mark.map(|mark| format!("{KEEP}{}", mark.text())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::retention::Arrival;

    const NAME: &str = "web1-20261130-120000.tar.gz";

    fn state(id: &str, tree: &str, tags: &[&str]) -> State {
        State {
            id: id.to_owned(),
            time: chrono::DateTime::from_timestamp(1_796_040_000, 0),
            paths: vec!["/web1".to_owned()],
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            tree: tree.to_owned(),
            ..State::default()
        }
    }

    fn ours(id: &str, tree: &str, more: &str) -> State {
        let archive = format!("{ARCHIVE}{NAME}");
        let mut state = state(id, tree, &[OURS, "manifest=00", &archive, more]);
        state.tags.retain(|tag| !tag.is_empty());
        state
    }

    #[test]
    fn two_records_of_one_state_are_one_and_a_mark_of_either_holds() {
        let named = named(vec![ours("b", "t", "keep=forever"), ours("a", "t", "")]);
        let [(name, state)] = &*named else {
            panic!("{named:?}")
        };
        assert_eq!((&**name, &*state.id), (NAME, "a"));
        assert_eq!(state.twins, ["b"]);
        assert_eq!(mark_of(state), Some(Mark::Forever));
    }

    #[test]
    fn two_states_of_one_name_have_two_names() {
        let named = named(vec![ours("b", "u", ""), ours("a", "t", "")]);
        let names: BTreeSet<&str> = named.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names.len(), 2, "{named:?}");
        assert!(names.contains(NAME), "{named:?}");
        assert!(
            names
                .iter()
                .all(|name| ArchiveName::of_file(name).is_some())
        );
    }

    #[test]
    fn a_state_keeps_its_name_when_another_one_of_it_goes() {
        let all = || {
            vec![
                ours("a1aaa", "t", ""),
                ours("b2bbb", "u", ""),
                ours("c3ccc", "v", ""),
            ]
        };
        let mut given = GivenNames::default();
        let before = given.named(all());
        let name_of = |named: &[(String, State)], tree: &str| {
            let found = named.iter().find(|(_, state)| state.tree == tree);
            found.map(|(name, _)| name.clone())
        };
        assert_eq!(name_of(&before, "t").as_deref(), Some(NAME));
        // The record of the second one is written anew, the first one is gone.
        let left = given.named(vec![
            ours("00000", "u", "keep=forever"),
            ours("c3ccc", "v", ""),
        ]);
        assert_eq!(name_of(&left, "t"), None);
        for tree in ["u", "v"] {
            assert_eq!(name_of(&left, tree), name_of(&before, tree), "{tree}");
        }
        // A process that comes later gives the same numbers.
        let later = named(vec![ours("b2bbb", "u", ""), ours("c3ccc", "v", "")]);
        assert_eq!(name_of(&later, "u").as_deref(), Some(NAME));
        assert_eq!(name_of(&later, "v"), name_of(&before, "v"));
        given.release(NAME);
        let new = given.named(vec![ours("d4ddd", "w", ""), ours("c3ccc", "v", "")]);
        assert_eq!(name_of(&new, "w").as_deref(), Some(NAME));
    }

    #[test]
    fn a_mark_does_not_change_the_number_of_a_state() {
        let of_tree = |named: Vec<(String, State)>| {
            let found = named.into_iter().find(|(_, state)| state.tree == "u");
            found.map(|(name, _)| name).expect("a name")
        };
        let before = of_tree(named(vec![ours("a1aaa", "t", ""), ours("b2bbb", "u", "")]));
        let marked = named(vec![
            ours("a1aaa", "t", ""),
            ours("c3ccc", "u", "keep=forever"),
        ]);
        assert_eq!(of_tree(marked), before);
        assert_ne!(before, NAME);
    }

    #[test]
    fn the_state_that_came_first_has_the_name_alone_whatever_its_record_says() {
        let at = |id: &str, tree: &str, hours: i64, was_there: bool| {
            let state = ours(id, tree, "");
            let arrival = state.time.map(|time| Arrival {
                time: time + chrono::TimeDelta::hours(hours),
                was_there,
            });
            State { arrival, ..state }
        };
        let first = |states| {
            let named = named(states).into_iter();
            let mut found = named.filter(|(name, _)| name == NAME);
            found.next().map(|(_, state)| state.id)
        };
        let states = vec![at("aa", "t", 5, false), at("bb", "u", 1, false)];
        assert_eq!(first(states).as_deref(), Some("bb"));
        // A thief writes what it likes into a record: an early time, and that the state was there before.
        let mut forged = at("aa", "t", 90, true);
        forged.time = chrono::DateTime::from_timestamp(915_148_800, 0);
        for was_there in [false, true] {
            let states = vec![forged.clone(), at("bb", "u", 5, was_there)];
            assert_eq!(first(states).as_deref(), Some("bb"), "{was_there}");
        }
    }

    #[test]
    fn a_name_that_tells_no_time_gets_a_digest() {
        let archive = "archive=before.tar.gz";
        let state = |id, tree| state(id, tree, &[OURS, "manifest=00", archive]);
        let named = named(vec![state("b", "u"), state("a", "t")]);
        let names: Vec<&str> = named.iter().map(|(name, _)| &**name).collect();
        let [first, second] = &*names else {
            panic!("{names:?}")
        };
        assert_eq!(*first, "before.tar.gz");
        let digest = second
            .strip_prefix("before-")
            .and_then(|rest| rest.strip_suffix(".tar.gz"));
        assert!(
            digest.is_some_and(|text| text.parse::<Digest>().is_ok()),
            "{second}"
        );
    }

    #[test]
    fn a_name_that_no_label_can_tell_is_none_of_a_state() {
        for name in ["a,b.tar.gz", ".a.tar.gz", "a/b.tar.gz", "a\nb.tar.gz", "a"] {
            assert!(!can_be_named(name), "{name:?}");
            let archive = format!("{ARCHIVE}{name}");
            let state = state("a", "t", &[OURS, &archive]);
            assert_eq!(name_of(&state), None, "{name:?}");
        }
        assert!(can_be_named("before the move.tar.gz"));
    }

    #[test]
    fn what_another_program_labels_is_not_ours() {
        assert_eq!(name_of(&state("a", "t", &["hookshot"])), None);
        let forged = ours("a", "t", "archive=a-20200101-000000.tar.gz");
        assert_ne!(
            name_of(&forged).as_deref(),
            Some("a-20200101-000000.tar.gz")
        );
    }
}
