//! Schedules through the program: `schedule`, `timer` with systemd's own judgement, and `agent` with signals.

mod agent;
mod lacks;
mod links;
mod removal;
mod root;
mod timer;

use support::{Run, service::Service};

/// A service with a file, a folder of archives, and further lines of configuration.
fn service(app: &str, further: &str) -> Service {
    let service = Service::with_config(app, "");
    let (folder, archives) = (service.folder.clone(), service.machine.path("archives"));
    std::fs::write(folder.join("notes"), "text").expect("written");
    std::fs::create_dir_all(&archives).expect("a folder");
    let text = format!(
        "[backup]\napp = \"{app}\"\nto = [\"local\"]\n[backup.destinations.local]\nurl = \"{}\"\n\
         [backup.retention]\nkeep_last = 3\n[[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n{further}",
        archives.display(),
        folder.join("notes").display()
    );
    std::fs::write(&service.config, text).expect("written");
    service
}

/// Fails unless standard output has all the words.
fn shows(run: &Run, words: &[&str]) {
    let text = run.text();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn the_next_starts_are_shown_in_both_zones() {
    let schedule = "[backup.schedule]\nbackup = \"02:00\"\nverify = [\"sun 05:00\", \"0 5 1 * *\"]\n\
        timezone = \"Asia/Kathmandu\"\njitter = \"10m\"\n";
    let service = service("shop", schedule);
    let shown = service
        .run(&["schedule", "--count", "5", "--json"], 0)
        .json();
    assert_eq!(shown["timezone"], "Asia/Kathmandu");
    assert_eq!(
        (&shown["jitter_seconds"], &shown["persistent"]),
        (&600.into(), &true.into())
    );
    let jobs = shown["jobs"].as_array().expect("jobs");
    let names: Vec<_> = jobs
        .iter()
        .map(|job| job["job"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["backup", "verify"]);
    assert_eq!(jobs[1]["timetable"], "sun 05:00, 0 5 1 * *");
    let runs = jobs[0]["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 5);
    for run in runs {
        let (local, utc) = (
            run["local"].as_str().expect("a time"),
            run["time"].as_str().expect("a time"),
        );
        assert!(
            local.ends_with("T02:00:00+05:45") && utc.ends_with("T20:15:00Z"),
            "{local} {utc}"
        );
    }
    let run = service.run(&["schedule"], 0);
    shows(&run, &["Asia/Kathmandu", "delayed by up to 10m"]);
    let text = run.text();
    assert_eq!(text.matches("\nbackup ").count(), 3, "{text}");
}

#[test]
fn without_a_schedule_the_default_of_the_machine_is_shown() {
    let mut service = service("shop", "");
    service.set("TZ", ":America/New_York");
    let shown = service.run(&["schedule", "--json"], 0).json();
    assert_eq!(
        (&shown["timezone"], &shown["is_default"]),
        (&"America/New_York".into(), &true.into())
    );
    assert_eq!(shown["jobs"][0]["timetable"], "02:00");
    assert_eq!(shown["jitter_seconds"], 1800);
    shows(&service.run(&["schedule"], 0), &["this is the default"]);
}

#[test]
fn a_schedule_that_cannot_be_read_is_refused() {
    let service = service("shop", "[backup.schedule]\nbackup = \"at night\"\n");
    for words in [
        &["schedule"][..],
        &["timer", "show"],
        &["agent"],
        &["validate"],
    ] {
        service.run(words, 2).says("a time of a schedule is");
    }
}
