//! Random histories of changes, exports, imports and rollbacks against a model that is nothing but maps.
#![expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]

mod support;

use std::fs;

use proptest::prelude::*;
use support::{Content, Machine, Targets};

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

/// What the model knows: what each archive holds, and what the last transaction replaced.
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

    /// What a transaction from `before` to `after` would have to bring back.
    fn changed(before: &Targets, after: &Targets) -> Option<Targets> {
        let changed: Targets = before
            .iter()
            .filter(|(name, file)| after[*name] != **file)
            .map(|(name, file)| (*name, file.clone()))
            .collect();
        (!changed.is_empty()).then_some(changed)
    }
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
            // A database that nobody had closed is archived as it is after its repair.
            let archived = machine
                .run(&["extract", &name, "state.redb", "-o", "-"])
                .exits(0)
                .stdout;
            let mut content = before;
            content.insert(
                "data/state.redb",
                Some((machine.mode("data/state.redb"), Content(archived))),
            );
            model.archives.push((name, content));
        }
        Event::Import(index) => {
            let Some((name, content)) = pick(index) else {
                return Ok(());
            };
            machine.run(&["import", &name]).exits(0);
            let expected = Model::imported(&before, &content);
            prop_assert_eq!(machine.targets(), expected.clone());
            // An import that changes nothing leaves nothing to undo, and the one before it is still to be undone.
            if let Some(changed) = Model::changed(&before, &expected) {
                model.undo = Some(changed);
            }
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
