//! Directories of many files through the real binary: their records are in a listing.

use support::{Machine, bounds::limited, directories, finish};

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// One file more than a directory without a listing may have.
const LISTED: usize = 10_001;

/// The memory that each verb may write to.
const MEMORY: &str = "--data=100663296";

/// Makes `count` files of up to `most` bytes in folders of 200, of content that hardly shrinks.
fn fill(folder: &Path, count: usize, most: usize) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let pool: Vec<u8> = (0..1 << 17).flat_map(|_| random().to_le_bytes()).collect();
    let below = |random: u64, most: usize| (random % most as u64) as usize;
    for number in 0..count {
        let inner = folder.join(format!("d{:04}", number / 200));
        if number % 200 == 0 {
            fs::create_dir_all(&inner).expect("a folder");
        }
        let (size, at) = (
            below(random(), most + 1),
            below(random(), pool.len() - most),
        );
        fs::write(inner.join(format!("f{number}")), &pool[at..at + size]).expect("a file");
    }
}

/// Runs a script with the program's options in its environment; it must succeed.
#[track_caller]
fn script(machine: &Machine, text: &str) {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", text]);
    command.current_dir(machine.path("out"));
    finish(command, b"").exits(0);
}

fn entry<'a>(report: &'a Value, name: &str) -> &'a Value {
    let entries = report["entries"].as_array().expect("entries");
    let mut found = entries.iter().filter(|entry| entry["entry"] == name);
    let entry = found.next().unwrap_or(&Value::Null);
    assert!(found.next().is_none(), "{name} is listed once");
    entry
}

#[test]
fn tar_jq_and_sha256sum_read_a_listing_and_a_packed_folder_is_an_archive_again() {
    let machine = directories::only_files();
    let files = machine.path("data/files");
    fill(&files, LISTED, 100);
    fs::write(files.join("a-b"), "1").expect("a file");
    fs::write(files.join("new\nline"), "2").expect("a file");
    fs::create_dir(files.join("a")).expect("a folder");
    fs::write(files.join("a/b"), "3").expect("a file");
    fs::write(files.join(std::ffi::OsStr::from_bytes(b"\xff")), "4").expect("a file");
    symlink("a/b", files.join("link")).expect("a link");
    machine.export("a.tar.gz");
    script(
        &machine,
        r#"tar -xzf a.tar.gz; cd hookshot-state-*
        sha256sum --quiet -c <(jq -r '.files[] | "\(.checksum)  \(.path)"' manifest.json)
        jq -r 'select(.checksum and .name == null and (.path | contains("\n") | not)) | "\(.checksum)  \(.path)"' \
            files.files.jsonl > sums
        sha256sum --quiet -c sums
        test "$(wc -l < sums)" = 10003
        test "$(jq -r .version manifest.json)" = 1.2
        test "$(jq -r .directories.files.files manifest.json)" = 10005
        test "$(jq -r .directories.files.links manifest.json)" = 1
        test "$(jq -rc 'select(.kind == "link") | [.path, .target]' files.files.jsonl)" = '["files/link","a/b"]'
        rm sums; cd ..
        tar --sort=name -czf sorted.tar.gz hookshot-state-*
        tar -czf any.tar.gz hookshot-state-*"#,
    );
    for packed in ["sorted.tar.gz", "any.tar.gz"] {
        machine.run(&["verify", packed]).exits(0);
        let report = machine.run(&["diff", "a.tar.gz", packed, "--json"]);
        assert_eq!(
            report.exits(0).json()["entries"].as_array().map(Vec::len),
            Some(10_006)
        );
        let other = directories::only_files();
        let path = machine.path("out").join(packed);
        other
            .run(&["import", path.to_str().expect("UTF-8")])
            .exits(0);
        let at = other.path("data/files");
        let command = format!(
            "diff -r --no-dereference '{}' '{}'",
            files.display(),
            at.display()
        );
        script(&machine, &command);
    }
}

