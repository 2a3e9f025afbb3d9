//! `list`, `prune` and `keep` through the binary, over folders and over S3: only archives without a use are removed.

use support::servers::{Fault, Faults, Rule, S3, http::Head};
use support::{self, Machine, tree};

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A machine with one whole archive, which tests copy under the names that they need.
struct Shelf {
    machine: Machine,
    archive: Vec<u8>,
}

impl Shelf {
    fn new() -> Shelf {
        let machine = Machine::new();
        let path = machine.export("source.tar.gz");
        let archive = fs::read(&path).expect("an archive");
        fs::remove_file(path).expect("removed");
        fs::create_dir(machine.path("shelf")).expect("a folder");
        Shelf { machine, archive }
    }

    fn path(&self) -> PathBuf {
        self.machine.path("shelf")
    }

    fn folder(&self) -> String {
        self.path().display().to_string()
    }

    fn put(&self, name: &str) {
        fs::write(self.path().join(name), &self.archive).expect("written");
    }

    /// An archive with its middle and its end gone.
    fn put_damaged(&self, name: &str) {
        let half = &self.archive[..self.archive.len() / 2];
        fs::write(self.path().join(name), half).expect("written");
    }

    /// One archive each night of the first days of March 2020.
    fn put_nights(&self, nights: u32) {
        for night in 1..=nights {
            self.put(&night_of("hookshot-state", night));
        }
    }

    fn names(&self) -> BTreeSet<String> {
        names(&self.path())
    }

    fn prune(&self, arguments: &[&str]) -> support::Run {
        let folder = self.folder();
        let mut all = vec!["prune", &folder];
        all.extend(arguments);
        self.machine.run(&all)
    }

    /// Configures the destination `@s3`, reached at `endpoint`, and what else is said.
    fn configure_s3(&self, endpoint: &str, more: &str) {
        let text = format!(
            "{more}\n[backup.destinations.s3]\nurl = \"s3://bucket/p\"\nendpoint = \"{endpoint}\"\nregion = \"eu-1\"\n\
             allow_http = true\npath_style = true\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\nretry_attempts = 1\n",
            S3::ACCESS_KEY,
            S3::SECRET_KEY
        );
        let text = self.machine.config_text(&text);
        self.machine.write("etc/config.toml", text, 0o600);
    }

