//! Retention keeps what restic's rules keep: by a table of what its manual says, and by asking restic.

use std::{collections::BTreeSet, fs, path::Path};

use chrono::{DateTime, Utc};
use hookshot::model::{
    archive_name::ArchiveName,
    retention::{Archive, Counts, Judged, Policy, Reason, Standing, Verdict, Zone, judge},
};
use serde_json::Value;
use support::{Machine, finish, restic::Restic, vaults::with_vault};

/// A policy in the words of restic's options: `daily 7 within 30d`.
fn policy(words: &str, zone: Zone) -> Policy {
    let words: Vec<&str> = words.split(' ').collect();
    let (mut counts, mut within) = (Counts::default(), None);
    for pair in words.chunks(2) {
        let count = || pair[1].parse().expect("a count");
        match pair[0] {
            "last" => counts.last = count(),
            "hourly" => counts.hourly = count(),
            "daily" => counts.daily = count(),
            "weekly" => counts.weekly = count(),
            "monthly" => counts.monthly = count(),
            "yearly" => counts.yearly = count(),
            "within" => within = Some(pair[1].parse().expect("a span")),
            other => panic!("{other}"),
        }
    }
    Policy::new(counts, within, zone)
}

fn archive(time: DateTime<Utc>) -> Archive {
    Archive {
        name: time.to_rfc3339(),
        time,
        number: 0,
        standing: Standing::Good,
        mark: None,
        arrival: None,
    }
}

fn is_kept(judged: &Judged) -> bool {
    matches!(judged.verdict, Verdict::Keep(_))
}

/// A rule in words, a policy, and archives, newest first, with true for each that stays.
type Case = (&'static str, &'static str, &'static [(&'static str, bool)]);

/// The cases of `forget` in restic's manual.
const MANUAL: [Case; 11] = [
    (
        "the last archives stay, whenever they were made",
        "last 2",
        &[
            ("2026-11-21 10:01", true),
            ("2026-11-21 10:00", true),
            ("2026-11-21 09:59", false),
            ("2020-01-01 00:00", false),
        ],
    ),
    (
        "each day with archives keeps its newest",
        "daily 2",
        &[
            ("2026-11-21 23:59", true),
            ("2026-11-21 00:00", false),
            ("2026-11-20 12:00", true),
            ("2026-11-20 11:59", false),
            ("2026-11-19 12:00", false),
        ],
    ),
    (
        "days without archives do not use up counts",
        "daily 3",
        &[
            ("2026-11-21 12:00", true),
            ("2026-10-03 12:00", true),
            ("2021-01-01 12:00", true),
            ("2020-01-01 12:00", false),
        ],
    ),
    (
        "each hour with archives keeps its newest",
        "hourly 2",
        &[
            ("2026-11-21 10:59", true),
            ("2026-11-21 10:00", false),
            ("2026-11-21 09:00", true),
            ("2026-11-20 10:59", false),
        ],
    ),
    (
        "weeks begin on Monday, and the first of January may be of the year before",
        "weekly 3",
        &[
            ("2027-01-04 00:00", true),
            ("2027-01-03 23:59", true),
            ("2026-12-28 00:00", false),
            ("2026-12-27 23:59", true),
            ("2026-12-20 23:59", false),
        ],
    ),
    (
        "months and years go by the calendar",
        "monthly 2 yearly 2",
        &[
            ("2027-01-01 00:00", true),
            ("2026-12-31 23:59", true),
            ("2026-12-01 00:00", false),
            ("2026-11-30 23:59", false),
            ("2025-12-31 23:59", false),
        ],
    ),
    (
        "one archive may serve several rules, and each rule counts it",
        "last 1 daily 1 monthly 2",
        &[
            ("2026-11-21 12:00", true),
            ("2026-11-20 12:00", false),
            ("2026-10-31 12:00", true),
            ("2026-09-30 12:00", false),
        ],
    ),
    (
        "rules are alternatives: what one keeps, stays",
        "last 3 yearly 1",
        &[
            ("2026-11-21 12:02", true),
            ("2026-11-21 12:01", true),
            ("2026-11-21 12:00", true),
            ("2026-11-21 11:00", false),
            ("2025-06-01 12:00", false),
        ],
    ),
    (
        "the oldest stays while counts remain, so that history grows as long as the rule allows",
        "monthly 12",
        &[
            ("2026-11-21 12:00", true),
            ("2026-11-20 12:00", false),
            ("2026-10-31 12:00", true),
            ("2026-10-15 12:00", false),
            ("2026-10-02 12:00", true),
        ],
    ),
    (
        "the span is counted back from the newest archive, and its end is not in it",
        "within 1y1m1d1h",
        &[
            ("2026-11-21 12:00", true),
            ("2025-10-20 11:01", true),
            ("2025-10-20 11:00", false),
            ("2025-10-20 10:59", false),
        ],
    ),
    (
        "all means every one",
        "yearly all",
        &[
            ("2026-11-21 12:00", true),
            ("2026-11-20 12:00", false),
            ("2025-11-21 12:00", true),
            ("1999-11-21 12:00", true),
            ("1999-11-20 12:00", true),
        ],
    ),
];

