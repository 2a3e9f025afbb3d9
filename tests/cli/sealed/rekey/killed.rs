//! `rekey` that is killed: at every moment each archive is there, and the next run ends the work.

use std::{collections::BTreeSet, fs};

use support::Run;

use super::{ONE, TWO, Vault, set};
use crate::sealed::{can_trace, traced};

/// The calls that give a file its name, or take it away.
const NAMING: &str = "link,linkat,unlink,unlinkat,rename,renameat,renameat2";

/// Runs hookshot under strace(1), which kills it right before it names or removes this file of the destination.
fn killed(vault: &Vault, arguments: &[&str], file: &str) -> Run {
    let (path, key) = (
        vault.path(&format!("vault/{file}")),
        vault.path("stays.key"),
    );
    let trace = format!("trace={NAMING}");
    let inject = format!("inject={NAMING}:signal=KILL");
    let options = ["-o", "/dev/null", "-P", &path, "-e", &trace, "-e", &inject];
    let arguments = [arguments, &["--identity", &key]].concat();
    traced(&vault.machine, &options, &arguments)
}

#[test]
fn a_run_that_is_killed_at_any_step_leaves_every_archive_readable_and_the_next_one_ends_it() {
    if !can_trace() {
        return;
    }
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    vault
        .machine
        .run(&["keep", &format!("@vault/{ONE}.tar.gz.age")])
        .exits(0);
    let names = vault.names();
    let kept = names.iter().map(|name| {
        let content = vault.machine.read(&format!("vault/{name}"));
        (name.clone(), content)
    });
    let kept: Vec<(String, Vec<u8>)> = kept.collect();
    let reset = || {
        fs::remove_dir_all(vault.machine.path("vault")).expect("removed");
        fs::create_dir(vault.machine.path("vault")).expect("a folder");
        for (name, content) in &kept {
            vault
                .machine
                .write(&format!("vault/{name}"), content, 0o600);
        }
    };
    let labels = |keys: &[&str]| -> BTreeSet<String> {
        let names = vault.names().into_iter();
        let archives = names.filter(|name| name.ends_with(".age") && !name.starts_with('.'));
        // A small archive is read and verified completely.
        let label = |name: String| {
            let word = format!("@vault/{name}");
            let run = vault.run(keys, &["inspect", &word, "--json"]);
            let told = run.json()["manifest"]["tags"]["n"].as_str()?.to_owned();
            (run.code == 0).then_some(told)
        };
        archives.filter_map(label).collect()
    };
    let arguments = vault.replace(&["--yes"]);
    let steps = [
        format!("{ONE}.1.tar.gz.age"),
        format!("{ONE}.1.tar.gz.age.keep"),
        format!("{ONE}.tar.gz.age"),
        format!("{ONE}.tar.gz.age.keep"),
        format!("{TWO}.1.tar.gz.age"),
        format!("{TWO}.tar.gz.age"),
    ];
    for at in &steps {
        reset();
        killed(&vault, &arguments, at).exits(-1);
        // The key that stays opens all of it, whatever it is sealed for.
        assert_eq!(labels(&["stays"]), set(&["one", "two"]), "{at}");
        let left = vault.names();
        let is_old = |name: &str| left.contains(&format!("{name}.tar.gz.age"));
        let is_new = |name: &str| left.contains(&format!("{name}.1.tar.gz.age"));
        assert!(is_old(ONE) || is_new(ONE), "{at}: {left:?}");
        let marked = [ONE, &format!("{ONE}.1")].map(|name| format!("{name}.tar.gz.age.keep"));
        let is_kept = |name: &String| left.contains(name.trim_end_matches(".keep"));
        let mut marks = marked.iter().filter(|name| left.contains(*name));
        assert!(marks.any(is_kept), "{at}: {left:?}");
        vault.run(&["stays"], &arguments).exits(0);
        assert_eq!(labels(&["comes"]), set(&["one", "two"]), "{at}");
        let names = vault.names();
        let archives: Vec<&String> = names.iter().filter(|name| name.ends_with(".age")).collect();
        assert_eq!(archives.len(), 2, "{at}: {names:?}");
        assert!(names.contains(&steps[1]), "{at}: {names:?}");
        assert!(
            !names.iter().any(|name| name.starts_with('.')),
            "{at}: {names:?}"
        );
    }
    assert_eq!(labels(&["leaves"]), set(&[]));
}