#[test]
fn a_comparison_names_each_part_of_a_listed_directory_in_the_order_of_the_listing() {
    let machine = directories::only_files();
    let files = machine.path("data/files");
    fill(&files, LISTED, 50);
    for (name, text) in [
        ("a-b", "1"),
        ("gone", "2"),
        ("other", "3"),
        ("x.toml", "a = 1\n"),
    ] {
        fs::write(files.join(name), text).expect("a file");
    }
    fs::create_dir(files.join("a")).expect("a folder");
    fs::write(files.join("a/b"), "4").expect("a file");
    symlink("a", files.join("link")).expect("a link");
    machine.export("a.tar.gz");
    let same = machine.run(&["diff", "a.tar.gz", "--json"]).exits(0).json();
    let names = |report: &Value| -> Vec<String> {
        let entries = report["entries"].as_array().expect("entries");
        let name = |entry: &Value| entry["entry"].as_str().unwrap_or_default().to_owned();
        entries.iter().map(name).collect()
    };
    assert_eq!(
        names(&same)[..3],
        ["files/a/b", "files/a-b", "files/d0000/f0"]
    );
    assert_eq!(names(&same).len(), LISTED + 6);
    fs::remove_file(files.join("gone")).expect("removed");
    fs::write(files.join("other"), "longer").expect("a file");
    fs::write(files.join("x.toml"), "a = 2\n").expect("a file");
    fs::write(files.join("a/c"), "").expect("a file");
    fs::remove_file(files.join("link")).expect("removed");
    symlink("a/b", files.join("link")).expect("a link");
    let report = machine.run(&["diff", "a.tar.gz", "--json"]).exits(1).json();
    machine.export("b.tar.gz");
    // The first of two archives is the one that is here.
    let two = machine.run(&["diff", "b.tar.gz", "a.tar.gz", "--json"]);
    assert_eq!(two.exits(1).json(), report);
    let expected = [
        ("files/a/c", "only_here"),
        ("files/gone", "only_there"),
        ("files/link", "changed"),
        ("files/other", "changed"),
        ("files/x.toml", "changed"),
    ];
    let entries = report["entries"].as_array().expect("entries");
    let changed = entries.iter().filter(|entry| entry["state"] != "unchanged");
    let changed: Vec<(&str, &str)> = changed
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default();
            (text("entry"), text("state"))
        })
        .collect();
    assert_eq!(changed, expected);
    assert_eq!(entry(&report, "files/other")["here_bytes"], 6);
    assert_eq!(entry(&report, "files/other")["there_bytes"], 1);
    let text = machine
        .run(&["diff", "b.tar.gz", "a.tar.gz", "--text"])
        .exits(1);
    assert!(text.text().contains("-a = 2\n+a = 1\n"), "{}", text.text());
}

#[test]
fn single_files_come_out_of_a_listed_directory_through_the_index_and_without_it() {
    let machine = directories::only_files();
    let files = machine.path("data/files");
    fill(&files, LISTED, 4000);
    fs::create_dir(files.join("empty")).expect("a folder");
    fs::write(files.join("first"), "content").expect("a file");
    symlink("first", files.join("link")).expect("a link");
    let archive = machine.export("a.tar.gz");
    // Above 16 MiB the index is used; standard input is read through.
    let bytes = fs::read(&archive).expect("the archive");
    assert!(bytes.len() > 16 << 20, "{}", bytes.len());
    for (from, input) in [("a.tar.gz", b"".as_slice()), ("-", &bytes)] {
        let run = |arguments: &[&str]| {
            let all: Vec<&str> = ["extract", from].iter().chain(arguments).copied().collect();
            machine.run_with(&all, input)
        };
        let folder = match from {
            "-" => "through",
            _ => "index",
        };
        run(&[
            "files/d0003/f777",
            "files/first",
            "files/d0003/f777",
            "-o",
            folder,
        ])
        .exits(0);
        let read = |name: &str| fs::read(machine.path("out").join(folder).join(name)).expect("it");
        assert_eq!(read("files/first"), b"content");
        let expected = fs::read(files.join("d0003/f777")).expect("it");
        assert_eq!(read("files/d0003/f777"), expected);
        run(&["files/first", "-o", folder])
            .exits(2)
            .says("exists already");
        let shown = run(&["files/first", "files/d0003/f777", "-o", "-"]).exits(0);
        assert_eq!(shown.stdout, [b"content".as_slice(), &expected].concat());
        for absent in [
            "files/d0003",
            "files/empty",
            "files/link",
            "files/none",
            "files/first/x",
        ] {
            let message = format!("the archive has no entry {absent}");
            run(&["files/first", absent, "-o", "absent"])
                .exits(10)
                .says(&message);
            assert!(
                !machine.path("out/absent").exists(),
                "{absent}: nothing is written"
            );
        }
        run(&["files/x/../y", "-o", "absent"]).exits(2);
        let whole = format!("{folder}-whole");
        run(&["files", "-o", &whole]).exits(0);
        script(
            &machine,
            &format!("diff -r --no-dereference ../data/files {whole}/files"),
        );
        run(&["files", "-o", &whole])
            .exits(2)
            .says("exists already");
        run(&["files", "-o", "-"]).exits(2).says("standard output");
    }
}

