//! The options that select archives of a destination, and the newest archive with a label.

use support::Machine;

use std::fs;

use serde_json::Value;

/// A machine with a configured destination that holds five archives, and the names of these, the newest first.
///
/// | name | label | hostname |
/// |---|---|---|
/// | `hookshot-state-20250110-030000` | `why=upgrade` | this machine's |
/// | `hookshot-state-20250109-030000` | | this machine's |
/// | `hookshot-state-20250102-030000` | `why=upgrade`, `name=two words` | this machine's |
/// | `hookshot-state-20241201-000000` | | this machine's |
/// | `elsewhere-20250110-040000` | `why=upgrade` | this machine's |
fn shelf() -> (Machine, Vec<String>) {
    let machine = Machine::new();
    let shelf = machine.path("shelf");
    let more = format!(
        "[backup]\nto = [\"shelf\"]\n[backup.destinations.shelf]\nurl = \"{}\"\n",
        shelf.display()
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o644);
    fs::create_dir(&shelf).expect("a folder");
    let mut names = Vec::new();
    let archives: [(&str, &[&str]); 5] = [
        ("hookshot-state-20250110-030000", &["why=upgrade"]),
        ("hookshot-state-20250109-030000", &[]),
        (
            "hookshot-state-20250102-030000",
            &["why=upgrade", "name=two words"],
        ),
        ("hookshot-state-20241201-000000", &[]),
        ("elsewhere-20250110-040000", &["why=upgrade"]),
    ];
    for (name, tags) in archives {
        let name = format!("{name}.tar.gz");
        let path = shelf.join(&name);
        let mut arguments = vec!["export", path.to_str().expect("UTF-8"), "--no-since"];
        for tag in tags {
            arguments.extend(["--tag", tag]);
        }
        machine.run(&arguments).exits(0);
        names.push(name);
    }
    (machine, names)
}

/// The names of the archives that `list` shows with these options.
fn listed(machine: &Machine, options: &[&str]) -> (Vec<String>, Value) {
    let arguments = [&["--json", "list"], options].concat();
    let json = machine.run(&arguments).exits(0).json();
    let archives = json["archives"].as_array().expect("archives").iter();
    let names = archives.map(|one| one["name"].as_str().expect("a name").to_owned());
    (names.collect(), json["filtered"].clone())
}

#[test]
fn a_list_shows_what_fits_all_filters() {
    let (machine, names) = shelf();
    let cases: [(&[&str], &[usize]); 14] = [
        (&[], &[0, 1, 2, 3]),
        (&["--since", "2025-01-09"], &[0, 1]),
        (&["--since", "2025-01-09T03:00:01Z"], &[0]),
        (&["--until", "2025-01-02"], &[2, 3]),
        (&["--until", "2025-01-01"], &[3]),
        (&["--since", "2025-01-02", "--until", "2025-01-09"], &[1, 2]),
        (&["--last", "2"], &[0, 1]),
        (&["--tag", "why=upgrade"], &[0, 2]),
        (&["--tag", "why=upgrade", "--last", "1"], &[0]),
        (&["--tag", "why=upgrade", "--tag", "name=two words"], &[2]),
        (&["--tag", "why=upgrad"], &[]),
        (
            &["--all-hosts", "--tag", "why=upgrade", "--long"],
            &[4, 0, 2],
        ),
        (&["--host", "no-such-host"], &[]),
        (&["--app", "no-such-app"], &[]),
    ];
    for (options, expected) in cases {
        let (found, filtered) = listed(&machine, options);
        let expected: Vec<String> = expected.iter().map(|at| names[*at].clone()).collect();
        assert_eq!(found, expected, "{options:?}");
        let is_everyone = ["--all-hosts", "--host", "--app"]
            .iter()
            .any(|option| options.contains(option));
        let all = if is_everyone { 5 } else { 4 };
        assert_eq!(filtered, all - expected.len(), "{options:?}");
    }
    let host = machine.run(&["--json", "list", "--long"]).exits(0).json();
    let host = host["archives"][0]["hostname"]
        .as_str()
        .expect("a host")
        .to_owned();
    // Another prefix on the same machine.
    let (found, _) = listed(&machine, &["--host", &host, "--since", "2025-01-10"]);
    assert_eq!(found, [names[4].clone(), names[0].clone()]);
    let none = machine
        .run(&["list", "--since", "2028-01-01"])
        .exits(0)
        .text();
    assert!(
        none.contains("no archives found that fit the filters; 4 do not"),
        "{none}"
    );
    for wrong in [
        ["--since", "2025"],
        ["--until", "soon"],
        ["--last", "0"],
        ["--tag", "why"],
    ] {
        machine.run(&[&["list"], &wrong[..]].concat()).exits(2);
    }
    for wrong in ["0", "-1", "few"] {
        machine
            .run(&["list", &format!("--last={wrong}")])
            .exits(2)
            .says("the number of archives is 1 or more");
    }
}