#[test]
fn policies_keep_what_the_manual_of_restic_says() {
    let now = "2030-01-01T00:00:00Z".parse().expect("a time");
    for (what, words, archives) in MANUAL {
        let time = |text: &str| {
            format!("{}:00Z", text.replace(' ', "T"))
                .parse()
                .expect("a time")
        };
        let there = archives
            .iter()
            .map(|(text, _)| archive(time(text)))
            .collect();
        let judged = judge(there, &policy(words, Zone::UTC), now);
        let found: Vec<bool> = judged.iter().map(is_kept).collect();
        let expected: Vec<bool> = archives.iter().map(|(_, kept)| *kept).collect();
        assert_eq!(found, expected, "{what}: {judged:#?}");
    }
}

#[test]
fn the_example_in_the_documents_is_what_comes_out() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/retention.md");
    let document = fs::read_to_string(document).expect("a document");
    let block = document
        .split("```")
        .nth(1)
        .expect("a policy")
        .trim_start_matches("toml");
    let table: toml::Table = block.parse().expect("TOML");
    let retention = table["backup"]["retention"].as_table().expect("a section");
    let mut words = Vec::new();
    for (key, value) in retention.iter().filter(|(key, _)| *key != "timezone") {
        words.push(format!("{} {value}", key.trim_start_matches("keep_")));
    }
    let zone = retention["timezone"]
        .as_str()
        .expect("a name")
        .parse()
        .expect("a zone");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `state-"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 9);
    let archives = rows.iter().map(|row| {
        let name = row[0].trim_matches('`').to_owned();
        let order = ArchiveName::parse(&name).expect("a name").order();
        // The only damaged one.
        let standing = if name.contains("20261118") {
            Standing::Damaged
        } else {
            Standing::Good
        };
        Archive {
            name,
            time: order.time,
            number: order.number,
            standing,
            mark: None,
            arrival: None,
        }
    });
    let now = "2026-11-21T06:00:00Z".parse().expect("a time");
    let judged = judge(archives.collect(), &policy(&words.join(" "), zone), now);
    let found: Vec<Vec<String>> = judged
        .iter()
        .map(|one| {
            let (verdict, why) = match &one.verdict {
                Verdict::Keep(reasons) => {
                    let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
                    ("keep", reasons.join("; "))
                }
                Verdict::Remove(removal) => ("remove", removal.to_string()),
            };
            vec![format!("`{}`", one.archive.name), verdict.to_owned(), why]
        })
        .collect();
    assert_eq!(
        found,
        rows,
        "\n{}",
        found
            .iter()
            .map(|row| format!("| {} |\n", row.join(" | ")))
            .collect::<String>()
    );
}

/// When snapshots are taken, by the clock on the wall: around the ends of days, weeks and years, and the days on which
/// clocks change in Berlin (31 October) and New York (7 November).
const WALL_TIMES: [&str; 16] = [
    "2020-02-29 12:00:00",
    "2020-03-01 12:00:00",
    "2020-12-27 23:59:59",
    "2020-12-28 00:00:00",
    "2021-01-03 23:59:59",
    "2021-01-04 00:00:00",
    "2021-10-30 23:30:00",
    "2021-10-31 01:59:59",
    "2021-10-31 02:30:00",
    "2021-10-31 03:00:00",
    "2021-11-07 00:30:00",
    "2021-11-07 01:30:00",
    "2021-11-07 02:00:00",
    "2021-11-07 10:20:00",
    "2021-11-08 10:00:00",
    "2021-11-08 10:20:00",
];

