//! Tars of other programs that become archives.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    process::Command,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use support::{
    Machine, Mounted, directories, is_root,
    programs::{run, text, unpack},
};

/// A machine whose state lies below `srv`.
fn machine() -> Machine {
    let machine = directories::data_and_page();
    let data = machine.path("srv/data");
    let long = "n".repeat(120);
    fs::create_dir_all(data.join(&long)).expect("made");
    machine.write(&format!("srv/data/{long}/{long}"), "long", 0o644);
    fs::hard_link(data.join("a/x"), data.join("same")).expect("a link");
    // A value with a line feed, which a parser of lines would split. Not every file system has attributes.
    let value = b"a\nb";
    let _ = rustix::fs::setxattr(
        data.join("a-b"),
        "user.k",
        value,
        rustix::fs::XattrFlags::CREATE,
    );
    run("touch", &["-d", "@1764200000.25", &text(&data.join("a-b"))]);
    machine
}

fn convert(machine: &Machine, arguments: &[&str]) -> Value {
    let mut all = vec!["--json", "convert", "--from", "tar"];
    all.extend(arguments);
    machine.run(&all).exits(0).json()
}

#[test]
fn a_tar_becomes_an_archive_that_restores_what_was_packed() {
    let machine = machine();
    let srv = text(&machine.path("srv"));
    let tar = text(&machine.path("old.tar"));
    let bsdtar = Command::new("bsdtar").arg("--version").output().is_ok();
    let packers: [(&str, &[&str]); 5] = [
        ("tar", &["--format=gnu", "-cf"]),
        ("tar", &["--format=pax", "-cf"]),
        ("tar", &["--format=pax", "--xattrs", "-czf"]),
        ("bsdtar", &["--format=gnutar", "-cf"]),
        ("bsdtar", &["--format=gnutar", "--zstd", "-cf"]),
    ];
    for (program, options) in packers
        .into_iter()
        .filter(|(program, _)| bsdtar || *program == "tar")
    {
        let mut arguments = options.to_vec();
        arguments.extend([&tar, "-C", &srv, "data", "page"]);
        run(program, &arguments);
        let to = tempfile::tempdir_in(machine.path("")).expect("a folder");
        let report = convert(&machine, &[&tar, &text(to.path())]);
        assert_eq!(report["time_from"], "newest_change");
        let digest = support::forge::digest(&fs::read(&tar).expect("there"));
        assert_eq!(report["tags"]["origin-sha256"], digest);
        let archive = report["to"].as_str().expect("a location");
        machine.run(&["verify", archive]).exits(0);
        let diff = machine.run(&["--json", "diff", archive]).exits(0).json();
        for entry in diff["entries"].as_array().expect("a list") {
            assert_eq!(
                entry["state"], "unchanged",
                "{program} {options:?}: {entry}"
            );
        }
        let other = directories::without_data_and_page();
        other.run(&["import", archive]).exits(0);
        assert_eq!(
            support::tree(&other.path("srv")),
            support::tree(&machine.path("srv"))
        );
        if options[0] == "--format=pax" {
            let metadata = other.path("srv/data/a-b").metadata().expect("there");
            assert_eq!(
                (metadata.mtime(), metadata.mtime_nsec()),
                (1_764_200_000, 250_000_000)
            );
        }
        // The same once more adds nothing.
        let again = convert(&machine, &[&tar, &text(to.path())]);
        assert_eq!(again["proof"], Value::Null);
        assert_eq!(to.path().read_dir().expect("readable").count(), 1);
    }
}

#[test]
fn a_tar_of_a_folder_from_inside_becomes_one_directory_of_a_given_time() {
    let machine = machine();
    let packed = Command::new("tar")
        .args(["-czf", "-", "-C", &text(&machine.path("srv/data")), "."])
        .output()
        .expect("it runs");
    let to = text(&machine.path("to"));
    let arguments = [
        "--json",
        "convert",
        "--from",
        "tar",
        "-",
        &to,
        "--directory",
        "data",
        "--time",
        "2026-01-02T03:04:05Z",
        "--tag",
        "team=ops",
    ];
    let report = machine.run_with(&arguments, &packed.stdout).exits(0).json();
    assert_eq!(report["archive"], "x-20260102-030405.tar.gz");
    assert_eq!(report["time_from"], "option");
    assert_eq!(report["tags"]["team"], "ops");
    let archive = report["to"].as_str().expect("a location");
    let inspected = machine.run(&["--json", "inspect", archive]).exits(0).json();
    assert!(inspected["manifest"]["trees"]["data"].is_object());
    assert_eq!(inspected["manifest"]["app"], "shop");
    assert_eq!(inspected["manifest"]["tags"]["origin"], "tar -");
    let diff = machine.run(&["--json", "diff", archive]).json();
    let entries = diff["entries"].as_array().expect("a list");
    let below = |entry: &&Value| {
        entry["entry"]
            .as_str()
            .is_some_and(|name| name.starts_with("data/"))
    };
    assert!(
        entries
            .iter()
            .filter(below)
            .all(|entry| entry["state"] == "unchanged"),
        "{diff}"
    );
}

