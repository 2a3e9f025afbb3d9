//! The nightly job by examples/nightly-backup.sh, as cron runs it.

use support::{
    archives_in,
    service::{Service, write},
};

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A service with one file, archives in a folder of its own, and a policy that keeps one archive.
fn service(name: &str, further: &str) -> (Service, PathBuf) {
    let service = Service::with_config(name, "");
    let archives = service.machine.path("archives");
    let file = service.folder.join("notes");
    write(&file, "first");
    let text = format!(
        "[backup]\nprefix = \"{name}\"\nto = [\"local\"]\n[backup.destinations.local]\nurl = \"{}\"\n\
         [backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n\
         [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n{further}",
        archives.display(),
        file.display()
    );
    fs::write(&service.config, text).expect("written");
    (service, archives)
}

/// A night with these configurations.
fn night(service: &Service, configurations: &[&Path]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_hookshot"));
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = program.parent().expect("a folder").display();
    Command::new("bash")
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/nightly-backup.sh"
        ))
        .args(configurations)
        .env("PATH", format!("{folder}:{path}"))
        .env("TMPDIR", service.machine.path("tmp"))
        .output()
        .expect("bash")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_night_exports_to_every_destination_and_removes_only_what_the_policy_does_not_keep() {
    let (service, folder) = service("shop", "");
    let output = night(&service, &[&service.config]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "", "cron mails what is printed");
    let first = archives_in(&folder);
    assert_eq!(first.len(), 1);
    // A marked archive stays, however old it is.
    let marked = folder.join(&first[0]);
    service.run(&["keep", marked.to_str().expect("UTF-8")], 0);
    for night_of in ["second", "third"] {
        write(&service.folder.join("notes"), night_of);
        let output = night(&service, &[&service.config]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let left = archives_in(&folder);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&first[0]), "{left:?}");
}

#[test]
fn a_night_goes_on_after_a_service_that_fails_and_ends_with_its_exit_code() {
    let (broken, broken_archives) = service("broken", "");
    fs::remove_file(broken.folder.join("notes")).expect("removed");
    let (good, good_archives) = service("good", "");
    let output = night(&good, &[&broken.config, &good.config]);
    assert_eq!(output.status.code(), Some(10), "{}", said(&output));
    assert!(
        said(&output).contains("notes is missing"),
        "{}",
        said(&output)
    );
    assert_eq!(archives_in(&broken_archives).len(), 0);
    assert_eq!(archives_in(&good_archives).len(), 1);
}

#[test]
fn an_archive_that_lacks_something_is_kept_and_the_night_ends_with_3() {
    let (service, folder) = service("shop", "cleanup = \"echo no rest >&2; exit 1\"\n");
    let output = night(&service, &[&service.config]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("cleanup"), "{}", said(&output));
    assert_eq!(archives_in(&folder).len(), 1);
}