const POLICIES: [&str; 9] = [
    "last 3",
    "hourly 9",
    "daily 4",
    "weekly 4",
    "monthly 3 yearly 1",
    "yearly 9",
    "within 1d",
    "within 10m7d3h",
    "last 2 daily 3 weekly 5 monthly 4 yearly 2 within 6h",
];

/// A repository in a folder of its own. It is hookshot's: one of restic's own takes half a second of each run to open.
struct Repository {
    machine: Machine,
    restic: Restic,
}

impl Repository {
    fn create(restic: Restic) -> Repository {
        let machine = with_vault("");
        machine.write("data/file", "tiny", 0o600);
        Repository { machine, restic }
    }

    fn restic(&self, zone: Zone, arguments: &[&str]) -> Vec<u8> {
        let repository = self.machine.path("vault");
        let mut command = self.restic.command(&repository, arguments);
        command.arg("--quiet").env("TZ", zone.name());
        command
            .current_dir(self.machine.path("data"))
            .env("HOME", self.machine.path("tmp"));
        finish(command, b"").exits(0).stdout
    }

    /// The times of what restic would keep and remove; each zone is a host.
    fn forget(&self, zone: Zone, words: &str) -> [BTreeSet<DateTime<Utc>>; 2] {
        let mut arguments = vec!["forget", "--dry-run", "--json", "--host", zone.name()];
        let options: Vec<String> = words
            .split(' ')
            .enumerate()
            .map(|(place, word)| {
                if place % 2 == 0 {
                    format!("--keep-{word}")
                } else {
                    word.to_owned()
                }
            })
            .collect();
        arguments.extend(options.iter().map(String::as_str));
        let answer: Value = serde_json::from_slice(&self.restic(zone, &arguments)).expect("JSON");
        ["keep", "remove"].map(|verdict| {
            let snapshots = answer[0][verdict].as_array().into_iter().flatten();
            snapshots.map(|snapshot| time(&snapshot["time"])).collect()
        })
    }
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a time").parse().expect("a time")
}

/// The zones that this machine knows; a restic that does not know a zone takes UTC for it.
fn zones() -> Vec<Zone> {
    let zones = ["Europe/Berlin", "America/New_York"]
        .into_iter()
        .filter(|name| {
            let is_there = Path::new("/usr/share/zoneinfo").join(name).exists();
            if !is_there {
                assert!(
                    std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
                    "{name} is missing"
                );
                eprintln!("left out: {name} is not among this machine's time zones (tzdata)");
            }
            is_there
        });
    zones.map(|name| name.parse().expect("a zone")).collect()
}

#[test]
fn restic_itself_keeps_and_removes_the_same() {
    let Some(restic) = Restic::of_the_system() else {
        return;
    };
    // From 0.16 on restic keeps the oldest snapshot while counts remain.
    let numbers: Vec<u32> = restic
        .version
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect();
    let keeps_the_oldest = numbers.as_slice() >= [0, 16].as_slice();
    let repository = Repository::create(restic);
    let now = "2030-01-01T00:00:00Z".parse().expect("a time");
    for zone in zones() {
        for wall in WALL_TIMES {
            let arguments = ["backup", "--host", zone.name(), "--time", wall, "file"];
            repository.restic(zone, &arguments);
        }
        let listed = repository.restic(zone, &["snapshots", "--json", "--host", zone.name()]);
        let listed: Vec<Value> = serde_json::from_slice(&listed).expect("JSON");
        let archives: Vec<Archive> = listed
            .iter()
            .map(|one| archive(time(&one["time"])))
            .collect();
        assert_eq!(archives.len(), WALL_TIMES.len());
        for words in POLICIES {
            let judged = judge(archives.clone(), &policy(words, zone), now);
            let by_restic = |judged: &&Judged| match &judged.verdict {
                // An older restic lets the oldest go.
                Verdict::Keep(reasons) => {
                    keeps_the_oldest
                        || reasons
                            .iter()
                            .any(|reason| !matches!(reason, Reason::Oldest(_)))
                }
                Verdict::Remove(_) => false,
            };
            let (keep, remove): (Vec<&Judged>, Vec<&Judged>) = judged.iter().partition(by_restic);
            let times = |judged: Vec<&Judged>| judged.iter().map(|one| one.archive.time).collect();
            let ours: [BTreeSet<DateTime<Utc>>; 2] = [times(keep), times(remove)];
            assert_eq!(ours, repository.forget(zone, words), "{words} in {zone}");
        }
    }
}
