//! One suite for every kind of destination: the same verbs over archives and over repositories, with the same answers.
//!
//! [`Place`] says where a repository answers otherwise, and why. Nothing else may differ.

use support::{
    Machine, Run, Targets, clock, finish, program,
    programs::gunzipped,
    restic::PASSWORD,
    servers::{Azurite, Gcs, S3, Sshd, s3::BUCKET},
    vaults::files_below,
};

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

/// The nights of archives that a policy judges: two years, two months, and three days of one month.
const NIGHTS: [&str; 6] = [
    "hookshot-state-20241115-030000.tar.gz",
    "hookshot-state-20251120-030000.tar.gz",
    "hookshot-state-20251220-030000.tar.gz",
    "hookshot-state-20260101-030000.tar.gz",
    "hookshot-state-20260102-030000.tar.gz",
    "hookshot-state-20260103-030000.tar.gz",
];
/// A policy of three calendars, and what it keeps of the nights beside a newer archive.
const POLICY: [&str; 6] = [
    "--keep-daily",
    "2",
    "--keep-monthly",
    "2",
    "--keep-yearly",
    "2",
];
const KEPT: [&str; 2] = [NIGHTS[5], NIGHTS[2]];

/// A kind of destination, with its server.
enum Server {
    Folder,
    S3(S3),
    Sftp(Sshd),
    Azure(Azurite),
    Gcs(Gcs),
}

/// A destination of a machine, `@place`, and what is meant to differ there.
struct Place {
    machine: Machine,
    server: Server,
    is_repository: bool,
}

/// The differences of a repository that are meant.
impl Place {
    /// The exit code of an export to a destination that does not exist. A folder is made, and a bucket is found to be
    /// missing by the upload. A repository is opened before anything is read, and is not made: it would have a password
    /// and a size of chunks of its own, and the mistake in a URL would show when the other one is needed.
    fn code_of_an_export_to_nothing(&self) -> i32 {
        match (self.is_repository, &self.server) {
            (false, Server::Folder | Server::Sftp(_)) => 0,
            (false, _) => 17,
            (true, _) => 10,
        }
    }

    /// The bytes that an archive of these bytes and contents has in a list. A repository shares content between its
    /// archives: the size of one is that of what it holds.
    fn size_of(&self, archive_bytes: u64, content_bytes: u64) -> std::ops::RangeInclusive<u64> {
        match self.is_repository {
            false => archive_bytes..=archive_bytes,
            // The manifest is a file among them.
            true => content_bytes..=content_bytes + 64_000,
        }
    }

    /// The exit code of an export to a name that is taken. A file of this machine is named by its path, like any output of a
    /// program: an older archive there is replaced. A store gives a name once.
    fn code_of_a_taken_name(&self) -> i32 {
        match (self.is_repository, &self.server) {
            (false, Server::Folder) => 0,
            _ => 17,
        }
    }

    /// Damages every archive: those of a repository share the files that hold their content, so it is all of these.
    fn damage(&self) {
        let files = self.files().expect("a server that keeps files");
        let below = match self.is_repository {
            true => files.join("data"),
            false => files,
        };
        for file in files_below(&below) {
            let mut bytes = fs::read(&file).expect("a file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).expect("written");
        }
    }

    /// Returns true if an old archive that was copied here stays after it had a mark. A mark writes the record of a state
    /// anew: only states that came in time take its place then.
    fn keeps_what_was_marked(&self) -> bool {
        self.is_repository
    }

    /// Returns true if two archives with the same content are the same, byte for byte. A repository holds entries, and an
    /// archive is packed again: its tar is the same, the bytes of gzip need not be.
    fn returns_the_same_bytes(&self) -> bool {
        !self.is_repository
    }
}

impl Place {
    fn new(server: Server, is_repository: bool) -> Place {
        let machine = Machine::new();
        let place = Place {
            machine,
            server,
            is_repository,
        };
        let text = format!(
            "[backup]\nto = [\"place\"]\n[backup.retention]\nkeep_last = 50\nmax_remove = \"100%\"\n\
             [backup.destinations.local]\nurl = \"{}\"\n\
             [backup.destinations.place]\n{}\
             [backup.destinations.missing]\n{}",
            place.machine.path("local").display(),
            place.section("there"),
            place.section("missing"),
        );
        let text = place.machine.config_text(&text);
        place.machine.write("etc/config.toml", text, 0o600);
        place.machine.write("etc/vault.key", PASSWORD, 0o600);
        if let Server::Gcs(gcs) = &place.server {
            let key = Gcs::service_account(&gcs.endpoint());
            place.machine.write("etc/gcs.json", key, 0o600);
        }
        place
    }

