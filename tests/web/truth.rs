//! The pages tell what the destinations hold, and how old that is.

use std::fs;

use crate::site::{API, Site};

#[test]
fn a_destination_that_is_gone_needs_work_and_keeps_its_archives() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    let before = serving.snapshots(&program);
    assert_eq!(before.len(), 1);
    assert_eq!(
        before[0]["copies"].as_array().map(Vec::len),
        Some(2),
        "{before:?}"
    );
    let page = serving.until(&anna, "/", |answer| {
        answer.text().contains("Everything is protected")
    });
    assert!(!page.text().contains("needs work"), "{}", page.text());
    for (number, harm) in ["removed", "a file"].into_iter().enumerate() {
        let near = site.machine.path("near");
        fs::rename(&near, site.machine.path("aside")).expect("moved");
        if harm == "a file" {
            fs::write(&near, "no folder").expect("written");
        }
        let start = 1000 * (i64::try_from(number).expect("small") + 1);
        site.leap(start);
        let page = serving.until(&anna, "/", |answer| answer.text().contains("needs work"));
        page.says("d1");
        let after = serving.snapshots(&program);
        assert_eq!(after, before, "{harm}");
        let _ = fs::remove_file(&near);
        let _ = fs::remove_dir_all(&near);
        fs::rename(site.machine.path("aside"), &near).expect("moved back");
        site.leap(start + 500);
        serving.until(&anna, "/", |answer| {
            answer.text().contains("Everything is protected")
        });
    }
}

#[test]
fn an_archive_that_ages_becomes_overdue_without_a_further_look() {
    let site = Site::new();
    site.configure(&["near", "far"], "");
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let anna = serving.login("anna");
    serving.until(&anna, "/", |answer| {
        answer.text().contains("Everything is protected")
    });
    // Nothing of the day can be looked at: what is known ages all the same.
    fs::rename(
        site.machine.path("etc/config.toml"),
        site.machine.path("etc/aside"),
    )
    .expect("moved");
    site.leap(11 * 3600);
    anna.get("/").is(200);
    site.leap(22 * 3600);
    anna.get("/").is(200);
    site.leap(30 * 3600);
    let page = serving.until(&anna, "/", |answer| {
        !answer.text().contains("Everything is protected")
    });
    assert!(page.text().contains("need"), "{}", page.text());
}

#[test]
fn an_archive_that_is_new_or_removed_is_seen_with_the_next_look() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let program = serving.program(&token);
    let first = serving.snapshots(&program);
    let count = |wanted: usize| {
        serving.until(&program, &format!("{API}/snapshots"), |answer| {
            answer.json()["snapshots"].as_array().map(Vec::len) == Some(wanted)
        })
    };
    site.machine.run(&["export"]).exits(0);
    site.leap(100);
    let two = count(2).json();
    // Two archives of one second have no order of time.
    let snapshots = two["snapshots"].as_array().expect("a list");
    let (old, new): (Vec<_>, Vec<_>) =
        (snapshots.iter()).partition(|one| one["id"] == first[0]["id"]);
    assert_eq!((old.len(), new.len()), (1, 1), "{two}");
    for folder in ["near", "far"] {
        let name = first[0]["name"].as_str().expect("a name");
        for entry in fs::read_dir(site.machine.path(folder))
            .expect("a folder")
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(name) {
                fs::remove_file(entry.path()).expect("removed");
            }
        }
    }
    site.leap(200);
    let one = count(1).json();
    assert_eq!(one["snapshots"][0]["id"], new[0]["id"]);
    let gone = first[0]["id"].as_str().expect("an id");
    program.get(&format!("{API}/snapshots/{gone}")).is(404);
}

#[test]
fn a_rebuilt_state_has_equal_archives_and_keeps_people() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    let cookie = anna.request("GET", "/", "");
    let cookie = cookie.lines().find(|line| line.starts_with("Cookie: "));
    let cookie = cookie.expect("a cookie").to_owned();
    let before = serving.snapshots(&serving.program(&token));
    let audit = site.audit();
    drop(serving);
    let serving = site.start(&["--rebuild"]);
    let after = serving.snapshots(&serving.program(&token));
    assert_eq!(after, before);
    serving.stranger().with(cookie).get("/").is(200);
    assert_eq!(site.audit(), audit);
}

#[test]
fn a_configuration_that_breaks_while_it_serves_is_told() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    let before = serving.snapshots(&program);
    serving.until(&anna, "/", |answer| {
        answer.text().contains("Everything is protected")
    });
    let id = before[0]["id"].as_str().expect("an id");
    for (number, text) in ["[backup\n", "[backup]\nunheard_of = 1\n", "\u{0}"]
        .into_iter()
        .enumerate()
    {
        site.machine.write("etc/config.toml", text, 0o600);
        site.leap(100 * (i64::try_from(number).expect("small") + 1));
        let page = serving.until(&anna, "/", |answer| answer.text().contains("config.toml"));
        assert!(
            !page.text().contains("Everything is protected"),
            "{}",
            page.text()
        );
        assert_eq!(serving.snapshots(&program), before);
        for path in [
            "/archives",
            "/runs",
            "/settings",
            &format!("/archives/{id}"),
        ] {
            let answer = anna.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        for path in ["health", "snapshots"] {
            program.get(&format!("{API}/{path}")).is(200);
        }
        let answer = program.get(&format!("{API}/snapshots/{id}"));
        assert!(answer.status < 500, "{}", answer.text());
    }
}
