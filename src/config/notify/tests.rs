//! Notifications as people write them, and the faults in them.

use super::*;
use crate::config::{mail_server::MailTls, reader};

fn notifications(text: &str) -> Result<Vec<Notification>, Vec<String>> {
    reader::read(text, read)
}

fn one(text: &str) -> Notification {
    let text = format!("[[notify]]\nname = \"ops\"\n{text}");
    let mut read = notifications(&text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    read.pop().expect("one")
}

#[test]
fn every_kind_is_read() {
    for kind in [
        "webhook",
        "slack",
        "discord",
        "ntfy",
        "gotify",
        "healthchecks",
    ] {
        let read = one(&format!("kind = \"{kind}\"\nurl = \"https://h/x\"\n"));
        assert_eq!(read.channel.kind(), kind);
        assert_eq!(read.timeout, NOTIFY_TIMEOUT);
        assert!(read.enabled && read.is_for(Occasion::Failure) && read.is_for(Occasion::Stale));
        let is_told_all = kind == "healthchecks";
        for occasion in [Occasion::Start, Occasion::Success, Occasion::Skipped] {
            assert_eq!(read.is_for(occasion), is_told_all, "{kind}");
            assert_eq!(read.is_for_run(occasion, Job::Backup), is_told_all);
            assert!(!read.is_for_run(occasion, Job::Prune));
        }
        assert!(read.is_for_run(Occasion::Failure, Job::Prune));
    }
    let read =
        one("kind = \"command\"\nrun = [\"logger\", \"x\"]\non = [\"success\"]\nenabled = false\n");
    assert!(!read.enabled && read.is_for(Occasion::Success));
    assert!(!read.is_for(Occasion::Failure) && !read.is_for(Occasion::Recovered));
    assert!(read.is_for(Occasion::Test));
    let read =
        one("kind = \"ntfy\"\nurl = \"env:X\"\ntoken = \"env:Y\"\npriority = 5\ntags = [\"a\"]\n");
    assert_eq!(read.secrets().len(), 2);
    assert!(read.is_for(Occasion::Recovered), "it was told `stale`");
}

#[test]
fn a_mail_without_tls_carries_no_password_to_another_machine() {
    let mail = |smtp: &str, more: &str| {
        let text = format!(
            "kind = \"email\"\nsmtp = \"{smtp}\"\nfrom = \"Shop <a@b.c>\"\nto = [\"a@b.c\", \"d@e\"]\n{more}"
        );
        match one(&text).channel {
            Channel::Email(email) => *email,
            channel => panic!("{channel:?}"),
        }
    };
    let login = "user = \"u\"\npassword = \"file:p\"\n";
    for (smtp, more, tls) in [
        ("smtps://h", login.to_owned(), MailTls::Wrapped),
        ("smtp://h", String::new(), MailTls::Offered),
        ("smtp://h", login.to_owned(), MailTls::Required),
        ("smtp://127.0.0.1:25", login.to_owned(), MailTls::Offered),
        (
            "smtp://h",
            format!("{login}starttls = \"never\"\n"),
            MailTls::Never,
        ),
        (
            "smtp://h",
            "starttls = \"required\"\n".to_owned(),
            MailTls::Required,
        ),
    ] {
        assert_eq!(mail(smtp, &more).server.tls, tls, "{smtp} {more}");
    }
    assert_eq!(mail("smtp://h", "").to, ["a@b.c", "d@e"]);
}

#[test]
fn every_fault_of_a_notification_is_named_and_no_value_repeated() {
    let text = "[[notify]]\nname = \"a b\"\nkind = \"slak\"\nurl = \"hunter2\"\n\
        [[notify]]\nname = \"a\"\nkind = \"slack\"\nurl = \"hunter2\"\ntoken = \"hunter2\"\non = [\"failed\"]\n\
        [[notify]]\nname = \"b\"\nkind = \"email\"\nsmtp = \"smtp://me:hunter2@h\"\nuser = \"hunter2\"\nfrom = \"x\"\nto = []\n\
        [[notify]]\nname = \"c\"\nkind = \"webhook\"\nurl = \"https://hunter2\"\nheaders = { \"a b\" = \"hunter2\" }\non = []\n\
        timeout = \"0s\"\nproxy = \"socks5://hunter2\"\n\
        [[notify]]\nname = \"c\"\nkind = \"command\"\nrun = \"true\"\n\
        [[notify]]\nkind = \"gotify\"\nurl = \"https://hunter2\"\npriority = 11\nevents = [\"hunter2\"]\n";
    let faults = notifications(text).expect_err("bad");
    let all = faults.join("\n");
    assert!(!all.contains("hunter2"), "{all}");
    for says in [
        "`name` under [notify 1] may have",
        "did you mean `slack`?",
        "`url` under [notify 2] must begin with",
        "`token` under [notify 2] is a key of notifications of the kind `ntfy`, `gotify`",
        "`on` under [notify 2] has words of success, failure",
        "`smtp` under [notify 3] holds a user",
        "`from` under [notify 3] must be an address",
        "`to` under [notify 3] must be an address",
        "`user` and `password` go together under [notify 3]",
        "`headers` under [notify 4]",
        "`on` under [notify 4] names nothing",
        "`timeout` under [notify 4]",
        "`proxy` under [notify 4] cannot be used: it names a SOCKS",
        "`name` is missing under [notify 6]",
        "`priority` under [notify 6] must be a number from 0 to 10",
        "`notify` has two sections of the name `c`",
        "unknown key `events` under [notify 6]: it is `on`",
    ] {
        assert!(all.contains(says), "{says}: {all}");
    }
    assert_eq!(faults.len(), 17, "{all}");
    let twice = "[[notify]]\nname = \"c\"\nkind = \"command\"\nrun = \"true\"\n";
    let faults = notifications(&twice.repeat(2)).expect_err("bad");
    assert_eq!(faults, ["`notify` has two sections of the name `c`"]);
}

#[test]
fn headers_of_the_connection_are_refused_and_those_of_secrets_are_secrets() {
    let headers = |headers: &str| {
        let text = format!(
            "[[notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://h\"\nheaders = {{ {headers} }}\n"
        );
        notifications(&text)
    };
    for (written, says) in [
        (
            "Content-Length = \"1\"",
            "`content-length`, which belongs to the connection",
        ),
        ("host = \"x\"", "`host`, which belongs"),
        (
            "Transfer-Encoding = \"chunked\"",
            "`transfer-encoding`, which belongs",
        ),
        ("X-A = \"1\", x-a = \"2\"", "`x-a` twice"),
        ("X-A = \"hunter2\\nb\"", "a value that a header cannot have"),
    ] {
        let faults = headers(written).expect_err(written).join("\n");
        assert!(
            faults.contains(says) && !faults.contains("hunter2"),
            "{faults}"
        );
    }
    let good = "Authorization = \"a\", X-Api-Key = \"b\", X-Priority = \"c\", X-A = \"env:D\", Content-Type = \"e\"";
    let mut read = headers(good).expect("good");
    let Channel::Web(web) = read.remove(0).channel else {
        panic!("a webhook");
    };
    let forms = web
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.form));
    let expected = [
        ("Authorization", SecretForm::Header),
        ("Content-Type", SecretForm::Plain),
        ("X-A", SecretForm::Header),
        ("X-Api-Key", SecretForm::Header),
        ("X-Priority", SecretForm::Plain),
    ];
    assert_eq!(forms.collect::<Vec<_>>(), expected);
}