    /// The configuration of a destination in the folder called `folder`.
    fn section(&self, folder: &str) -> String {
        let (url, more) = match &self.server {
            Server::Folder => (
                self.machine.path(folder).display().to_string(),
                String::new(),
            ),
            Server::S3(s3) => {
                let bucket = match folder {
                    "missing" => "no-bucket",
                    _ => BUCKET,
                };
                let more = format!(
                    "endpoint = \"{}\"\nregion = \"eu-1\"\nallow_http = true\npath_style = true\nretry_attempts = 1\n\
                     access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
                    s3.endpoint(),
                    S3::ACCESS_KEY,
                    S3::SECRET_KEY
                );
                (format!("s3://{bucket}/{folder}"), more)
            }
            Server::Sftp(sshd) => {
                let section = sshd.destination();
                let (url, more) = section.split_once('\n').expect("two lines");
                let url = url.trim_start_matches("url = ").trim_matches('"');
                (url.replace("archives", folder), format!("{more}\n"))
            }
            Server::Azure(azurite) => {
                let section = azurite.destination();
                let (_, more) = section.split_once('\n').expect("two lines");
                (format!("az://{BUCKET}/{folder}"), format!("{more}\n"))
            }
            Server::Gcs(_) => {
                let more = "allow_http = true\nservice_account_key = \"file:gcs.json\"\n";
                (format!("gs://{BUCKET}/{folder}"), more.to_owned())
            }
        };
        match self.is_repository {
            true => format!("url = \"restic:{url}\"\npassword = \"file:vault.key\"\n{more}"),
            false => format!("url = \"{url}\"\n{more}"),
        }
    }

    /// The folder that holds what `@place` holds.
    fn files(&self) -> Option<PathBuf> {
        match &self.server {
            Server::Folder => Some(self.machine.path("there")),
            Server::S3(s3) => Some(s3.file("there")),
            Server::Sftp(sshd) => Some(sshd.files().join("there")),
            Server::Azure(_) | Server::Gcs(_) => None,
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.machine.run(arguments)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        self.run(&[&["--json"], arguments].concat())
            .exits(code)
            .json()
    }

    /// Runs at a moment at which the clock stands still.
    fn run_at(&self, moment: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new(program());
        clock::set(&mut command, moment);
        command
            .arg("--config")
            .arg(self.machine.path("etc/config.toml"));
        command.args(arguments).env("TZ", "UTC");
        command.env("TMPDIR", self.machine.path("tmp"));
        finish(command, b"")
    }

    /// The names of the archives, in the order of a list.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        named(&self.json(&["list", "@place"], 0)["archives"])
    }