#[test]
fn what_no_archive_can_have_is_named_and_what_is_hostile_is_refused() {
    let machine = machine();
    let srv = text(&machine.path("srv"));
    let (tar, to) = (text(&machine.path("old.tar")), text(&machine.path("to")));
    mknodat(
        CWD,
        machine.path("srv/data/ff"),
        FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .expect("a fifo");
    symlink("page", machine.path("srv/top")).expect("a link");
    run("tar", &["-cf", &tar, "-C", &srv, "data", "page", "top"]);
    let run_it = |tar: &str| machine.run(&["convert", "--from", "tar", tar, &to]);
    run_it(&tar)
        .exits(3)
        .says("data/ff is a fifo")
        .says("top is a symbolic link at the top");

    run("tar", &["-cPf", &tar, "-C", &srv, "../srv/page"]);
    run_it(&tar).exits(13).says("climbs with `..`");
    fs::write(&tar, "no tar").expect("written");
    run_it(&tar).exits(13).says("is not a tar");
    run(
        "sh",
        &[
            "-c",
            &format!("tar -cf - -C {srv} page | gzip | head -c 60 > {tar}"),
        ],
    );
    run_it(&tar).exits(13).says("truncated");
    run(
        "sh",
        &[
            "-c",
            &format!("truncate -s 8M {srv}/sparse && tar -cSf {tar} -C {srv} sparse"),
        ],
    );
    run_it(&tar).exits(13).says("sparse");
    run(
        "sh",
        &["-c", &format!("tar -cf - -C {srv} page | xz > {tar}")],
    );
    run_it(&tar).exits(13).says("xz -dc");
    if Command::new("zstd").arg("--version").output().is_ok() {
        run(
            "sh",
            &[
                "-c",
                &format!("tar -cf - -C {srv} data | zstd | head -c 200 > {tar}"),
            ],
        );
        run_it(&tar)
            .exits(13)
            .says("ends in the middle of what zstd packed");
    }
    run_it(&text(&machine.path("absent"))).exits(10);
    machine
        .run(&["convert", "--from", "ghostsnap", &tar, &to])
        .exits(2)
        .says("repositories of ghostsnap are not read");
    machine
        .run(&[
            "convert",
            "--from",
            "tar",
            &tar,
            &to,
            "--snapshot",
            "latest",
        ])
        .exits(2)
        .says("a tar is converted whole");
    // Only the first one became an archive.
    assert_eq!(machine.path("to").read_dir().expect("readable").count(), 1);
}

#[test]
fn an_access_control_list_in_text_form_is_left_out_with_a_word() {
    let machine = machine();
    let tar = text(&machine.path("acl.tar"));
    run(
        "tar",
        &[
            "--format=pax",
            "--pax-option=SCHILY.acl.access:=user:7:r--",
            "-cf",
            &tar,
            "-C",
            &text(&machine.path("srv")),
            "page",
        ],
    );
    let to = text(&machine.path("to"));
    machine
        .run(&["convert", "--from", "tar", &tar, &to])
        .exits(3)
        .says("the access control list of page is left out");
    machine.run(&["verify", &to]).exits(0);
}

#[test]
fn a_full_disk_ends_a_conversion_and_a_copy_and_leaves_no_archive() {
    if !is_root("a file system of its own") {
        return;
    }
    let machine = machine();
    let noise = support::forge::Xorshift::new(7).bytes(3 << 20);
    machine.write("srv/data/noise", &noise, 0o600);
    let tar = text(&machine.path("old.tar"));
    run(
        "tar",
        &[
            "-cf",
            &tar,
            "-C",
            &text(&machine.path("srv")),
            "data",
            "page",
        ],
    );
    let small = machine.path("small");
    fs::create_dir_all(&small).expect("made");
    let _mounted = Mounted::tmpfs(&small, "1m");
    let to = text(&small);
    machine
        .run(&["convert", "--from", "tar", &tar, &to])
        .exits(18);
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    machine.run(&["copy", &text(&folder), &to]).exits(18);
    let left = small.read_dir().expect("readable");
    let left: Vec<_> = left
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().ends_with(".tar.gz")),
        "{left:?}"
    );
}
