//! The nightly job with a repository among its destinations: it tells the same as with archives, by every means.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use support::{
    finish, program,
    restic::PASSWORD,
    servers::{Inbox, Reply, Smtp, SmtpOptions},
    service::write,
};

use super::{Night, break_down, mend};

/// The occasions that everybody is told of.
const ON: &str = "on = [\"start\", \"success\", \"partial\", \"failure\"]";

/// The reasons of a destination whose folder is a file, as a folder of archives and a repository tell them.
const REASONS: [&str; 4] = [
    "/two/: cannot create /two/: Not a directory",
    "@two: cannot read the folder /two: Not a directory",
    "cannot read .hookshot-unchanged-shop, a note beside the archives, in /two: cannot read the folder /two: Not a directory",
    "cannot read the folder /two: Not a directory",
];

/// The words of a run: its report, its line of the history, requests, mails, metrics, and the words of hooks.
#[derive(Debug, PartialEq)]
struct Said {
    report: Value,
    history: Value,
    requests: Vec<(String, String)>,
    mails: Vec<String>,
    metrics: Vec<String>,
    hooks: String,
    status: (i32, Value),
}

/// A service that tells everybody, whose second destination is a folder or a repository.
struct Telling {
    night: Night,
    inbox: Inbox,
    smtp: Option<Smtp>,
}

impl Telling {
    fn new(is_repository: bool) -> Telling {
        let inbox = Inbox::start(&[Reply::Status(200)]);
        let smtp = Smtp::start(&SmtpOptions::default());
        let night = Night::new("", &[]);
        let line = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE");
        let stages = ["before", "after", "success", "failure", "finally"];
        let hooks = stages.map(|stage| (stage, &*line));
        night.configure("prometheus_file = \"shop.prom\"", &hooks);
        let text = fs::read_to_string(&night.service.config).expect("it");
        let two = format!("url = \"{}\"\n", night.two.display());
        let repository = format!(
            "url = \"restic:{}\"\npassword = \"file:vault.key\"\n",
            night.two.display()
        );
        let mut text = match is_repository {
            true => text.replace(&two, &repository),
            false => text,
        };
        for kind in ["webhook", "ntfy"] {
            text.push_str(&format!(
                "[[backup.notify]]\nname = \"{kind}\"\nkind = \"{kind}\"\nurl = \"{}/{kind}\"\n{ON}\n",
                inbox.endpoint()
            ));
        }
        if let Some(smtp) = &smtp {
            text.push_str(&format!(
                "[[backup.notify]]\nname = \"mail\"\nkind = \"email\"\nsmtp = \"smtp://{}\"\n\
                 from = \"backup@example.org\"\nto = [\"ops@example.org\"]\n{ON}\n",
                smtp.address()
            ));
        }
        fs::write(&night.service.config, text).expect("written");
        let key = night.service.config.with_file_name("vault.key");
        write(&key, PASSWORD);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(key, mode).expect("private");
        match is_repository {
            true => drop(night.service.run(&["repo", "init", "@two"], 0)),
            false => fs::create_dir(&night.two).expect("a folder"),
        }
        Telling { night, inbox, smtp }
    }

    /// Runs, and returns what is new of everything.
    fn said(&self, hours: u32, arguments: &[&str], code: i32) -> Said {
        let _ = fs::remove_file(self.night.service.machine.path("said"));
        let requests = self.inbox.seen().len();
        let mails = self.smtp.as_ref().map_or(0, |smtp| smtp.mails().len());
        let report = self.night.run_before(hours, arguments, code).json();
        let requests = self.inbox.seen().split_off(requests);
        let requests = requests.iter().map(|request| {
            let title = request.head.header("title").unwrap_or_default();
            let body = String::from_utf8(request.body.clone()).expect("UTF-8");
            let body = match serde_json::from_str::<Value>(&body) {
                Ok(body) => self.plain(body).to_string(),
                Err(_) => self.plain_text(&body),
            };
            let tags = request.head.header("tags").unwrap_or_default();
            let head = format!("{} {tags} {}", request.head.path(), self.plain_text(title));
            (head, body)
        });
        let mut requests: Vec<(String, String)> = requests.collect();
        requests.sort();
        let mails = self
            .smtp
            .iter()
            .flat_map(|smtp| smtp.mails().split_off(mails));
        let mails = mails.map(|mail| self.plain_text(mail["text"].as_str().expect("a text")));
        let metrics = fs::read_to_string(self.night.service.config.with_file_name("shop.prom"));
        let metrics = metrics.expect("metrics");
        let metrics = metrics.lines().map(|line| self.plain_text(line));
        let mut status = Command::new(program());
        status.args(["status", "--json", "--max-age", "999d", "--config"]);
        status.arg(&self.night.service.config);
        let status = finish(status, b"");
        Said {
            report: self.plain(report),
            history: self.plain(self.night.history().pop().expect("a line")),
            requests,
            mails: mails.collect(),
            metrics: metrics.collect(),
            hooks: self.night.said(),
            status: (status.code, self.plain(status.json())),
        }
    }