    fn targets(&self) -> Targets {
        self.machine.targets()
    }
}

fn named(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter()
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Goes through all cases, in an order in which each leaves what the next needs.
fn conforms(server: Server, is_repository: bool) {
    let place = Place::new(server, is_repository);
    what_does_not_exist_is_told(&place);
    if is_repository {
        place.run(&["repo", "init", "@place"]).exits(0);
    }
    what_is_empty_is_told(&place);
    an_archive_is_exported_read_and_restored(&place);
    // What does not depend on the store is tried over a folder and S3 alone: the others take longer to connect to.
    let is_quick = matches!(place.server, Server::Folder | Server::S3(_));
    if is_quick {
        archives_of_one_second_are_numbered(&place);
        a_taken_name_stays_as_it_is(&place);
    }
    copies_are_the_same_archive(&place);
    marks_and_policies_hold(&place);
    if is_quick {
        jobs_name_it(&place);
        damage_is_found_and_changes_nothing(&place);
    }
}

fn what_does_not_exist_is_told(place: &Place) {
    place.run(&["list", "@missing"]).exits(10);
    place.run(&["verify", "@missing/latest"]).exits(10);
    let code = place.code_of_an_export_to_nothing();
    place.run(&["export", "@missing"]).exits(code);
}

fn what_is_empty_is_told(place: &Place) {
    if !place.is_repository
        && let (Server::Folder | Server::Sftp(_), Some(files)) = (&place.server, place.files())
    {
        fs::create_dir(files).expect("a folder");
    }
    assert!(place.names().is_empty());
    for verb in ["verify", "inspect", "import", "diff"] {
        place.run(&[verb, "@place/latest"]).exits(10);
    }
    place.run(&["prune", "@place", "--keep-last", "1"]).exits(0);
    place.run(&["check", "@place"]).exits(0);
    assert!(place.names().is_empty());
}

fn an_archive_is_exported_read_and_restored(place: &Place) {
    let machine = &place.machine;
    machine.fill_database(300);
    let before = place.targets();
    let report = place.json(&["export", "@place", "@local"], 0);
    let outputs = report["outputs"].as_array().expect("outputs");
    assert!(
        outputs.iter().all(|output| output["good"] == true),
        "{report}"
    );
    let names = place.names();
    let [name] = &names[..] else {
        panic!("{names:?}")
    };
    // Both outputs have the same name, and the same archive.
    let local = machine.path("local").join(name);
    let archive_bytes = local.metadata().expect("it").len();
    let listed = place.json(&["list", "@place"], 0)["archives"][0].clone();
    let inspected = place.json(&["inspect", &format!("@place/{name}")], 0);
    let same = machine.run(&["--json", "inspect", local.to_str().expect("UTF-8")]);
    let same = same.exits(0).json();
    assert_eq!(inspected["manifest"], same["manifest"]);
    assert_eq!(inspected["root"], same["root"]);
    let entries = inspected["manifest"]["files"].as_object().expect("files");
    let content_bytes = entries
        .values()
        .map(|entry| entry["size"].as_u64().expect("a size"))
        .sum();
    let size = listed["size_bytes"].as_u64().expect("a size");
    let expected = place.size_of(archive_bytes, content_bytes);
    assert!(expected.contains(&size), "{size}, not {expected:?}");
    for word in [&*format!("@place/{name}"), "@place/latest", "@place"] {
        place.run(&["verify", word]).exits(0);
        let here = place.json(&["inspect", word], 0);
        assert_eq!(here["manifest"], inspected["manifest"], "{word}");
    }
    let secrets = place.run(&["extract", "@place/latest", "secrets", "-o", "-"]);
    assert_eq!(secrets.exits(0).stdout, machine.read("etc/secrets"));
    place
        .run(&["extract", "@place/latest", "nothing", "-o", "-"])
        .exits(10);
    place.run(&["diff", "@place/latest"]).exits(0);
    machine.write("etc/secrets", "another", 0o600);
    let changed = place.targets();
    assert_ne!(changed, before);
    let differences = place.json(&["diff", "@place/latest"], 1);
    let there = machine.run(&["--json", "diff", local.to_str().expect("UTF-8")]);
    assert_eq!(differences["entries"], there.exits(1).json()["entries"]);
    let dry = place.json(&["import", "@place/latest", "--dry-run"], 0);
    assert_eq!(dry["archive"], format!("@place/{name}"));
    assert_eq!(place.targets(), changed);
    place.run(&["import", "@place/latest"]).exits(0);
    assert_eq!(place.targets(), before);
    place.run(&["rollback"]).exits(0);
    assert_eq!(place.targets(), changed);
    place.run(&["import", &format!("@place/{name}")]).exits(0);
    assert_eq!(place.targets(), before);
    place
        .run(&["verify", "@place/hookshot-state-19990101-000000.tar.gz"])
        .exits(10);
}

fn archives_of_one_second_are_numbered(place: &Place) {
    let first = place.names();
    // A server of S3 accepts a clock that is a little late.
    let moment = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let moment = moment - chrono::TimeDelta::minutes(10);
    for _ in 0..3 {
        let moment = moment.format("%Y-%m-%d %H:%M:%S").to_string();
        place.run_at(&moment, &["export", "@place"]).exits(0);
    }
    let expected = [".2", ".1", ""].map(|number| {
        let second = moment.format("%Y%m%d-%H%M%S");
        format!("hookshot-state-{second}{number}.tar.gz")
    });
    assert_eq!(place.names(), [&first[..], &expected].concat());
    let words = expected.map(|name| format!("@place/{name}"));
    place.run(&["verify", &words[0]]).exits(0);
    place
        .run(&["delete", &words[0], &words[1], &words[2], "--yes"])
        .exits(0);
    assert_eq!(place.names(), first);
}

fn a_taken_name_stays_as_it_is(place: &Place) {
    let word = "@place/hookshot-state-20260301-030000.tar.gz";
    place.run(&["export", "--no-since", word]).exits(0);
    let before = place.json(&["inspect", word], 0)["manifest"].clone();
    let code = place.code_of_a_taken_name();
    let run = place.run(&["export", "--no-since", word]).exits(code);
    if code != 0 {
        run.says("already; archives are never overwritten");
        assert_eq!(place.json(&["inspect", word], 0)["manifest"], before);
    }
    place.run(&["delete", word, "--yes"]).exits(0);
}

fn copies_are_the_same_archive(place: &Place) {
    let machine = &place.machine;
    let name = &place.names()[0];
    let back = machine.path("back");
    fs::create_dir(&back).expect("a folder");
    let folder = format!("{}/", back.display());
    place
        .run(&["copy", &format!("@place/{name}"), &folder])
        .exits(0);
    let (one, other) = (machine.path("local").join(name), back.join(name));
    assert!(gunzipped(&one) == gunzipped(&other), "the tars differ");
    if place.returns_the_same_bytes() {
        assert!(fs::read(&one).expect("it") == fs::read(&other).expect("it"));
    }
    // Archives of other nights, each of its own state.
    for name in NIGHTS {
        machine.write(
            "etc/services.toml",
            format!("[services.\"{name}\"]\n"),
            0o640,
        );
        let path = machine.path("nights").join(name);
        fs::create_dir_all(machine.path("nights")).expect("a folder");
        machine
            .run(&["export", "--no-since", path.to_str().expect("UTF-8")])
            .exits(0);
    }
    let nights = machine.path("nights");
    let nights = nights.to_str().expect("UTF-8");
    let report = place.json(&["copy", nights, "@place"], 0);
    assert_eq!(
        report["copied"].as_array().map(Vec::len),
        Some(6),
        "{report}"
    );
    let again = place.json(&["copy", nights, "@place"], 0);
    assert_eq!(again["copied"].as_array().map(Vec::len), Some(0), "{again}");
    assert_eq!(place.names().len(), 1 + NIGHTS.len());
}

fn marks_and_policies_hold(place: &Place) {
    let newest = place.names()[0].clone();
    let mut names = NIGHTS.map(str::to_owned).to_vec();
    names.push(newest.clone());
    names.reverse();
    assert_eq!(place.names(), names);
    // The newest good archive stays, whatever is said.
    place
        .run(&["delete", &format!("@place/{newest}"), "--yes"])
        .exits(11);
    let marked = format!("@place/{}", NIGHTS[3]);
    place.run(&["keep", &marked]).exits(0);
    let prune = [&["prune", "@place"][..], &POLICY].concat();
    let plan = place.json(&[&prune[..], &["--dry-run"]].concat(), 0);
    let plan_of = |plan: &Value| [named(&plan["keep"]), named(&plan["remove"])];
    let owned = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    let kept = owned(&[&newest, KEPT[0], NIGHTS[3], KEPT[1]]);
    let removed = owned(&[NIGHTS[4], NIGHTS[1], NIGHTS[0]]);
    assert_eq!(plan_of(&plan), [kept.clone(), removed]);
    assert_eq!(place.names(), names);
    let done = place.json(&prune, 0);
    assert_eq!(plan_of(&done), plan_of(&plan));
    assert_eq!(place.names(), kept);
    // A mark changes nothing else.
    place.run(&["verify", &marked]).exits(0);
    place
        .run(&["keep", "--until", "2999-01-01", &marked])
        .exits(0);
    let listed = place.json(&["list", "@place"], 0);
    assert_eq!(listed["archives"][2]["name"], NIGHTS[3], "{listed}");
    place.run(&["keep", "--remove", &marked]).exits(0);
    place.json(&prune, 0);
    let kept = match place.keeps_what_was_marked() {
        true => owned(&[&newest, KEPT[0], NIGHTS[3], KEPT[1]]),
        false => owned(&[&newest, KEPT[0], KEPT[1]]),
    };
    assert_eq!(place.names(), kept);
    for name in kept {
        place.run(&["verify", &format!("@place/{name}")]).exits(0);
    }
}

fn jobs_name_it(place: &Place) {
    let report = place.json(&["backup"], 0);
    let archive = report["destinations"][0]["archive"].as_str();
    let archive = archive.unwrap_or_else(|| panic!("{report}")).to_owned();
    assert_eq!(place.names()[0], archive);
    assert_eq!(
        place.json(&["backup", "--if-changed"], 0)["result"],
        "skipped"
    );
    let drill = place.json(&["drill", "@place"], 0);
    assert_eq!(drill["drills"][0]["good"], true, "{drill}");
    assert_eq!(drill["drills"][0]["archive"], archive, "{drill}");
    let status = place.run(&["status", "--prometheus"]).text();
    for metric in [
        "hookshot_healthy",
        "hookshot_last_success_timestamp_seconds",
    ] {
        let line = format!("{metric}{{app=\"hookshot\",destination=\"place\"}} ");
        assert!(status.contains(&line), "{status}");
    }
    assert!(
        status.contains("hookshot_healthy{app=\"hookshot\",destination=\"place\"} 1"),
        "{status}"
    );
    let history = place.json(&["history"], 0);
    let text = history.to_string();
    assert!(
        text.contains("\"place\"") && text.contains(&archive),
        "{text}"
    );
    place.run(&["stats", "@place"]).exits(0);
}

fn damage_is_found_and_changes_nothing(place: &Place) {
    place.machine.write("etc/secrets", "now", 0o600);
    place.damage();
    let before = place.targets();
    for name in place.names() {
        let word = format!("@place/{name}");
        place.run(&["verify", &word]).exits(13);
        place.run(&["import", &word]).exits(13);
        assert_eq!(place.targets(), before, "{name}");
    }
    place.run(&["import", "@place/latest"]).exits(13);
    assert_eq!(place.targets(), before);
}

#[test]
fn archives_in_a_folder_conform() {
    conforms(Server::Folder, false);
}

#[test]
fn archives_in_s3_conform() {
    conforms(Server::S3(S3::start()), false);
}

#[test]
fn archives_over_sftp_conform() {
    if let Some(sshd) = Sshd::start() {
        conforms(Server::Sftp(sshd), false);
    }
}

#[test]
fn a_repository_in_a_folder_conforms() {
    conforms(Server::Folder, true);
}

#[test]
fn a_repository_in_s3_conforms() {
    conforms(Server::S3(S3::start()), true);
}

#[test]
fn a_repository_over_sftp_conforms() {
    if let Some(sshd) = Sshd::start() {
        conforms(Server::Sftp(sshd), true);
    }
}

#[test]
fn a_repository_in_azure_conforms() {
    if let Some(azurite) = Azurite::start() {
        conforms(Server::Azure(azurite), true);
    }
}

#[test]
fn a_repository_in_google_cloud_storage_conforms() {
    conforms(Server::Gcs(Gcs::start()), true);
}
