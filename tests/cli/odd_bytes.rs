//! Paths with bytes that are not UTF-8: every verb that takes a path takes them, and JSON has them percent-encoded.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use serde_json::Value;

use support::{Machine, Run, finish};

/// The name of the odd folder in JSON.
const ESCAPED: &str = "odd%FF%25";

fn odd() -> &'static OsStr {
    OsStr::from_bytes(b"odd\xff%")
}

fn run(machine: &Machine, words: &[&OsStr]) -> Run {
    let mut command = machine.command();
    command.args(words).arg("--json");
    finish(command, b"")
}

/// Every value of JSON whose key ends with `_escaped`, by its key.
fn escaped(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key.ends_with("_escaped") {
                    found.push((key.clone(), value.to_string()));
                }
                escaped(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| escaped(item, found)),
        _ => {}
    }
}

#[test]
fn every_verb_takes_a_folder_whose_name_is_not_utf_8() {
    let machine = Machine::new();
    machine.export("good-20260101-000000.tar.gz");
    let good = machine.path("out").join("good-20260101-000000.tar.gz");
    let folder = machine.path("out").join(odd());
    fs::create_dir(&folder).expect("a folder");
    let name = "hookshot-state-20260102-000000.tar.gz";
    fs::copy(&good, folder.join(name)).expect("an archive");
    let inside = folder.join(name);
    let slash = |path: &Path| {
        let mut word = path.as_os_str().to_owned();
        word.push("/");
        word
    };
    let empty = machine.path("out").join(OsStr::from_bytes(b"new\xfe"));
    let root = machine.path("out").join(OsStr::from_bytes(b"root\xfe"));
    let (folder_slash, empty) = (slash(&folder), slash(&empty));
    let word = |text: &str| OsString::from(text);
    let path = |path: &Path| path.as_os_str().to_owned();
    for (words, key) in [
        (vec![word("list"), path(&folder)], "location_escaped"),
        (
            vec![word("list"), word("--long"), folder_slash.clone()],
            "destination_escaped",
        ),
        (vec![word("keep"), path(&inside)], "archive_escaped"),
        (
            vec![word("keep"), path(&inside), word("--remove")],
            "archive_escaped",
        ),
        (
            vec![word("copy"), path(&folder), empty.clone()],
            "from_escaped",
        ),
        (
            vec![word("copy"), path(&inside), empty.clone()],
            "to_escaped",
        ),
        (
            vec![
                word("prune"),
                path(&folder),
                word("--keep-last"),
                word("1"),
                word("--dry-run"),
            ],
            "destination_escaped",
        ),
        (
            vec![
                word("prune"),
                word("simulate"),
                path(&folder),
                word("--days"),
                word("3"),
                word("--keep-last"),
                word("1"),
            ],
            "",
        ),
        (vec![word("check"), path(&folder)], "location_escaped"),
        (vec![word("verify"), path(&folder)], "archive_escaped"),
        (vec![word("verify"), path(&inside)], "archive_escaped"),
        (vec![word("inspect"), path(&inside)], "archive_escaped"),
        (vec![word("diff"), path(&inside)], ""),
        (vec![word("diff"), path(&inside), path(&good)], ""),
        (
            vec![
                word("extract"),
                path(&inside),
                word("secrets"),
                word("-o"),
                slash(&root),
            ],
            "path_escaped",
        ),
        (
            vec![word("export"), folder_slash.clone()],
            "archive_escaped",
        ),
        (
            vec![
                word("export"),
                path(&folder.join("x.tar.gz")),
                word("--since"),
                path(&inside),
            ],
            "archive_escaped",
        ),
        (
            vec![word("import"), path(&inside), word("--dry-run")],
            "archive_escaped",
        ),
        (
            vec![
                word("import"),
                path(&inside),
                word("--dry-run"),
                word("--root"),
                path(&root),
            ],
            "target_escaped",
        ),
    ] {
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        let ran = run(&machine, &words);
        assert_eq!(ran.code, 0, "{words:?}: {}{}", ran.text(), ran.stderr);
        let mut found = Vec::new();
        escaped(&ran.json(), &mut found);
        let has_key = found.iter().any(|(found, _)| found == key);
        assert!(
            has_key || key.is_empty(),
            "{words:?}: {key} of {}",
            ran.text()
        );
        let is_ours = |text: &str| {
            ["odd%FF%25", "new%FE", "root%FE"]
                .iter()
                .any(|odd| text.contains(odd))
        };
        assert!(
            found.iter().all(|(_, text)| is_ours(text)),
            "{words:?}: {found:?}"
        );
    }
    let list = run(&machine, &["list".as_ref(), folder.as_os_str()])
        .exits(0)
        .json();
    let archives = list["archives"].as_array().expect("archives");
    let is_found = |archive: &Value| {
        let location = archive["location_escaped"].as_str();
        location.is_some_and(|location| location.ends_with(&format!("/{ESCAPED}/{name}")))
    };
    assert!(archives.iter().any(is_found), "{list}");
    assert!(
        Path::new(&empty).join(name).is_file(),
        "the copy is where it was asked for"
    );
}

