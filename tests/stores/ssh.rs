//! Failures of SSH servers: the messages, and nothing left behind.

use std::{fs, io::Write as _, time::Duration};

use hookshot::{
    error::{Failure, Kind},
    model::digest::Digest,
    store::{Address, Environment, Options},
};

use crate::places::{Place, alive, bytes, content, dead, direct, export, names, on, opened, sftp};
use support::servers::Sshd;

fn told(place: &Sshd, change: impl Fn(&mut Options)) -> Failure {
    let store = opened(place, "", "", change, on());
    let error = store.list(&mut |_| Ok(())).expect_err("it fails");
    Failure::of(&error)
}

#[test]
fn ssh_says_why_nobody_can_log_in() {
    let Some(place) = Sshd::start() else { return };
    let failure = told(&place, |options| {
        sftp(options).known_hosts_file = Some("/dev/null".into());
    });
    let Failure { message, hint, .. } = failure;
    assert!(
        message.contains("Host key verification failed"),
        "{message}"
    );
    assert!(hint.unwrap_or_default().contains("known_hosts_file"));

    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other key");
    let other = other.to_str().expect("text");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", other])
        .status();
    assert!(made.expect("ssh-keygen").success());
    let failure = told(&place, |options| {
        sftp(options).identity_file = Some(other.into())
    });
    assert!(failure.message.contains("Permission denied"), "{failure:?}");
    assert!(failure.hint.unwrap_or_default().contains("identity_file"));

    let address = Address::parse("sftp://127.0.0.1:1/x").expect("a place");
    let mut options = place.options("");
    options.transfer.retry_attempts = 0;
    let store = hookshot::store::open(&address, &options, &Environment::default(), on());
    let error = store
        .expect("a store")
        .find("x")
        .expect_err("a refused connection");
    assert!(
        error.to_string().contains("Connection refused"),
        "{error:#}"
    );
}

#[test]
fn the_configuration_of_ssh_names_the_host() {
    let Some(place) = Sshd::start() else { return };
    let address = format!("sftp://{}/~/archives", Sshd::HOST);
    let address = Address::parse(&address).expect("a place");
    let mut options = Options::of(&address);
    sftp(&mut options).ssh_config = Some(place.config());
    let store = hookshot::store::open(&address, &options, &Environment::default(), on());
    let store = store.expect("a store");
    export(&*store, "one", b"1").expect("proven");
    assert_eq!(names(&*direct(&place, "")), ["one"]);
}

#[test]
fn files_of_known_hosts_may_have_any_name() {
    let Some(place) = Sshd::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let known_hosts = folder.path().join("known 100%h hosts");
    fs::copy(place.known_hosts(), &known_hosts).expect("copied");
    let change = |options: &mut Options| sftp(options).known_hosts_file = Some(known_hosts.clone());
    export(&*opened(&place, "", "", change, on()), "one", b"1").expect("proven");
}

#[test]
fn an_upload_whose_connection_breaks_leaves_nothing() {
    let Some(place) = Sshd::start() else { return };
    let store = direct(&place, "");
    export(&*store, "before", b"1").expect("proven");
    let sent = bytes(20 << 20, 1);
    let mut upload = store
        .create("archive", sent.len() as u64, &dead("run"))
        .expect("begun");
    upload.write_all(&sent[..10 << 20]).expect("written");
    place.cut_connections();
    let written = upload
        .write_all(&sent[10 << 20..])
        .map_err(anyhow::Error::from);
    let result = match written {
        Ok(()) => upload.finish(&Digest::of(&sent)).map(drop),
        Err(error) => {
            drop(upload);
            Err(error)
        }
    };
    let failure = Failure::of(&result.expect_err("broken"));
    assert_eq!(failure.kind, Kind::Unreachable, "{failure:?}");
    assert!(failure.message.contains("connection broke"), "{failure:?}");
    assert_eq!(place.everything(), ["before"]);
    // The store itself goes on.
    export(&*store, "archive", &sent).expect("proven");
    assert!(content(&*store, "archive").expect("read") == sent);
}

#[test]
fn reading_goes_on_over_a_new_connection_where_it_was_the_same_file() {
    let Some(place) = Sshd::start() else { return };
    let store = direct(&place, "");
    let sent = bytes(3 << 20, 1);
    export(&*store, "archive", &sent).expect("proven");
    let reader = store.open("archive").expect("open");
    let mut part = vec![0; 1 << 20];
    reader.read_exact_at(&mut part, 0).expect("read");
    place.cut_connections();
    reader.read_exact_at(&mut part, 1 << 20).expect("read on");
    assert!(part == sent[1 << 20..2 << 20]);
    store.remove("archive").expect("removed");
    export(&*store, "archive", &bytes(2 << 20, 2)).expect("proven");
    place.cut_connections();
    let error = reader.read_exact_at(&mut part, 1 << 20);
    let error = error.expect_err("another file");
    assert!(error.to_string().contains("replaced"), "{error}");
}

#[test]
fn an_upload_may_wait_for_its_bandwidth() {
    let Some(place) = Sshd::start() else { return };
    let limit = |options: &mut Options| options.transfer.bandwidth_limit = Some(4 << 20);
    let store = opened(&place, "", "", limit, on());
    let begun = std::time::Instant::now();
    export(&*store, "archive", &bytes(5 << 20, 1)).expect("proven");
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_folder_that_may_not_be_written_to_is_named() {
    let Some(place) = Sshd::start() else { return };
    fs::create_dir_all(place.files()).expect("a folder");
    // A file where the folder would be.
    fs::write(place.files().join("archives"), b"").expect("written");
    let store = direct(&place, "");
    let error = store
        .create("one", 1, &alive("run"))
        .err()
        .expect("no folder");
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, Kind::Failed, "{failure:?}");
    let place = store.shown();
    assert!(failure.message.contains(&place), "{failure:?}");
}
