//! Notifications by mail: the mail as a person reads it, TLS, login, and servers that refuse it.

use std::path::PathBuf;

use hookshot::{
    jobs::notify::send,
    model::{
        occasion::Occasion,
        run_record::{Job, RunRecord, RunResult},
    },
};
use serde_json::Value;
use support::{
    Machine, Run,
    servers::{Authority, Inbox, Made, Reply, Smtp, SmtpOptions, SmtpTls},
};

use crate::notify::{facts, machine, record, try_out};

const USER: &str = "backup@example.org";
const PASSWORD: &str = "hunter2 mit Umlaut ä";
const LOGIN: &str = "user = \"backup@example.org\"\npassword = \"env:MAIL_PASSWORD\"\n";

fn mailing(smtp: &str, more: &str) -> Machine {
    machine(&format!(
        "[[backup.notify]]\nname = \"mail\"\nkind = \"email\"\nsmtp = \"{smtp}\"\n\
        from = \"Bäckups der Shops <backup@example.org>\"\n{more}\n"
    ))
}

fn to(list: &[&str]) -> String {
    format!("to = {list:?}\n")
}

fn tried(machine: &Machine) -> Run {
    let run = try_out(machine, &["--json", "-vv"], &[("MAIL_PASSWORD", PASSWORD)]);
    let shown = run.text() + &run.stderr;
    // In Base64, as in a login.
    for secret in [PASSWORD, "hunter2", "aHVudGVyMi"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    run
}

#[track_caller]
fn refused(run: &Run, says: &str) {
    assert_eq!(run.code, 1, "{}", run.stderr);
    let error = run.json()["notifications"][0]["error"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert!(error.contains(says), "{says:?} is not in: {error}");
}

fn one(smtp: &Smtp) -> Value {
    let mut mails = smtp.mails();
    assert_eq!(mails.len(), 1, "{mails:?} {}", smtp.log());
    mails.remove(0)
}

#[test]
fn a_mail_is_plain_text_that_says_service_host_and_outcome() {
    let Some(smtp) = Smtp::start(&SmtpOptions::default()) else {
        return;
    };
    let url = format!("smtp://{}", smtp.address());
    let machine = mailing(&url, &to(&["ops@example.org", "Öwner <owner@example.org>"]));
    tried(&machine).exits(0);
    let mails = smtp.mails();
    assert_eq!(mails.len(), 2, "{}", smtp.log());
    let host = nix::unistd::gethostname().expect("a name");
    for (mail, recipient) in mails.iter().zip(["ops@example.org", "owner@example.org"]) {
        assert_eq!(mail["from"], "backup@example.org");
        assert_eq!(mail["to"], serde_json::json!([recipient]));
        let headers = &mail["headers"];
        assert_eq!(
            headers["subject"],
            format!(
                "Test of the notifications of shop on {}",
                host.to_string_lossy()
            )
        );
        assert_eq!(headers["from"], "Bäckups der Shops <backup@example.org>");
        assert_eq!(headers["to"], "ops@example.org, Öwner <owner@example.org>");
        assert_eq!(headers["auto-submitted"], "auto-generated");
        assert!(
            headers["content-type"]
                .as_str()
                .expect("a type")
                .starts_with("text/plain; charset=\"utf-8\""),
            "{headers}"
        );
        assert!(headers["date"].is_string(), "{headers}");
        let id = headers["message-id"].as_str().expect("an id");
        assert!(id.starts_with('<') && id.ends_with("@example.org>"), "{id}");
        assert_eq!(mail["defects"], serde_json::json!([]));
        assert_eq!(
            (&mail["has_tls"], &mail["has_login"]),
            (&Value::Bool(false), &Value::Bool(false))
        );
        let text = mail["text"].as_str().expect("a text");
        assert!(
            text.contains("\nWhat to do: nothing, the run is made up"),
            "{text}"
        );
        assert!(text.contains("\nArchive: hookshot-state-"), "{text}");
    }
}

#[test]
fn no_name_can_add_a_header() {
    let Some(smtp) = Smtp::start(&SmtpOptions::default()) else {
        return;
    };
    let url = format!("smtp://{}", smtp.address());
    let machine = mailing(&url, &to(&["ops@example.org"]));
    let (context, settings) = facts(&machine);
    let failed = RunRecord {
        app: Some("shop\r\nBcc: evil@example.org\r\n\r\nähm\u{7}".to_owned()),
        host: Some("web1\nX: y".to_owned()),
        ..record(Job::Backup, RunResult::Failure, Some(1))
    };
    let outcomes = send(&context, &settings, Occasion::Failure, &failed);
    assert!(outcomes[0].sent, "{outcomes:?}");
    let mail = one(&smtp);
    let names = mail["names"].to_string().to_ascii_lowercase();
    assert!(!names.contains("bcc"), "{names}");
    assert_eq!(mail["to"], serde_json::json!(["ops@example.org"]));
    let subject = mail["headers"]["subject"].as_str().expect("a subject");
    assert!(
        subject.contains("shop") && subject.contains("Bcc: evil@example.org"),
        "{subject}"
    );
    assert!(subject.contains("ähm  on web1 X: y"), "{subject}");
    let text = mail["text"].as_str().expect("a text");
    assert!(
        !text.contains('\u{7}') && text.starts_with(subject),
        "{text}"
    );
}

fn secure(made: Made) -> Option<(Authority, (PathBuf, PathBuf))> {
    let authority = Authority::new()?;
    let files = authority.make(made);
    Some((authority, files))
}

#[test]
fn login_and_tls_of_both_kinds() {
    let Some((authority, files)) = secure(Made::Well) else {
        return;
    };
    let ca_file = format!("ca_file = \"{}\"\n", authority.certificate().display());
    let more = to(&["ops@example.org"]) + LOGIN;
    for (tls, scheme) in [
        (SmtpTls::Wrapped(files.clone()), "smtps"),
        (SmtpTls::StartTls(files.clone()), "smtp"),
        (SmtpTls::None, "smtp"),
    ] {
        let has_tls = !matches!(tls, SmtpTls::None);
        let options = SmtpOptions {
            tls,
            login: Some((USER, PASSWORD)),
            ..SmtpOptions::default()
        };
        let Some(smtp) = Smtp::start(&options) else {
            return;
        };
        let url = format!("{scheme}://{}", smtp.address());
        if has_tls {
            let run = tried(&mailing(&url, &more));
            refused(&run, "is from an authority that is not known here");
        }
        tried(&mailing(&url, &(ca_file.clone() + &more))).exits(0);
        let mail = one(&smtp);
        assert_eq!(
            (&mail["has_tls"], &mail["has_login"]),
            (&Value::Bool(has_tls), &Value::Bool(true))
        );
        let wrong = "user = \"backup@example.org\"\npassword = \"hunter2\"\n";
        let wrong = format!("{ca_file}{}{wrong}", to(&["ops@example.org"]));
        let run = tried(&mailing(&url, &wrong));
        refused(&run, "does not accept the login of backup@example.org");
        refused(&run, "look at `user` and `password`");
        let none = ca_file.clone() + &to(&["ops@example.org"]);
        refused(&tried(&mailing(&url, &none)), "set `user` and `password`");
        assert_eq!(smtp.mails().len(), 1);
    }
}

#[test]
fn a_login_that_a_server_repeats_is_masked() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let options = SmtpOptions {
            repeats: Some(mechanism),
            ..SmtpOptions::default()
        };
        let Some(smtp) = Smtp::start(&options) else {
            return;
        };
        let url = format!("smtp://{}", smtp.address());
        let run = tried(&mailing(&url, &(to(&["ops@example.org"]) + LOGIN)));
        refused(&run, "does not accept the login of backup@example.org");
        refused(&run, "I do not know ***");
        let shown = run.text() + &run.stderr;
        // The user, and both together.
        for sent in ["YmFja3VwQGV4YW1wbGUub3Jn", "AGJhY2t1cEBleGFtcGxlLm9yZ"] {
            assert!(!shown.contains(sent), "{shown}");
        }
    }
}

