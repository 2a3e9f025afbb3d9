//! Random histories of changes, exports, imports and rollbacks against a model that is nothing but maps.

use support::{Content, Machine, Targets};

use std::fs;

use proptest::prelude::*;

const DATABASE: &str = "data/state.redb";

/// One thing that happens to a machine.
#[derive(Debug, Clone)]
enum Event {
    Edit(&'static str, u8),
    Deploy(usize),
    LoseSecrets,
    Crash,
    Export,
    Import(prop::sample::Index),
    DryRun(prop::sample::Index),
    ImportDamaged(prop::sample::Index, prop::sample::Index),
    Rollback,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (prop::sample::select(vec!["etc/config.toml", "etc/services.toml", "etc/secrets"]), any::<u8>()).prop_map(|(name, number)| Event::Edit(name, number)),
        2 => (1..40usize).prop_map(Event::Deploy),
        1 => Just(Event::LoseSecrets),
        1 => Just(Event::Crash),
        3 => Just(Event::Export),
        4 => any::<prop::sample::Index>().prop_map(Event::Import),
        1 => any::<prop::sample::Index>().prop_map(Event::DryRun),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(archive, at)| Event::ImportDamaged(archive, at)),
        3 => Just(Event::Rollback),
    ]
}

/// The knowledge of the model: the content of each archive, and the targets that the last transaction replaced.
#[derive(Default)]
struct Model {
    archives: Vec<(String, Targets)>,
    undo: Option<Targets>,
}

impl Model {
    /// The state after an import: an archive without secrets leaves the secrets alone.
    fn imported(now: &Targets, archive: &Targets) -> Targets {
        let merge = |(name, file): (&&'static str, &Option<(u32, Content)>)| {
            (*name, archive[name].clone().or_else(|| file.clone()))
        };
        now.iter().map(merge).collect()
    }

    /// Returns the targets that an undo of the transaction from `before` to `after` must bring back.
    fn changed(before: &Targets, after: &Targets) -> Option<Targets> {
        let changed: Targets = before
            .iter()
            .filter(|(name, file)| after[*name] != **file)
            .map(|(name, file)| (*name, file.clone()))
            .collect();
        (!changed.is_empty()).then_some(changed)
    }
}

/// Returns true if the database was left as it is because it holds the archived commit, in a file of other bytes.
fn holds_it_already(machine: &Machine, before: &Targets, archive: &str) -> bool {
    if machine.targets()[DATABASE] != before[DATABASE] {
        return false;
    }
    let compared = machine.run(&["diff", archive, "--json"]).json();
    let entries = compared["entries"].as_array().expect("entries");
    let mut entries = entries.iter();
    entries.any(|entry| entry["entry"] == "state.redb" && entry["state"] == "unchanged")
}

fn happen(machine: &Machine, model: &mut Model, event: &Event) -> Result<(), TestCaseError> {
    let before = machine.targets();
    let pick = |index: &prop::sample::Index| {
        (!model.archives.is_empty())
            .then(|| model.archives[index.index(model.archives.len())].clone())
    };
    match event {
        Event::Edit("etc/config.toml", number) => machine.write(
            "etc/config.toml",
            machine.config_text(&format!("# {number}\n")),
            0o644,
        ),
        Event::Edit(name, number) => machine.write(name, format!("# {number}\n"), 0o600),
        Event::Deploy(count) => machine.fill_database(*count),
        Event::LoseSecrets => drop(fs::remove_file(machine.path("etc/secrets"))),
        Event::Crash => machine.crash_service(),
        Event::Export => {
            let name = format!("{}.tar.gz", model.archives.len());
            machine.run(&["export", &name]).exits(0);
            prop_assert_eq!(machine.targets(), before.clone());
            // A database that no process closed is archived as it is after its repair.
            let archived = machine
                .run(&["extract", &name, "state.redb", "-o", "-"])
                .exits(0)
                .stdout;
            let mut content = before;
            let archived = Some((machine.mode(DATABASE), Content(archived)));
            content.insert(DATABASE, archived);
            model.archives.push((name, content));
        }
        Event::Import(index) => {
            let Some((name, content)) = pick(index) else {
                return Ok(());
            };
            machine.run(&["import", &name]).exits(0);
            let mut expected = Model::imported(&before, &content);
            if holds_it_already(machine, &before, &name) {
                expected.insert(DATABASE, before[DATABASE].clone());
            }
            prop_assert_eq!(machine.targets(), expected.clone());
            // An import that changes nothing is the last one too: there is nothing to undo.
            model.undo = Model::changed(&before, &expected);
        }
        Event::DryRun(index) => {
            let Some((name, _)) = pick(index) else {
                return Ok(());
            };
            let state = machine.state();
            machine.run(&["import", &name, "--dry-run"]).exits(0);
            prop_assert_eq!(machine.state(), state);
        }
        Event::ImportDamaged(index, at) => {
            let Some((name, _)) = pick(index) else {
                return Ok(());
            };
            let mut bytes = machine.read(&format!("out/{name}"));
            bytes.truncate(at.index(bytes.len()));
            machine.write("out/damaged.tar.gz", bytes, 0o600);
            let state = machine.state();
            machine
                .run(&["import", "damaged.tar.gz", "--force"])
                .exits(13);
            prop_assert_eq!(machine.state(), state);
        }
        Event::Rollback => {
            let Some(undo) = model.undo.take() else {
                machine.run(&["rollback"]).exits(10);
                prop_assert_eq!(machine.targets(), before);
                return Ok(());
            };
            machine.run(&["rollback"]).exits(0);
            let mut expected = before.clone();
            expected.extend(undo.clone());
            prop_assert_eq!(machine.targets(), expected.clone());
            // The next rollback brings back what this one replaced; one that replaced nothing leaves all as it was.
            model.undo = Model::changed(&before, &expected).or(Some(undo));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_history_breaks_a_promise(events in proptest::collection::vec(event(), 1..16)) {
        let machine = Machine::new();
        let mut model = Model::default();
        for event in &events {
            happen(&machine, &mut model, event)?;
            let litter: Vec<_> = machine.state().into_keys().filter(|name| name.to_string_lossy().contains(".hookshot-")).collect();
            prop_assert!(litter.is_empty(), "{:?}", litter);
        }
    }
}

/// The database that a repair made holds the commit that the second archive has with other bytes.
#[test]
fn an_archive_of_what_an_import_repaired_changes_nothing() {
    let machine = Machine::new();
    let mut model = Model::default();
    let mut now = |event| happen(&machine, &mut model, &event).expect("as the model says");
    now(Event::Crash);
    now(Event::Export);
    machine.run(&["import", "0.tar.gz"]).exits(0);
    now(Event::Export);
    let before = machine.targets();
    let said = machine
        .run(&["import", "1.tar.gz", "--json"])
        .exits(0)
        .json();
    let steps = said["steps"].as_array().expect("steps");
    assert!(
        steps.iter().all(|step| step["action"] == "unchanged"),
        "{said}"
    );
    assert_eq!(machine.targets(), before);
}
