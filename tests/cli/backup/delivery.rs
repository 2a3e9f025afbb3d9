//! Destinations of the nightly job that are away, have a time of their own, or hold what was not proven.

use std::{fs, path::Path};

use serde_json::Value;
use support::archives_in;

use super::{Night, break_down, mend, mend_or_make};

#[test]
fn a_destination_that_was_away_gets_what_it_missed_and_is_not_pruned_before() {
    let night = Night::new("", &[]);
    let first = night.run_before(3, &[], 0).json();
    break_down(&night.two);
    let mut missed = Vec::new();
    for hours in [2, 1] {
        let report = night.run_before(hours, &[], 17).json();
        assert_eq!(report["result"], "partial");
        assert_eq!(report["destinations"][0]["good"], true);
        assert_eq!(report["destinations"][1]["good"], false);
        assert!(report["destinations"][1]["error"].is_string(), "{report}");
        missed.push(report["archive"].clone());
    }
    assert_eq!(archives_in(&night.one).len(), 2, "pruned there");
    mend(&night.two);
    assert_eq!(
        archives_in(&night.two),
        [first["archive"].as_str().expect("a name")]
    );
    let plan = night.json(&["--dry-run"], 0);
    // Two archives are kept: this run's, and the last of those that were missed.
    let planned = &plan["destinations"][1];
    assert_eq!(planned["catch_up"], Value::from(&missed[1..]));
    assert_eq!(planned["not_needed"], Value::from(&missed[..1]));
    let run = night.run(&["--json"], 0);
    let report = run.says("the policy would remove it at once").json();
    let two = &report["destinations"][1];
    assert_eq!(two["caught_up"], Value::from(&missed[1..]));
    assert_eq!(two["not_needed"], Value::from(&missed[..1]));
    assert_eq!(archives_in(&night.one), archives_in(&night.two));
    let report = night.json(&[], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
}

#[test]
fn without_any_destination_the_run_fails_with_the_reason() {
    let night = Night::new("", &[]);
    night.run(&[], 0);
    break_down(&night.one);
    break_down(&night.two);
    let report = night.json(&[], 1);
    assert_eq!(report["result"], "failure");
    assert_eq!(
        report["error"]["code"],
        report["destinations"][0]["error"].as_str().map_or(0, |_| 1)
    );
    assert_eq!(night.history().last().expect("a line")["result"], "failure");
}

#[test]
fn a_destination_of_a_higher_tier_gets_an_archive_when_its_time_has_come() {
    let night = Night::new("", &[]);
    let text = fs::read_to_string(&night.service.config).expect("read");
    let every = |every: &str| {
        let two = "[backup.destinations.two]\n";
        fs::write(
            &night.service.config,
            text.replace(two, &format!("{two}every = \"{every}\"\n")),
        )
        .expect("written");
    };
    // A month of many years ahead, and of many years ago: the first archive comes at once.
    every("0 0 29 2 *");
    assert_eq!(
        night.json(&[], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
    let run = night.run(&["--json"], 0).says("Its time has not come");
    assert_eq!(run.json()["destinations"].as_array().expect("one").len(), 1);
    assert_eq!(
        (archives_in(&night.one).len(), archives_in(&night.two).len()),
        (2, 1)
    );
    // A destination that is named gets one all the same.
    night.json(&["@two"], 0);
    assert_eq!(archives_in(&night.two).len(), 2);
    // Older than the last occasion.
    let old = "shop-20200101-000000.tar.gz";
    let newest = archives_in(&night.two).pop().expect("one");
    fs::rename(night.two.join(newest), night.two.join(old)).expect("moved");
    fs::remove_file(night.two.join(&archives_in(&night.two)[1])).expect("removed");
    every("daily");
    assert_eq!(
        night.json(&["--no-prune"], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
    assert_eq!(archives_in(&night.two).len(), 2);
}

#[test]
fn a_run_without_a_destination_whose_time_has_come_stops_no_service() {
    let night = Night::new("", &[]);
    let says = night.says("$HOOKSHOT_STAGE $HOOKSHOT_RESULT");
    night.configure(
        "",
        &[("before", &says), ("after", &says), ("finally", &says)],
    );
    let text = fs::read_to_string(&night.service.config).expect("read");
    let every = |name: &str| format!("[backup.destinations.{name}]\nevery = \"0 0 29 2 *\"\n");
    let mut text = text;
    for name in ["one", "two"] {
        text = text.replace(&format!("[backup.destinations.{name}]\n"), &every(name));
    }
    fs::write(&night.service.config, text).expect("written");
    night.run(&[], 0);
    fs::remove_file(night.service.machine.path("said")).expect("removed");
    let report = night.json(&[], 0);
    assert_eq!(
        (&report["result"], &report["skipped"]),
        (&"skipped".into(), &"not_due".into())
    );
    assert_eq!(night.said(), "finally skipped\n");
    // An archive of a clock that was wrong does not keep the tier waiting.
    for folder in [&night.one, &night.two] {
        let archive = archives_in(folder).pop().expect("one");
        fs::rename(
            folder.join(archive),
            folder.join("shop-20990101-000000.tar.gz"),
        )
        .expect("moved");
    }
    assert_eq!(
        night.json(&[], 0)["destinations"]
            .as_array()
            .expect("two")
            .len(),
        2
    );
}

#[test]
fn a_destination_is_a_folder_and_is_named_once() {
    let night = Night::new("", &[]);
    let missing = night.service.machine.path("missing");
    let missing = missing.to_str().expect("UTF-8");
    for _ in 0..2 {
        night.run(&[missing], 0);
    }
    assert_eq!(archives_in(Path::new(missing)).len(), 2);
    night.run(&["@one/"], 0);
    night.run(&["@one/latest"], 2).says("names an archive");
    night.run(&["/srv/x.tar.gz"], 2).says("names an archive");
    night.run(&["@one", "@one"], 2).says("one is named twice");
    let one = night.one.to_str().expect("UTF-8");
    night
        .run(&["@one", one], 2)
        .says("are the same destination");
}

#[test]
fn an_archive_that_was_stored_without_a_proof_is_verified_before_it_counts() {
    let night = Night::new("", &[]);
    break_down(&night.two);
    let missed = night.json(&[], 17)["archive"].clone();
    let missed = missed.as_str().expect("a name");
    mend_or_make(&night.two);
    // The same name and size, and other bytes.
    let mut bytes = fs::read(night.one.join(missed)).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(night.two.join(missed), bytes).expect("written");
    let report = night.json(&[], 3);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(Vec::<Value>::new())
    );
    fs::remove_file(night.two.join(missed)).expect("removed");
    let report = night.json(&[], 0);
    assert_eq!(
        report["destinations"][1]["caught_up"],
        Value::from(vec![missed])
    );
}

#[test]
fn a_marked_archive_is_delivered_later_with_its_mark() {
    let night = Night::new("", &[]);
    break_down(&night.two);
    let missed = night.run_before(9, &["--keep"], 17).json()["archive"].clone();
    for hours in [3, 2, 1] {
        night.run_before(hours, &[], 17);
    }
    mend_or_make(&night.two);
    let report = night.json(&[], 0);
    let two = &report["destinations"][1];
    let caught_up = two["caught_up"].as_array().expect("names");
    assert!(caught_up.len() == 2 && caught_up[0] == missed, "{two}");
    assert_eq!(two["not_needed"].as_array().map(Vec::len), Some(2));
    let missed = missed.as_str().expect("a name");
    let mark = fs::read_to_string(night.two.join(format!("{missed}.keep"))).expect("a mark");
    assert_eq!(mark, "forever\n");
    assert_eq!(archives_in(&night.one), archives_in(&night.two));
}