#[test]
fn a_server_without_starttls_gets_nothing_if_it_is_required() {
    let Some(smtp) = Smtp::start(&SmtpOptions::default()) else {
        return;
    };
    let url = format!("smtp://{}", smtp.address());
    let required = to(&["ops@example.org"]) + "starttls = \"required\"\n";
    let run = tried(&mailing(&url, &required));
    refused(&run, "offers no STARTTLS, so nothing was sent");
    assert_eq!(smtp.mails().len(), 0);
    let run = tried(&mailing(
        &url.replace("smtp://", "smtps://"),
        &to(&["ops@example.org"]),
    ));
    refused(&run, "does not speak TLS");
}

#[test]
fn each_recipient_gets_a_mail_of_its_own_and_a_refused_one_is_named() {
    let options = SmtpOptions {
        refused: vec!["gone@example.org"],
        later: vec!["grey@example.org"],
        ..SmtpOptions::default()
    };
    let Some(smtp) = Smtp::start(&options) else {
        return;
    };
    let url = format!("smtp://{}", smtp.address());
    let all = to(&["gone@example.org", "grey@example.org", "ops@example.org"]);
    let run = tried(&mailing(&url, &all));
    refused(&run, "sent to 2 of 3; gone@example.org: 127.0.0.1:");
    refused(&run, " refuses the mail with status 550: ");
    refused(&run, "no such user here");
    let mails = smtp.mails();
    let recipients: Vec<&Value> = mails.iter().map(|mail| &mail["to"][0]).collect();
    assert_eq!(recipients, ["grey@example.org", "ops@example.org"]);
    // Recipients with the same fault are named together.
    let two = to(&["ops@example.org", "owner@example.org"]);
    let run = tried(&mailing("smtp://127.0.0.1:1", &two));
    refused(
        &run,
        "sent to 0 of 2; ops@example.org, owner@example.org: no mail could be given to 127.0.0.1:1: ",
    );
}

#[test]
fn a_server_that_is_not_there_or_no_mail_server_is_named() {
    let ops = to(&["ops@example.org"]);
    refused(
        &tried(&mailing("smtp://127.0.0.1:1", &ops)),
        "no mail could be given to 127.0.0.1:1: ",
    );
    let web = Inbox::start(&[Reply::Hang]);
    let silent = web.endpoint().replace("http://", "smtp://");
    let run = tried(&mailing(&silent, &(ops + "timeout = \"1s\"\n")));
    refused(&run, "127.0.0.1");
}