#[test]
fn of_several_places_the_odd_one_that_fails_is_named_too() {
    let machine = Machine::new();
    machine.export("hookshot-state-20260101-000000.tar.gz");
    let (good, missing) = (machine.path("out"), machine.path("out").join(odd()));
    let ran = run(
        &machine,
        &["list".as_ref(), good.as_os_str(), missing.as_os_str()],
    );
    let failed = &ran.exits(3).json()["failed"][0];
    let said = failed["destination_escaped"].as_str().expect("a path");
    assert!(said.ends_with(ESCAPED), "{said}");
}

#[test]
fn no_word_that_looks_like_a_place_elsewhere_becomes_a_folder_for_its_bytes() {
    let machine = Machine::new();
    let good = machine.export("hookshot-state-20260101-000000.tar.gz");
    for word in [
        &b"s3:b\xff/"[..],
        b"s3://b\xff/",
        b"host:/x\xff/",
        b"sftp://h/x\xff/",
        b"@off\xff",
        b"file:///x\xff/",
    ] {
        let word = OsStr::from_bytes(word);
        for words in [
            vec!["list".as_ref(), word],
            vec!["check".as_ref(), word],
            vec!["prune".as_ref(), word, "--keep-last".as_ref(), "1".as_ref()],
            vec!["copy".as_ref(), good.as_ref(), word],
            vec!["copy".as_ref(), word, ".".as_ref()],
            vec!["keep".as_ref(), word],
            vec!["export".as_ref(), word],
            vec!["verify".as_ref(), word],
            vec![
                "extract".as_ref(),
                good.as_ref(),
                "secrets".as_ref(),
                "-o".as_ref(),
                word,
            ],
        ] {
            if words[0] == "extract" && word.as_bytes().starts_with(b"@") {
                continue;
            }
            let ran = run(&machine, &words);
            assert_eq!(ran.code, 2, "{words:?}: {}{}", ran.text(), ran.stderr);
        }
    }
    let mut names = fs::read_dir(machine.path("out"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name());
    assert!(names.all(|name| name == "hookshot-state-20260101-000000.tar.gz"));
}

#[test]
fn an_archive_whose_own_name_is_not_utf_8_is_neither_copied_nor_marked() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    let odd = machine.path("out").join(OsStr::from_bytes(b"n\xff.tar.gz"));
    fs::rename(machine.path("out").join(good), &odd).expect("another name");
    let copied = run(
        &machine,
        &["copy".as_ref(), odd.as_os_str(), "to/".as_ref()],
    )
    .exits(2);
    assert!(
        copied.text().contains("rename the archive first"),
        "{}",
        copied.text()
    );
    let kept = run(&machine, &["keep".as_ref(), odd.as_os_str()]).exits(2);
    assert!(kept.text().contains("needs no mark"), "{}", kept.text());
}

#[test]
fn a_configuration_never_names_another_folder_than_was_asked_for() {
    let machine = Machine::empty();
    let config = machine.path("new/config.toml");
    let data = machine.path("").join(odd());
    let ran = run(
        &machine,
        &[
            "init".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
            "--data-dir".as_ref(),
            data.as_os_str(),
        ],
    );
    assert!(ran.exits(2).text().contains("not UTF-8"));
    assert!(!config.exists());
    let ran = run(&machine, &["demo".as_ref(), data.as_os_str()]);
    assert!(ran.exits(2).text().contains("not UTF-8"));
    assert!(!data.exists());
}

/// The journal keeps such paths too, so that the import is done or undone whole.
#[test]
fn an_import_below_a_root_that_is_not_utf_8_is_done_and_undone() {
    let machine = Machine::new();
    machine.export("one.tar.gz");
    machine.write("etc/services.toml", "[services.other]\n", 0o644);
    machine.export("two.tar.gz");
    let root = machine.path("out").join(OsStr::from_bytes(b"root\xfe"));
    let words = |verb: &'static str, more: &'static str| {
        let words = [
            OsStr::new(verb),
            OsStr::new("--root"),
            root.as_os_str(),
            OsStr::new(more),
        ];
        words
            .into_iter()
            .filter(|word| !word.is_empty())
            .map(OsStr::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |words: Vec<OsString>| {
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        run(&machine, &words)
    };
    run(words("import", "one.tar.gz")).exits(0);
    let inside = root.join(
        machine
            .path("etc/services.toml")
            .strip_prefix("/")
            .expect("absolute"),
    );
    let first = fs::read(&inside).expect("restored");
    let mut rehearsal = words("import", "two.tar.gz");
    rehearsal.push("--dry-run".into());
    run(rehearsal).exits(0);
    run(words("import", "two.tar.gz")).exits(0);
    assert_ne!(fs::read(&inside).expect("replaced"), first);
    run(words("rollback", "")).exits(0);
    assert_eq!(fs::read(&inside).expect("back"), first);
}