#[test]
fn an_archive_whose_manifest_cannot_be_read_may_fit_and_is_named() {
    let (machine, names) = shelf();
    let path = machine.path("shelf").join(&names[2]);
    let content = fs::read(&path).expect("it");
    fs::write(&path, &content[..content.len() - 9]).expect("cut");
    let run = machine
        .run(&["--json", "list", "--tag", "why=upgrade"])
        .exits(3);
    let json = run.json();
    assert_eq!(json["archives"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["other_files"][0]["name"], *names[2]);
    assert_eq!(json["filtered"], 2);
    let run = machine
        .run(&["--json", "verify", "@shelf", "--tag", "why=upgrade"])
        .exits(3);
    let json = run.json();
    assert_eq!(json["archives"].as_array().map(Vec::len), Some(1));
    assert!(
        json["left_undone"].to_string().contains(&names[2]),
        "{json}"
    );
    let copies = machine.path("copies");
    let copies = copies.to_str().expect("UTF-8");
    let run = machine.run(&["copy", "@shelf", copies, "--tag", "why=upgrade"]);
    assert!(run.exits(3).text().contains(&names[2]));
}

#[test]
fn verify_and_copy_take_what_fits() {
    let (machine, names) = shelf();
    let run = machine
        .run(&["--json", "verify", "@shelf", "--since", "2025-01-02"])
        .exits(0);
    let json = run.json();
    let archives = json["archives"].as_array().expect("archives");
    assert_eq!(archives.len(), 3);
    assert_eq!(archives[0]["archive"], format!("@shelf/{}", names[0]));
    // A damaged archive is one of them.
    let path = machine.path("shelf").join(&names[1]);
    let mut content = fs::read(&path).expect("it");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).expect("damaged");
    machine
        .run(&["verify", "@shelf", "--since", "2025-01-02"])
        .exits(13);
    machine
        .run(&["verify", "@shelf", "--until", "2025-01-02"])
        .exits(0);
    let shelf = machine.path("shelf");
    machine
        .run(&["verify", shelf.to_str().expect("UTF-8"), "--last", "1"])
        .exits(0);
    machine
        .run(&["verify", "@shelf", "--since", "2029-01-01"])
        .exits(10)
        .says("none of the 4 archives");
    let one = format!("@shelf/{}", names[0]);
    machine
        .run(&["verify", &one, "--last", "1"])
        .exits(2)
        .says("is one archive");
    let copies = machine.path("copies");
    let copies = copies.to_str().expect("UTF-8");
    machine.run(&["copy", &one, copies, "--last", "1"]).exits(2);
    machine
        .run(&["copy", "@shelf", copies, "--since", "2029-01-01"])
        .exits(10);
    machine
        .run(&["copy", "@shelf", copies, "--tag", "why=upgrade"])
        .exits(3);
    // Nothing is known of the damaged one.
    let mut copied: Vec<String> = fs::read_dir(copies)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    copied.sort();
    assert_eq!(copied, [names[2].clone(), names[0].clone()]);
}

#[test]
fn a_damaged_archive_under_another_name_is_not_passed_over() {
    let (machine, names) = shelf();
    let shelf = machine.path("shelf");
    let content = fs::read(shelf.join(&names[0])).expect("it");
    let mut damaged = content.clone();
    damaged[20..300].fill(0x55);
    let folder = machine.path("other");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("before-upgrade.tar.gz"), damaged).expect("written");
    let word = folder.to_str().expect("UTF-8");
    machine.run(&["verify", word]).exits(13);
    machine
        .run(&["verify", word, "--since", "2024-01-01"])
        .exits(3);
    fs::write(folder.join(&names[0]), content).expect("written");
    let run = machine.run(&["verify", word, "--since", "2024-01-01"]);
    run.exits(3).says("before-upgrade.tar.gz is skipped");
    // A folder may hold those of several machines.
    let word = shelf.to_str().expect("UTF-8");
    let json = machine.run(&["--json", "verify", word, "--since", "2025-01-10"]);
    let json = json.exits(0).json();
    assert_eq!(json["archives"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_label_names_the_newest_archive_that_has_it() {
    let (machine, names) = shelf();
    let archive = |word: &str| {
        let json = machine.run(&["--json", "inspect", word]).exits(0).json();
        json["archive"].as_str().expect("a name").to_owned()
    };
    assert_eq!(
        archive("@shelf/why=upgrade"),
        format!("@shelf/{}", names[0])
    );
    assert_eq!(
        archive("@shelf/name=two words"),
        format!("@shelf/{}", names[2])
    );
    machine
        .run(&["inspect", "@shelf/why=nothing"])
        .exits(10)
        .says("with the label why=nothing");
    machine.run(&["keep", "@shelf/name=two words"]).exits(0);
    assert!(
        machine
            .path("shelf")
            .join(format!("{}.keep", names[2]))
            .exists()
    );
    machine
        .run(&["import", "@shelf/name=two words", "--dry-run"])
        .exits(0);
}