#[test]
fn inspect_and_verify_count_a_listed_directory_and_look_into_its_databases() {
    let machine = directories::only_files();
    let files = machine.path("data/files");
    fill(&files, LISTED, 10);
    let database = rusqlite::Connection::open(files.join("app.db")).expect("a database");
    database
        .execute_batch("CREATE TABLE t(a)")
        .expect("a table");
    drop(database);
    symlink("/nowhere", files.join("out")).expect("a link");
    machine.export("a.tar.gz");
    let shown = machine.run(&["inspect", "a.tar.gz"]).exits(0).text();
    let line = "10002 files, 51 folders, 1 links in files.files.jsonl";
    assert!(
        shown.contains("\nfiles/ ") && shown.contains(line),
        "{shown}"
    );
    let inspected = machine
        .run(&["inspect", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        inspected["manifest"]["directories"]["files"]["files"],
        10_002
    );
    assert_eq!(inspected["links"][0]["path"], "out");
    let report = machine
        .run(&["verify", "--deep", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let archive = &report["archives"][0];
    // The listing is an entry, too.
    assert_eq!(archive["files"], 10_003);
    assert_eq!(archive["links"], inspected["links"]);
    assert_eq!(archive["looked_into"][0]["entry"], "files/app.db");
    assert_eq!(archive["looked_into"][0]["good"], true);
}

#[test]
fn torn_and_lost_files_of_a_listed_directory_are_known_without_its_listing() {
    let machine = directories::only_files();
    let files = machine.path("data/files");
    let config = fs::read_to_string(machine.path("etc/config.toml")).expect("it");
    let destination = "[backup.destinations.local]\nurl = \"../out/kept\"\n\n[[";
    let config = config.replacen("[[", destination, 1);
    machine.write("etc/config.toml", config, 0o600);
    fill(&files, LISTED, 10);
    let database = rusqlite::Connection::open(files.join("app.db")).expect("a database");
    database
        .execute_batch("CREATE TABLE t(a)")
        .expect("a table");
    drop(database);
    fs::create_dir(machine.path("out/kept")).expect("a folder");
    let kept = |day| {
        let name = format!("out/kept/hookshot-state-2026010{day}-030000.tar.gz");
        machine.path(&name).to_str().expect("UTF-8").to_owned()
    };
    machine.run(&["export", &kept(1)]).exits(0);
    let damaged = [b"SQLite format 3\0".as_slice(), &[b'x'; 5000]].concat();
    fs::write(files.join("app.db"), damaged).expect("a file");
    machine.run(&["export", &kept(2)]).exits(3);
    let torn = machine.run(&["verify", &kept(2), "--json"]).exits(0).json();
    assert_eq!(torn["archives"][0]["torn"][0], "files/app.db");
    let shown = machine.run(&["inspect", &kept(2)]).exits(0).text();
    assert!(shown.contains("torn      1 files in files"), "{shown}");
    let listed = ["list", "@local", "--long", "--json"];
    let listed = machine.run(&listed).exits(0).json();
    assert_eq!(listed["archives"][0]["torn"], 1, "{listed}");
    assert_eq!(listed["archives"][0]["entries"], LISTED + 2, "{listed}");
    let latest = machine
        .run(&["inspect", "@local/latest", "--json"])
        .exits(0);
    let latest = latest.says("A database in an archive is torn; trying the next older one");
    assert!(latest.text().contains("20260101"), "{}", latest.text());
    for number in 0..30 {
        fs::remove_dir_all(files.join(format!("d{number:04}"))).expect("removed");
    }
    fs::remove_file(files.join("app.db")).expect("removed");
    let lost = machine.run(&["export", "@local"]).exits(0);
    lost.says("files has lost more than half")
        .says("10002 files");
}

#[test]
fn a_source_behind_a_link_of_a_listed_directory_comes_back_where_the_link_leads() {
    let machine = directories::only_files();
    let config = fs::read_to_string(machine.path("etc/config.toml")).expect("it");
    let more = "links = \"all\"\n\n[[backup.sources]]\nname = \"key\"\nkind = \"file\"\n\
        path = \"../data/files/key\"\n";
    machine.write("etc/config.toml", config + more, 0o600);
    let files = machine.path("data/files");
    fill(&files, LISTED, 10);
    machine.write("data/key", "secret of a service", 0o600);
    symlink("../key", files.join("key")).expect("a link");
    let archive = machine.export("a.tar.gz");
    for from in [archive.as_str(), "-"] {
        fs::remove_dir_all(machine.path("data")).expect("lost");
        let input = fs::read(&archive).expect("the archive");
        machine.run_with(&["import", from], &input).exits(0);
        assert_eq!(machine.read("data/key"), b"secret of a service");
        let leads = fs::read_link(files.join("key")).expect("a link");
        assert_eq!(leads, Path::new("../key"));
    }
}

#[test]
fn a_listed_directory_of_a_pattern_comes_back_although_it_is_lost() {
    let machine = directories::only_files();
    let text = "[backup]\ninclude_config = false\n\n[[backup.sources]]\nname = \"site-*\"\n\
        kind = \"directory\"\npath = \"../data/sites/*\"\n";
    machine.write("etc/config.toml", text, 0o600);
    fill(&machine.path("data/sites/big"), LISTED, 10);
    fill(&machine.path("data/sites/small"), 3, 10);
    let archive = machine.export("a.tar.gz");
    fs::rename(machine.path("data/sites/big"), machine.path("out/big")).expect("lost");
    machine.run(&["import", &archive]).exits(0);
    script(&machine, "diff -r big ../data/sites/big");
    let shown = machine.run(&["diff", &archive]).exits(0);
    assert!(!shown.text().contains("site-big.files.jsonl"));
}

#[test]
fn every_verb_handles_a_hundred_thousand_files_within_96_mib() {
    let machine = directories::only_files();
    fill(&machine.path("data/files"), 100_000, 4096);
    let other = directories::only_files();
    let bounded = |machine: &Machine, arguments: &[&str], code: i32| {
        let mut command = machine.command();
        command.args(["--threads", "2", "--quiet"]).args(arguments);
        finish(limited(&command, &[MEMORY.to_owned()]), b"").exits(code)
    };
    let archive = machine.path("out/a.tar.gz");
    let archive = archive.to_str().expect("UTF-8");
    bounded(&machine, &["export", archive], 0);
    bounded(&machine, &["verify", archive], 0);
    bounded(&machine, &["diff", archive], 0);
    bounded(&other, &["import", archive], 0);
    let name = "files/d0400/f80123";
    bounded(&machine, &["extract", archive, name, "-o", "one"], 0);
    let (from, there) = (machine.path("data/files"), other.path("data/files"));
    let (from, there) = (from.display(), there.display());
    script(
        &machine,
        &format!("diff -r '{from}' '{there}'; cmp '{from}/d0400/f80123' one/{name}"),
    );
}
