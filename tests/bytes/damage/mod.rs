//! Damaged and hostile archives: each is refused with its fault named, and leaves no trace.

mod bombs;
mod gzip_layer;
mod kinds;
mod listings;
mod manifest;
mod mutation;
mod paths;
mod several;
mod tar_layer;
mod truncation;

use support::forge::{self, ENTRIES, EntryType, ROOT, Tar, Xorshift, gzip, gzip_zeros};
use support::{Machine, Run, finish, tree};

use std::{cell::RefCell, collections::BTreeSet, fs, process::Command};

use hookshot::{
    archive::{self, reader::Discard},
    error::Failure,
    model::entry_name::EntryName,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The refusal that an archive must get.
#[derive(Clone, Copy)]
struct Refusal<'a> {
    code: i32,
    says: &'a [&'a str],
}

impl Refusal<'_> {
    #[track_caller]
    fn stands_in(&self, label: &str, said: &str) {
        for text in self.says {
            assert!(said.contains(text), "{label}: {text:?} is not in:\n{said}");
        }
    }
}

/// Exit code 13, and each of these stands in the message.
fn refused<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal { code: 13, says }
}

/// One class of damage, and a machine to try it on.
struct Class {
    machine: Machine,
    /// The refusals that the verbs gave already.
    tried: RefCell<BTreeSet<Vec<String>>>,
}

impl Class {
    fn new() -> Class {
        Class {
            machine: Machine::new(),
            tried: RefCell::default(),
        }
    }

    /// Gives the archive to the reader, as a file and as a stream; the first one of each refusal to the verbs too, which
    /// all have their archives from it.
    #[track_caller]
    fn check(&self, label: &str, archive: &[u8], refusal: Refusal<'_>) {
        for seekable in [false, true] {
            let error = forge::read(archive, seekable, &mut Discard).err();
            let error = error.unwrap_or_else(|| panic!("{label}: accepted"));
            let Failure {
                kind,
                message,
                faults,
                ..
            } = Failure::of(&error);
            let said = format!("{message}\n{}", faults.join("\n"));
            assert_eq!(i32::from(kind.code()), refusal.code, "{label}: {said}");
            refusal.stands_in(label, &said);
        }
        let says = refusal.says.iter().map(ToString::to_string).collect();
        if self.tried.borrow_mut().insert(says) {
            check_with_program(&self.machine, label, archive, refusal);
        }
    }
}

/// Gives the archive to the verbs that people trust with one, as a file and as a stream, and looks for traces.
#[track_caller]
fn check_with_program(machine: &Machine, label: &str, archive: &[u8], refusal: Refusal<'_>) {
    fs::write(machine.path("out/hostile.tar.gz"), archive).expect("written");
    let before = tree(&machine.path(""));
    let import = machine.run(&["import", "hostile.tar.gz"]);
    expect(label, &import, &import.stderr, refusal);
    let stream = machine.run_with(&["import", "-"], archive);
    expect(label, &stream, &stream.stderr, refusal);
    let verify = machine.run(&["verify", "--json", "hostile.tar.gz"]);
    expect(label, &verify, &faults(&verify), refusal);
    assert!(
        tree(&machine.path("")) == before,
        "{label}: something changed on the machine"
    );
}

#[track_caller]
fn expect(label: &str, run: &Run, said: &str, refusal: Refusal<'_>) {
    assert_eq!(
        run.code,
        refusal.code,
        "{label}: {}{}",
        run.text(),
        run.stderr
    );
    refusal.stands_in(label, said);
}

/// The faults of the one archive that `verify --json` looked at, one in each line.
#[track_caller]
fn faults(verify: &Run) -> String {
    let report = verify.json();
    let archive = &report["archives"][0];
    assert_eq!(archive["good"], json!(false), "{report}");
    let lines: Vec<&str> = archive["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| fault.as_str().expect("a text"))
        .collect();
    lines.join("\n")
}

/// The faults that the library names; `None` where it accepts the archive.
fn refusal_of(archive: &[u8], seekable: bool) -> Option<String> {
    let error = forge::read(archive, seekable, &mut Discard).err()?;
    Some(format!("{error:#}"))
}

#[test]
fn what_the_forge_makes_is_good_where_nothing_is_wrong() {
    let machine = Machine::new();
    machine.write("out/good.tar.gz", Tar::good(&ENTRIES).gzip(), 0o600);
    machine.write("out/own.tar.gz", forge::written(&ENTRIES), 0o600);
    machine
        .run(&["verify", "good.tar.gz", "own.tar.gz"])
        .exits(0);
    machine.run(&["import", "good.tar.gz"]).exits(0);
    assert_eq!(machine.read("etc/secrets"), ENTRIES[0].1);
    assert!(machine.path("etc/.hookshot").exists() || machine.path("data/.hookshot").exists());
}

fn good() -> Tar {
    Tar::good(&ENTRIES)
}