    fn put_s3(&self, s3: &S3, name: &str) {
        let file = s3.file(&format!("p/{name}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, &self.archive).expect("written");
    }
}

/// Returns true if a request removes an object, alone or in a batch.
fn is_removal(head: &Head) -> bool {
    head.method() == "DELETE" || head.method() == "POST" && head.parameter("delete").is_some()
}

fn night_of(prefix: &str, night: u32) -> String {
    format!("{prefix}-202003{night:02}-030000.tar.gz")
}

fn night(night: u32) -> String {
    night_of("hookshot-state", night)
}

fn nights(nights: impl IntoIterator<Item = u32>) -> BTreeSet<String> {
    nights.into_iter().map(night).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect()
}

fn named(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|one| one["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn a_dry_run_changes_nothing_and_shows_what_a_run_then_does() {
    let shelf = Shelf::new();
    shelf.put_nights(4);
    let before = tree(&shelf.path());
    let plan = shelf.prune(&["--keep-last", "2", "--dry-run", "--json"]);
    let plan = plan.exits(0).json();
    assert_eq!(tree(&shelf.path()), before);
    assert_eq!(named(&plan["keep"]), [night(4), night(3)]);
    assert_eq!(named(&plan["remove"]), [night(2), night(1)]);
    assert_eq!(
        (&plan["removed"], &plan["dry_run"]),
        (&0.into(), &true.into())
    );

    let table = shelf.prune(&["--keep-last", "2", "--dry-run"]).exits(0);
    assert!(
        table.text().contains("2 of 4 archives would be removed"),
        "{}",
        table.text()
    );

    let done = shelf.prune(&["--keep-last", "2", "--json"]).exits(0).json();
    assert_eq!(done["remove"], plan["remove"]);
    assert_eq!(
        (&done["removed"], &done["dry_run"]),
        (&2.into(), &false.into())
    );
    assert_eq!(shelf.names(), nights(3..=4));
}

#[test]
fn the_json_of_one_place_and_of_several_keeps_its_shape() {
    let shelf = Shelf::new();
    shelf.put_nights(2);
    let report = shelf.prune(&["--keep-last", "1", "--timezone", "Europe/Berlin", "--json"]);
    let report = report.exits(0).json();
    let policy = serde_json::json!({"keep_last": 1, "timezone": "Europe/Berlin"});
    assert_eq!(report["policy"], policy);
    let (keep, remove) = (&report["keep"][0], &report["remove"][0]);
    assert_eq!(keep["name"], *night(2));
    assert_eq!(keep["time"], "2020-03-02T03:00:00Z");
    let reasons = serde_json::json!(["last 1 of 1", "newest good archive"]);
    assert_eq!(keep["reasons"], reasons);
    assert_eq!(remove["time"], "2020-03-01T03:00:00Z");
    let reason = format!("beyond every rule: replaced by {}", night(2));
    assert_eq!(remove["reason"], *reason);

    let (a, b) = (shelf.machine.path("a"), shelf.machine.path("b"));
    for folder in [&a, &b] {
        fs::create_dir(folder).expect("a folder");
        for number in 1..=2 {
            fs::write(folder.join(night(number)), &shelf.archive).expect("written");
        }
    }
    let text = format!(
        "[backup]\nto = [\"a\", \"b\"]\n[backup.retention]\nkeep_last = 1\n[backup.destinations.a]\nurl = \"{}\"\n\
         [backup.destinations.b]\nurl = \"{}\"\nretention = {{ keep_last = 2 }}\n",
        a.display(),
        b.display()
    );
    let text = shelf.machine.config_text(&text);
    shelf.machine.write("etc/config.toml", text, 0o600);
    let report = shelf.machine.run(&["prune", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 1);
    assert_eq!(report["failed"], serde_json::json!([]));
    let places = report["destinations"].as_array().expect("a list");
    let place = |place: &Value| (place["destination"].clone(), place["removed"].clone());
    let found: Vec<_> = places.iter().map(place).collect();
    assert_eq!(found, [("@a".into(), 1.into()), ("@b".into(), 0.into())]);
    assert_eq!((names(&a), names(&b)), (nights([2]), nights(1..=2)));

    // One of them is away: the other has its turn, and the exit code says that something is left.
    fs::remove_dir_all(&a).expect("removed");
    let run = shelf
        .machine
        .run(&["prune", "--keep-last", "1", "--json"])
        .exits(3);
    let report = run.json();
    assert_eq!(report["failed"][0]["destination"], "@a");
    assert_eq!(report["error"]["kind"], "partial");
    assert_eq!(names(&b), nights([2]));
    // It was the only one.
    shelf.machine.run(&["prune", "@a"]).exits(10);
}

#[test]
fn a_damaged_archive_takes_nobodys_place() {
    let shelf = Shelf::new();
    shelf.put_nights(2);
    shelf.put_damaged(&night(3));
    // The newest one needs a look first.
    let report = shelf.prune(&["--keep-last", "1", "--json"]).exits(3).json();
    assert_eq!(report["blocked"][0]["prefix"], "hookshot-state");
    assert_eq!(shelf.names(), nights(1..=3));
    let report = shelf
        .prune(&["--keep-last", "1", "--yes", "--json"])
        .exits(0);
    assert!(
        report.stderr.contains("is damaged and does not count"),
        "{}",
        report.stderr
    );
    let report = report.json();
    assert_eq!(shelf.names(), nights(2..=3));
    assert_eq!(report["keep"][0]["standing"], "damaged");
    assert_eq!(report["keep"][1]["standing"], "good");
    // An old one that is damaged is found where all are looked into; it uses up no day.
    shelf.put_nights(4);
    shelf.put_damaged(&night(2));
    shelf.prune(&["--keep-last", "3", "--check"]).exits(0);
    assert_eq!(shelf.names(), nights([1, 3, 4]));
}

#[test]
fn what_is_too_small_to_be_an_archive_uses_up_no_count() {
    let shelf = Shelf::new();
    shelf.put_nights(2);
    fs::write(shelf.path().join(night(3)), b"").expect("written");
    let report = shelf.prune(&["--keep-last", "2", "--json"]).exits(0).json();
    assert_eq!(report["keep"][0]["standing"], "incomplete");
    assert_eq!(shelf.names(), nights(1..=3));
}

#[test]
fn an_archive_without_an_index_is_read_through_and_takes_a_place() {
    use std::io::{Read as _, Write as _};
    let shelf = Shelf::new();
    shelf.put_nights(1);
    let mut tar = Vec::new();
    let mut inflated = flate2::read::MultiGzDecoder::new(&shelf.archive[..]);
    inflated.read_to_end(&mut tar).expect("gzip");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar).expect("written");
    let packed = packed.finish().expect("written");
    fs::write(shelf.path().join(night(2)), &packed).expect("written");
    shelf.prune(&["--keep-last", "1"]).exits(0);
    assert_eq!(shelf.names(), nights([2]));
    // The same, but for one bit of its checksum.
    shelf.put_nights(1);
    let mut broken = packed;
    let checksum = broken.len() - 8;
    broken[checksum] ^= 1;
    fs::write(shelf.path().join(night(2)), broken).expect("written");
    shelf.prune(&["--keep-last", "1"]).exits(0);
    assert_eq!(shelf.names(), nights(1..=2));
}

#[test]
fn an_archive_dated_in_the_future_uses_up_no_count_and_stays() {
    let shelf = Shelf::new();
    shelf.put_nights(3);
    let future = "hookshot-state-99990101-000000.tar.gz";
    shelf.put(future);
    let report = shelf.prune(&["--keep-last", "2", "--json"]).exits(0).json();
    assert_eq!(
        report["keep"][0]["reasons"],
        serde_json::json!(["dated in the future"])
    );
    let mut left = nights(2..=3);
    left.insert(future.to_owned());
    assert_eq!(shelf.names(), left);
}

#[test]
fn more_than_max_remove_is_removed_only_with_yes() {
    let shelf = Shelf::new();
    shelf.put_nights(4);
    let before = shelf.names();
    let run = shelf.prune(&["--keep-last", "1"]).exits(2);
    let run = run.says("3 of 4 archives would be removed, more than max_remove = 50%");
    run.says("--yes");
    assert_eq!(shelf.names(), before);
    // A rehearsal has the exit code of the run.
    shelf.prune(&["--keep-last", "1", "--dry-run"]).exits(2);
    shelf
        .prune(&["--keep-last", "1", "--dry-run", "--yes"])
        .exits(0);
    shelf
        .prune(&["--keep-last", "2", "--max-remove", "49%"])
        .exits(2);
    assert_eq!(shelf.names(), before);
    shelf.prune(&["--keep-last", "1", "--yes"]).exits(0);
    assert_eq!(shelf.names(), nights([4]));
}

#[test]
fn hosts_in_one_folder_do_not_see_each_other_unless_asked() {
    let shelf = Shelf::new();
    let strange = [
        "notes.txt",
        "hookshot-state.tar.gz",
        "hookshot-state-20200301-030000.tar.gz.part",
    ];
    for name in strange {
        shelf.put(name);
    }
    let all = |ours: &[u32], others: &[u32]| -> BTreeSet<String> {
        let ours = ours.iter().map(|number| night(*number));
        let others = others.iter().map(|number| night_of("other", *number));
        ours.chain(others)
            .chain(strange.map(str::to_owned))
            .collect()
    };
    for number in 1..=2 {
        shelf.put(&night(number));
        shelf.put(&night_of("other", number));
    }
    shelf.put(&night_of("other", 3));
    shelf.prune(&["--keep-last", "1"]).exits(0);
    assert_eq!(shelf.names(), all(&[2], &[1, 2, 3]));
    // Judged together, one of ours alone would be beyond the rule; and two of three are too many for the other host.
    shelf
        .prune(&["--keep-last", "1", "--all-hosts"])
        .exits(2)
        .says("other in");
    assert_eq!(shelf.names(), all(&[2], &[1, 2, 3]));
    shelf.prune(&["--keep-last", "2", "--all-hosts"]).exits(0);
    assert_eq!(shelf.names(), all(&[2], &[2, 3]));

    let folder = shelf.folder();
    let listed = |arguments: &[&str]| {
        let mut all = vec!["list", &folder, "--json"];
        all.extend(arguments);
        let report = shelf.machine.run(&all).exits(0).json();
        (named(&report["archives"]).len(), report["others"].clone())
    };
    // Of the strange names, one is that of a whole archive of ours.
    assert_eq!(listed(&[]), (2, 2.into()));
    assert_eq!(listed(&["--all-hosts"]), (4, 0.into()));
}

#[test]
fn without_a_policy_nothing_is_removed() {
    let shelf = Shelf::new();
    shelf.put_nights(2);
    fs::write(shelf.path().join(format!("{}.keep", night(9))), "forever\n").expect("written");
    let before = tree(&shelf.path());
    let run = shelf.prune(&["--yes", "--json"]).exits(0);
    assert!(run.stderr.contains("no retention policy"), "{}", run.stderr);
    let report = run.json();
    assert_eq!(report["policy"], serde_json::json!({"timezone": "UTC"}));
    assert_eq!(
        report["keep"][0]["reasons"],
        serde_json::json!(["no policy"])
    );
    // A rule that keeps nothing is none, and a zone alone is a slip.
    shelf.prune(&["--keep-last", "0", "--yes"]).exits(0);
    shelf.prune(&["--timezone", "UTC", "--yes"]).exits(2);
    assert_eq!(tree(&shelf.path()), before);
}

#[test]
fn flags_replace_the_configured_policy_as_a_whole() {
    let shelf = Shelf::new();
    let config = "[backup.retention]\nkeep_daily = \"all\"\ntimezone = \"Europe/Berlin\"\nmax_remove = \"100%\"\n";
    let text = shelf.machine.config_text(config);
    shelf.machine.write("etc/config.toml", text, 0o600);
    shelf.put_nights(3);
    shelf.prune(&[]).exits(0);
    assert_eq!(shelf.names(), nights(1..=3));
    let report = shelf.prune(&["--keep-last", "1", "--json"]).exits(0).json();
    assert_eq!(
        report["policy"],
        serde_json::json!({"keep_last": 1, "timezone": "UTC"})
    );
    assert_eq!(shelf.names(), nights([3]));
}

#[test]
fn a_mark_keeps_an_archive_until_it_is_over() {
    let shelf = Shelf::new();
    shelf.put_nights(4);
    let first = shelf.path().join(night(1)).display().to_string();
    let mark = shelf.path().join(format!("{}.keep", night(1)));
    let keep = |arguments: &[&str]| {
        let mut all = vec!["keep", first.as_str(), "--json"];
        all.extend(arguments);
        shelf.machine.run(&all)
    };
    let report = keep(&[]).exits(0).json();
    assert_eq!(
        (&report["mark"], &report["before"]),
        (&"forever".into(), &Value::Null)
    );
    assert_eq!(fs::read_to_string(&mark).expect("a mark"), "forever\n");
    let report = keep(&["--until", "9999-01-01"]).exits(0).json();
    assert_eq!(report["mark"], "9999-01-01T00:00:00Z");
    assert_eq!(report["before"], "forever");
    // From the folder itself, so that a path is only a name.
    let mut command = shelf.machine.command();
    command
        .current_dir(shelf.path())
        .args(["keep", &night(2), "--forever"]);
    support::finish(command, b"").exits(0);
    shelf.prune(&["--keep-last", "1"]).exits(0);
    let mut left = nights([1, 2, 4]);
    left.extend([1, 2].map(|number| format!("{}.keep", night(number))));
    assert_eq!(shelf.names(), left);
    let folder = shelf.folder();
    let report = shelf
        .machine
        .run(&["list", &folder, "--sort", "name", "--json"]);
    let report = report.exits(0).json();
    assert_eq!(report["archives"][0]["mark"], "9999-01-01T00:00:00Z");
    assert_eq!(report["archives"][2]["mark"], Value::Null);

    // Over, taken away, not to be understood: the last holds.
    fs::write(&mark, "2020-06-01\n").expect("written");
    shelf.put(&night(3));
    fs::write(shelf.path().join(format!("{}.keep", night(3))), "soon").expect("written");
    let second = shelf.path().join(night(2)).display().to_string();
    shelf.machine.run(&["keep", &second, "--remove"]).exits(0);
    let report = shelf.prune(&["--keep-last", "1", "--json"]).exits(0).json();
    let reason = report["remove"][1]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("; its mark ended 2020-06-01"), "{reason}");
    let mut left = nights(3..=4);
    left.insert(format!("{}.keep", night(3)));
    assert_eq!(shelf.names(), left);
}

#[test]
fn a_mark_needs_an_archive_and_a_date_that_is_to_come() {
    let shelf = Shelf::new();
    shelf.put_nights(1);
    let path = |name: &str| shelf.path().join(name).display().to_string();
    let first = path(&night(1));
    shelf.machine.run(&["keep", &path(&night(2))]).exits(10);
    shelf.put("notes.txt");
    shelf.machine.run(&["keep", &path("notes.txt")]).exits(2);
    shelf
        .machine
        .run(&["keep", &first, "--until", "2020-06-01"])
        .exits(2);
    shelf
        .machine
        .run(&["keep", &first, "--until", "tomorrow"])
        .exits(2);
    shelf.machine.run(&["keep", "@nowhere/x"]).exits(10);
    assert_eq!(shelf.names().len(), 2);
}

#[test]
fn a_mark_whose_archive_is_gone_goes_with_the_next_run() {
    let shelf = Shelf::new();
    shelf.put_nights(1);
    let stray = format!("{}.keep", night(9));
    let foreign = format!("{}.keep", night_of("other", 9));
    for name in [&stray, &foreign] {
        fs::write(shelf.path().join(name), "forever\n").expect("written");
    }
    let plan = shelf
        .prune(&["--keep-last", "1", "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(plan["stray_marks"], serde_json::json!([night(9)]));
    assert!(shelf.names().contains(&stray));
    shelf.prune(&["--keep-last", "1"]).exits(0);
    assert_eq!(shelf.names(), BTreeSet::from([night(1), foreign]));
}

#[test]
fn a_list_shows_archives_and_with_long_what_their_manifests_say() {
    let shelf = Shelf::new();
    let folder = shelf.folder();
    let empty = shelf
        .machine
        .run(&["list", &folder, "--json"])
        .exits(0)
        .json();
    assert_eq!(empty["archives"], serde_json::json!([]));
    shelf.put_nights(2);
    shelf.put_damaged(&night(3));
    let report = shelf
        .machine
        .run(&["ls", &folder, "--json"])
        .exits(0)
        .json();
    assert_eq!(named(&report["archives"]), [night(3), night(2), night(1)]);
    let second = &report["archives"][1];
    assert_eq!(second["location"], *format!("{folder}/{}", night(2)));
    assert_eq!(second["time"], "2020-03-02T03:00:00Z");
    assert_eq!(second["size_bytes"], shelf.archive.len());
    assert_eq!(second.get("verified"), None);
    // What a list calls an archive is what other verbs know it by.
    let location = second["location"].as_str().expect("a location");
    shelf.machine.run(&["verify", location]).exits(0);

    let config = shelf
        .machine
        .config_text("[backup.retention]\nkeep_last = 1\n");
    shelf.machine.write("etc/config.toml", config, 0o600);
    let report = shelf.machine.run(&[
        "list",
        &folder,
        "--long",
        "--sort",
        "size",
        "--reverse",
        "--json",
    ]);
    let report = report.exits(0).json();
    let archives = &report["archives"];
    assert_eq!(named(archives), [night(3), night(2), night(1)]);
    assert_eq!(archives[0]["verified"], "no");
    assert_eq!(archives[0]["entries"], Value::Null);
    assert_eq!(archives[1]["verified"], "manifest");
    assert_eq!(archives[1]["entries"], 4);
    assert_eq!(archives[1]["app"], "hookshot");
    assert_eq!(archives[2]["verdict"], "remove");
    let table = shelf
        .machine
        .run(&["list", &folder, "--long"])
        .exits(0)
        .text();
    assert!(table.contains("newest good archive"), "{table}");
}

#[test]
fn a_list_goes_on_behind_a_place_that_cannot_be_read() {
    let shelf = Shelf::new();
    shelf.put_nights(1);
    let folder = shelf.folder();
    let run = shelf
        .machine
        .run(&["list", &folder, "/nowhere/at/all", "--json"])
        .exits(3);
    let report = run.json();
    assert_eq!(named(&report["archives"]), [night(1)]);
    assert_eq!(report["failed"][0]["destination"], "/nowhere/at/all");
    assert_eq!(report["error"]["code"], 3);
    shelf.machine.run(&["list", "/nowhere/at/all"]).exits(10);
    shelf.machine.run(&["list", "@nowhere"]).exits(10);
    shelf.machine.run(&["list"]).exits(2).says("[backup]");
    // No configuration is needed for a folder.
    fs::remove_file(shelf.machine.path("etc/config.toml")).expect("removed");
    shelf.machine.run(&["list", &folder]).exits(0);
}

#[test]
fn a_simulation_tells_what_a_policy_holds() {
    let machine = Machine::empty();
    let simulate = |arguments: &[&str]| {
        let mut all = vec!["prune", "simulate", "--start", "2026-01-01"];
        all.extend(arguments);
        machine.run(&all)
    };
    let report = simulate(&[
        "--days",
        "730",
        "--keep-daily",
        "7",
        "--keep-monthly",
        "all",
        "--json",
    ]);
    let report = report.exits(0).json();
    assert_eq!(
        (&report["made"], &report["days"]),
        (&730.into(), &730.into())
    );
    assert_eq!(report["timeline"].as_array().expect("a list").len(), 730);
    // Seven days, the newest of each month before that of the last day, and the very first: the months have no end.
    assert_eq!(report["held"].as_array().expect("a list").len(), 7 + 23 + 1);
    let text = simulate(&["--days", "730", "--keep-daily", "7"])
        .exits(0)
        .text();
    assert!(
        text.contains("2027-12") && !text.contains("2027-12-01T"),
        "{text}"
    );
    assert!(text.lines().count() < 50, "{text}");
    simulate(&["--days", "0"]).exits(2);
    machine
        .run(&["--json", "prune", "simulate", "--days", "3"])
        .exits(0);
}

/// A bucket with an archive of each of so many nights, and what answers wrongly in front of it.
fn nights_behind_faults(nights: u32, more: &str) -> (Shelf, S3, Faults) {
    let shelf = Shelf::new();
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    shelf.configure_s3(&faults.endpoint(), more);
    for number in 1..=nights {
        shelf.put_s3(&s3, &night(number));
    }
    (shelf, s3, faults)
}

#[test]
fn a_store_that_refuses_a_removal_is_named_and_the_rest_goes_on() {
    let (shelf, s3, faults) = nights_behind_faults(6, "[backup.retention]\nkeep_last = 3\n");
    // The first that it is asked to remove, which is the oldest.
    faults.add(Rule::on("*", Fault::Answer(403)).whose(is_removal));
    let run = shelf.machine.run(&["prune", "@s3", "--json"]).exits(3);
    let report = run.json();
    assert_eq!(faults.struck(), 1, "{:?}", faults.seen());
    assert_eq!(report["removed"], 2);
    assert_eq!(named(&report["undone"]), [night(1)]);
    assert_eq!(report["error"]["kind"], "partial");
    let kept: Vec<String> = s3.objects().into_keys().collect();
    assert_eq!(
        kept,
        [1, 4, 5, 6].map(|number| format!("p/{}", night(number)))
    );
}

#[test]
fn a_bucket_of_many_pages_is_listed_to_its_end() {
    let (shelf, s3, faults) = nights_behind_faults(1, "");
    for number in 0..2_500 {
        let name = format!("hookshot-state-20200401-030000.{number}.tar.gz");
        fs::write(s3.file(&format!("p/{name}")), b"x").expect("written");
    }
    let report = shelf
        .machine
        .run(&["list", "@s3", "--json"])
        .exits(0)
        .json();
    let names = named(&report["archives"]);
    assert_eq!(names.len(), 2_501);
    assert_eq!(names.last(), Some(&night(1).as_str()));
    assert!(faults.count("GET") >= 3, "{}", faults.count("GET"));
    // The whole of the first listing that fails is not a short one.
    faults.add(Rule::on("GET", Fault::Answer(403)).after(1).always());
    shelf.machine.run(&["list", "@s3"]).exits(1);
    shelf
        .machine
        .run(&["prune", "@s3", "--keep-last", "1", "--yes"])
        .exits(1);
    assert_eq!(s3.objects().len(), 2_501);
}

#[test]
fn an_interrupted_run_says_what_it_did() {
    let (shelf, s3, faults) = nights_behind_faults(4, "");
    let child = Arc::new(AtomicI32::new(0));
    let pid = child.clone();
    let interrupts = move |head: &Head| {
        if is_removal(head) {
            // The process is known by then: it has asked much before it removes.
            let pid = Pid::from_raw(pid.load(Ordering::SeqCst));
            kill(pid, Signal::SIGINT).expect("a process");
        }
        false
    };
    faults.add(Rule::on("*", Fault::Hang).whose(interrupts));
    let mut command = shelf.machine.command();
    command.args(["prune", "@s3", "--keep-last", "2", "--json"]);
    let started = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let started = started.expect("the binary");
    child.store(
        i32::try_from(started.id()).expect("an id"),
        Ordering::SeqCst,
    );
    let output = started.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["error"]["kind"], "interrupted");
    let left = s3.objects().len();
    assert_eq!(report["removed"], 4 - left, "{report}");
    assert!(left > 2, "{left}");
}

#[test]
fn a_mark_that_is_set_while_a_run_is_at_work_holds() {
    let (shelf, s3, faults) = nights_behind_faults(3, "");
    let mark = s3.file(&format!("p/{}.keep", night(1)));
    let first = night(1);
    let marks = move |head: &Head| {
        if head.method() == "HEAD" && head.line[1].ends_with(&first) {
            fs::write(&mark, "forever\n").expect("written");
        }
        false
    };
    faults.add(Rule::on("*", Fault::Hang).whose(marks));
    let run = shelf
        .machine
        .run(&["prune", "@s3", "--keep-last", "2", "--json"])
        .exits(3);
    assert_eq!(named(&run.json()["undone"]), [night(1)]);
    assert_eq!(s3.objects().len(), 4);
    // And over a store a mark is written and taken away as in a folder.
    let archive = format!("@s3/{}", night(2));
    shelf.machine.run(&["keep", &archive]).exits(0);
    assert!(s3.file(&format!("p/{}.keep", night(2))).exists());
    shelf
        .machine
        .run(&["keep", &archive, "--until", "9999-01-01"])
        .exits(0);
    shelf.machine.run(&["keep", &archive, "--remove"]).exits(0);
    assert!(!s3.file(&format!("p/{}.keep", night(2))).exists());
}

#[test]
fn an_archive_that_was_misread_on_its_way_is_not_removed_for_that() {
    let (shelf, s3, faults) = nights_behind_faults(3, "");
    // Its end, and then all of it, if that is not enough; at the next look all is well.
    let second = night(2);
    let is_read = move |head: &Head| head.method() == "GET" && head.line[1].ends_with(&second);
    let flip = Fault::FlipAnswerByte { at: 0 };
    faults.add(Rule::on("GET", flip).whose(is_read).times(2));
    let prune = ["prune", "@s3", "--keep-last", "3", "--check", "--json"];
    let report = shelf.machine.run(&prune).exits(3).json();
    assert_eq!(faults.struck(), 2, "{:?}", faults.seen());
    assert_eq!(report["remove"][0]["standing"], "damaged");
    assert_eq!(named(&report["undone"]), [night(2)]);
    assert_eq!(s3.objects().len(), 3);
    shelf.machine.run(&prune).exits(0);
}
