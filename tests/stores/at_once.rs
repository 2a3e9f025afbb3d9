//! Exports at the same moment are as many archives, wherever they go.

use support::servers::{Moto, Sshd};
use support::{Machine, Run, finish};

use std::{collections::BTreeSet, fs};

/// The number of exports at once.
const MANY: usize = 6;

/// Begins exports to `output` so that they name their archives at the same moment: each waits for a file in a command of
/// its own. `@store` is the destination that `store` configures. Returns what came of each.
fn at_once(machine: &Machine, output: &str, store: &str, prefixes: &[&str]) -> Vec<Run> {
    at_once_of(machine, output, store, prefixes, "$$")
}

/// The same of what `echo` makes of `content`, and nothing else.
fn at_once_of(
    machine: &Machine,
    output: &str,
    store: &str,
    prefixes: &[&str],
    content: &str,
) -> Vec<Run> {
    let destination = match store {
        "" => String::new(),
        store => format!("[backup.destinations.store]\n{store}\n"),
    };
    for prefix in prefixes {
        let text = format!(
            "[backup]\nprefix = \"{prefix}\"\n{destination}\n[[backup.sources]]\nname = \"d\"\nkind = \"command\"\nexport = \"echo {content}; while [ ! -e {} ]; do sleep 0.01; done\"\n",
            machine.path("tmp/go").display()
        );
        machine.write(&format!("etc/{prefix}.toml"), text, 0o600);
    }
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..MANY)
            .map(|number| {
                let prefix = prefixes[number % prefixes.len()];
                let mut command = machine.command();
                command
                    .args(["export", output, "--json", "--config"])
                    .arg(machine.path(&format!("etc/{prefix}.toml")));
                scope.spawn(move || finish(command, b""))
            })
            .collect();
        // All of them wait by then, or come a little later: the test cannot fail by that.
        std::thread::sleep(std::time::Duration::from_millis(700));
        fs::write(machine.path("tmp/go"), "").expect("written");
        runs.into_iter()
            .map(|run| run.join().expect("an end"))
            .collect()
    })
}

fn names(runs: Vec<Run>) -> BTreeSet<String> {
    let name = |run: Run| {
        let report = run.exits(0).json();
        let archive = report["archive"].as_str().expect("a name").to_owned();
        let root = report["root"].as_str().expect("a root");
        let file = archive.rsplit('/').next().expect("a name");
        assert!(file.starts_with(root), "{report}");
        archive
    };
    runs.into_iter().map(name).collect()
}

#[test]
fn six_exports_at_once_into_one_folder_are_six_archives() {
    let machine = Machine::empty();
    let names = names(at_once(&machine, "all/", "", &["x"]));
    assert_eq!(names.len(), MANY, "{names:?}");
    for name in &names {
        machine.run(&["verify", name]).exits(0);
    }
    let folder = machine.path("out/all").read_dir().expect("a folder");
    assert_eq!(folder.count(), MANY);
}

#[test]
fn six_exports_at_once_under_two_prefixes_are_six_archives() {
    let machine = Machine::empty();
    let names = names(at_once(&machine, "all/", "", &["x", "y"]));
    assert_eq!(names.len(), MANY, "{names:?}");
}

/// A store that knows conditional writes: no export gets the name of another.
#[test]
fn six_exports_at_once_to_one_bucket_are_six_archives() {
    let Some(store) = Moto::start() else { return };
    let machine = Machine::empty();
    let runs = at_once(&machine, "@store", &store.destination(), &["x"]);
    let names = names(runs);
    assert_eq!(names.len(), MANY, "{names:?}");
    let kept = store.objects();
    assert_eq!(kept.len(), MANY, "{kept:?}");
}

/// A name that is taken is another's, though the archive of that name may be the same to the byte.
#[test]
fn six_exports_of_the_same_state_to_one_bucket_are_six_archives() {
    let Some(store) = Moto::start() else { return };
    let machine = Machine::empty();
    let runs = at_once_of(&machine, "@store", &store.destination(), &["x"], "same");
    let names = names(runs);
    assert_eq!(names.len(), MANY, "{names:?}");
    let kept = store.objects();
    assert_eq!(kept.len(), MANY, "{kept:?}");
}

#[test]
fn six_exports_at_once_to_one_server_are_six_archives() {
    let Some(store) = Sshd::start() else { return };
    let machine = Machine::empty();
    let runs = at_once(&machine, "@store", &store.destination(), &["x"]);
    let names = names(runs);
    assert_eq!(names.len(), MANY, "{names:?}");
}
