//! Archives that end too early.

use super::*;

/// Returns true if a message names the early end: of the tar, if the cut falls between two members.
fn names_the_end(said: &str) -> bool {
    said.contains("truncated: ") || said.contains("damaged tar: it ends ")
}

/// Gives each cut to the library, all of them to one `verify`, and the first, the middle and the last to `import`.
#[track_caller]
fn check(machine: &Machine, archive: &[u8], cuts: &[usize]) {
    for at in cuts {
        for seekable in [false, true] {
            let said = refusal_of(&archive[..*at], seekable);
            let said = said.unwrap_or_else(|| panic!("accepted when cut at {at}"));
            assert!(names_the_end(&said), "cut at {at}: {said}");
        }
    }
    verify_all(machine, archive, cuts);
    for at in [cuts[0], cuts[cuts.len() / 2], cuts[cuts.len() - 1]] {
        machine.write("out/cut.tar.gz", &archive[..at], 0o600);
        let before = tree(&machine.path(""));
        let import = machine.run(&["import", "cut.tar.gz"]);
        assert_eq!(import.code, 13, "cut at {at}: {}", import.stderr);
        assert!(
            names_the_end(&import.stderr),
            "cut at {at}: {}",
            import.stderr
        );
        assert!(
            tree(&machine.path("")) == before,
            "cut at {at}: something changed on the machine"
        );
    }
}

/// All cuts in one run of `verify`, which looks at every archive that it is given.
fn verify_all(machine: &Machine, archive: &[u8], cuts: &[usize]) {
    let mut arguments = vec!["verify".to_owned(), "--json".to_owned()];
    for at in cuts {
        machine.write(&format!("out/cut-{at}"), &archive[..*at], 0o600);
        arguments.push(format!("cut-{at}"));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = machine.run(&arguments).exits(13).json();
    let archives = report["archives"].as_array().expect("a list");
    assert_eq!(archives.len(), cuts.len());
    for found in archives {
        assert_eq!(found["good"], json!(false), "{found}");
        assert!(names_the_end(&found["faults"].to_string()), "{found}");
    }
}

#[test]
fn an_archive_that_lacks_any_number_of_its_last_bytes_is_refused() {
    let machine = Machine::new();
    machine.export("whole.tar.gz");
    let archive = machine.read("out/whole.tar.gz");
    let cuts: Vec<usize> = (1..=64).map(|count| archive.len() - count).collect();
    check(&machine, &archive, &cuts);
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    let machine = Machine::new();
    machine.export("whole.tar.gz");
    let archive = machine.read("out/whole.tar.gz");
    let cuts: Vec<usize> = (0..200).map(|place| place * archive.len() / 200).collect();
    check(&machine, &archive, &cuts);
}

#[test]
fn an_archive_that_is_cut_between_two_gzip_members_is_refused() {
    let machine = Machine::new();
    machine.write("etc/secrets", Xorshift::new(1).bytes(3 << 20), 0o600);
    machine.export("whole.tar.gz");
    let archive = machine.read("out/whole.tar.gz");
    let members = forge::members(&archive);
    assert!(members.len() > 8, "{members:?}");
    let cuts: Vec<usize> = members.iter().map(|member| member.start).collect();
    check(&machine, &archive, &cuts);
}

#[test]
fn every_single_cut_of_a_small_archive_is_refused_from_a_file_and_from_a_stream() {
    for archive in [forge::written(&ENTRIES), Tar::good(&ENTRIES).gzip()] {
        for at in 0..archive.len() {
            for seekable in [false, true] {
                let said = refusal_of(&archive[..at], seekable);
                let said = said.unwrap_or_else(|| panic!("accepted when cut at {at}"));
                assert!(names_the_end(&said), "cut at {at}: {said}");
            }
        }
    }
}