    /// Returns a value without what is another one in each run. A reason may name the destination by its kind.
    fn plain(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.plain_text(&text).into(),
            Value::Number(number) if number.as_u64().is_none_or(|number| number > 99) => "#".into(),
            Value::Array(list) => list.into_iter().map(|one| self.plain(one)).collect(),
            Value::Object(map) => {
                let pairs = map.into_iter().map(|(key, value)| {
                    let is_told =
                        value.is_string() && ["error", "hint", "command"].contains(&&*key);
                    match is_told {
                        true => (key, "told".into()),
                        false => (key, self.plain(value)),
                    }
                });
                Value::Object(pairs.collect())
            }
            other => other,
        }
    }

    /// Returns a text whose numbers and identifiers are `#`, and in which a reason is one word.
    fn plain_text(&self, text: &str) -> String {
        let folder = self.night.service.machine.path("");
        let mut text = text.replace(&*folder.to_string_lossy(), "/");
        for reason in REASONS {
            text = text.replace(reason, "reason");
        }
        let mut plain = String::new();
        for word in text.split_inclusive([' ', '\n', '/', '"', ',']) {
            match word.bytes().any(|byte| byte.is_ascii_digit()) {
                true => {
                    let end = word.trim_end_matches([' ', '\n', '/', '"', ',']).len();
                    plain.push('#');
                    plain.push_str(&word[end..]);
                }
                false => plain.push_str(word),
            }
        }
        plain
    }
}

#[test]
fn a_night_with_a_repository_tells_the_same_as_one_with_archives() {
    let kinds = [false, true].map(Telling::new);
    let both = |hours: u32, arguments: &[&str], code: i32| {
        let [archives, repository] = kinds
            .each_ref()
            .map(|kind| kind.said(hours, arguments, code));
        assert_eq!(archives, repository, "{arguments:?}, {hours} hours ago");
        repository
    };
    let said = both(9, &["--tag", "why=test"], 0);
    assert_eq!(said.report["result"], "success");
    assert!(
        said.requests.len() == 4 && said.mails.len() == 2 * usize::from(kinds[1].smtp.is_some())
    );
    assert!(said.hooks.contains("success success 0"), "{}", said.hooks);
    for kind in &kinds {
        break_down(&kind.night.two);
    }
    let said = both(8, &["--keep"], 17);
    assert_eq!(said.report["result"], "partial");
    assert_eq!(said.report["destinations"][1]["good"], false);
    both(7, &[], 17);
    for kind in &kinds {
        mend(&kind.night.two);
    }
    // A mark and what was missed arrive later.
    let said = both(6, &[], 0);
    let two = &said.report["destinations"][1];
    assert_eq!(two["caught_up"].as_array().map(Vec::len), Some(2), "{two}");
    let lists = kinds.each_ref().map(|kind| {
        let list = kind.night.service.run(&["list", "@two", "--json"], 0);
        let list = list.json();
        let archives = list["archives"].as_array().expect("archives").iter();
        let marks = archives.map(|one| one["mark"].clone());
        marks.collect::<Vec<Value>>()
    });
    assert_eq!(lists[0], lists[1]);
    assert!(lists[0].iter().any(|mark| !mark.is_null()), "{lists:?}");
    // Of the marked one, the newest of each policy, and no other.
    assert_eq!(lists[0].len(), 3, "{lists:?}");
}

#[test]
fn a_dry_run_says_that_a_repository_is_missing_as_the_run_does() {
    let night = Night::new("", &[]);
    let text = fs::read_to_string(&night.service.config).expect("it");
    let url = |path: &Path| format!("url = \"{}\"\n", path.display());
    let vault = |path: &Path| {
        let key = night.service.config.with_file_name("vault.key");
        write(&key, PASSWORD);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(key, mode).expect("private");
        format!(
            "url = \"restic:{}\"\npassword = \"file:vault.key\"\n",
            path.display()
        )
    };
    let text = text.replace(&url(&night.two), &vault(&night.two));
    fs::write(&night.service.config, text).expect("written");
    for arguments in [&[][..], &["@one", "@two"]] {
        let dry = night.run(&[arguments, &["--dry-run"]].concat(), 17);
        let real = night.run(arguments, 17);
        for run in [dry, real] {
            let said = run.text() + &run.stderr;
            assert!(said.contains("has no repository"), "{arguments:?}: {said}");
        }
        assert!(!night.two.exists(), "{arguments:?}");
    }
    // Alone, it has the exit code of what is missing.
    night.run(&["@two", "--dry-run"], 10);
    night.run(&["@two"], 10);
}

#[test]
fn a_dry_run_ends_as_the_run_if_no_destination_takes_the_archive() {
    let night = Night::new("", &[]);
    night.configure("", &[]);
    let mut text = fs::read_to_string(&night.service.config).expect("it");
    let folder = |name: &str| night.service.machine.path(name).display().to_string();
    for name in ["missing", "locked"] {
        text.push_str(&format!(
            "[backup.destinations.{name}]\nurl = \"restic:{}\"\npassword = \"file:{name}.key\"\n",
            folder(name)
        ));
    }
    text.push_str(&format!(
        "[backup.destinations.file]\nurl = \"{}\"\n[backup.destinations.refusing]\nurl = \"s3://bucket/shop\"\n\
         endpoint = \"http://127.0.0.1:1\"\nregion = \"eu-1\"\nallow_http = true\nretry_attempts = 1\n\
         access_key_id = \"one\"\nsecret_access_key = \"two\"\n",
        folder("file")
    ));
    fs::write(&night.service.config, text).expect("written");
    fs::write(folder("file"), "no folder").expect("written");
    let password = |name: &str, password: &str| {
        let key = night.service.config.with_file_name(format!("{name}.key"));
        write(&key, password);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(key, mode).expect("private");
    };
    password("missing", PASSWORD);
    password("locked", PASSWORD);
    night.service.run(&["repo", "init", "@locked"], 0);
    password("locked", "another one");
    for (destinations, code) in [
        (&["@refusing"][..], 17),
        (&["@missing"], 10),
        (&["@locked"], 12),
        (&["@file"], 1),
        // That of the last one which cannot be opened.
        (&["@missing", "@locked"], 12),
        (&["@locked", "@missing"], 10),
        (&["@missing", "@file"], 1),
        (&["@file", "@missing"], 10),
        // One that can be opened decides.
        (&["@refusing", "@missing"], 17),
        (&["@locked", "@refusing"], 17),
        (&["@refusing", "@file"], 17),
        (&["@one", "@missing"], 17),
    ] {
        night.run(&[destinations, &["--dry-run"]].concat(), code);
        night.run(destinations, code);
    }
}

#[test]
fn a_dry_run_ends_as_the_run_if_the_policy_would_remove_too_much() {
    let night = Night::new("", &[]);
    // Of several days: those of one day count once.
    for day in 1..7 {
        night.run_before(24 * day, &["@one", "--no-prune"], 0);
    }
    let text = fs::read_to_string(&night.service.config).expect("it");
    let text = text.replace("max_remove = \"100%\"", "max_remove = \"10%\"");
    fs::write(&night.service.config, text).expect("written");
    let plan = night.json(&["@one", "--dry-run"], 3);
    let planned = &plan["destinations"][0];
    assert!(planned["error"].is_null(), "{planned}");
    let reason = planned["not_pruned"].as_str().expect("a reason");
    assert!(reason.contains("max_remove"), "{reason}");
    night.run(&["@one"], 3);
}

#[test]
fn a_repository_that_is_damaged_while_it_gets_the_archive_did_not_prove_it() {
    let night = Night::new("", &[]);
    night.configure("", &[]);
    let mut text = fs::read_to_string(&night.service.config).expect("it");
    let vault = night.service.machine.path("vault");
    text.push_str(&format!(
        "[backup.destinations.vault]\nurl = \"restic:{}\"\npassword = \"file:vault.key\"\n",
        vault.display()
    ));
    fs::write(&night.service.config, text).expect("written");
    let key = night.service.config.with_file_name("vault.key");
    write(&key, PASSWORD);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(key, mode).expect("private");
    night.service.run(&["repo", "init", "@vault"], 0);
    night.service.run(&["export", "@vault"], 0);
    let index = fs::read_dir(vault.join("index")).expect("indexes").next();
    let index = index.expect("one").expect("an entry").path();
    fs::write(index, "damaged").expect("written");
    let run = night.json(&["@vault"], 17);
    let said = run.to_string();
    assert!(
        !said.contains("does not hold what its manifest says"),
        "{said}"
    );
    night.service.run(&["export", "@vault"], 17);
}
