//! Notifications to servers that fail: retries, time limits, redirects, certificates and proxies, and what is said.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    slice,
    time::{Duration, Instant},
};

use support::servers::{Authority, Gate, HttpProxy, Inbox, Made, Reply, Tls};
use support::service::{Service, write};

use crate::notify::{SECRET, hookshot, machine, shows_no_secret, try_out, web};

/// Tries one notification against these replies; returns the error and the number of requests.
fn tried(replies: &[Reply], more: &str) -> (Option<String>, usize) {
    let inbox = Inbox::start(replies);
    let machine = machine(&web("webhook", &inbox.endpoint(), more));
    let run = try_out(&machine, &["--json", "-vv"], &[]);
    let outcome = run.json()["notifications"][0].clone();
    let error = outcome["error"].as_str().map(str::to_owned);
    let is_sent = outcome["sent"].as_bool().expect("a flag");
    assert_eq!(is_sent, error.is_none());
    assert_eq!(run.code, i32::from(!is_sent));
    (error, inbox.seen().len())
}

fn with(status: u16, name: &'static str, value: &str) -> Reply {
    Reply::With(status, vec![(name, value.to_owned())], String::new())
}

#[test]
fn a_failure_that_may_pass_is_tried_three_times() {
    let good = Reply::Status(200);
    for passing in [
        Reply::Status(500),
        Reply::Status(429),
        Reply::Reset,
        with(503, "Retry-After", "0"),
    ] {
        let replies = [passing.clone(), passing.clone(), good.clone()];
        assert_eq!(tried(&replies, ""), (None, 3), "{passing:?}");
        let (error, count) = tried(slice::from_ref(&passing), "");
        assert!(error.is_some(), "{passing:?}");
        assert_eq!(count, 3, "{passing:?}");
    }
    // It waits as long as the server asks for.
    let begun = Instant::now();
    assert_eq!(tried(&[with(429, "Retry-After", "2"), good], ""), (None, 2));
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let (error, count) = tried(&[with(503, "Retry-After", "3600")], "");
    let error = error.expect("a reason");
    assert!(
        error.contains("asks for a pause of 3600 s, which `timeout` does not permit"),
        "{error}"
    );
    assert_eq!(count, 1);
}

#[test]
fn an_answer_that_stays_is_said_with_the_words_of_the_server() {
    let quoting = format!(
        "{{\"message\": \"no hook\\u0007 /services/T01/{SECRET} of T01, see https://h/{SECRET}\"}}"
    );
    for (status, words, hint) in [
        (404, "no hook", "the service does not know this address"),
        (401, "no hook", "look at the secret"),
        (400, "no hook", "look at `url`"),
    ] {
        let replies = [Reply::With(status, Vec::new(), quoting.clone())];
        let (error, count) = tried(&replies, "");
        let error = error.expect("a reason");
        assert!(error.contains(&format!("status {status}: ")), "{error}");
        assert!(error.contains(words) && error.contains(hint), "{error}");
        assert!(
            !error.contains("services") && !error.contains("T01"),
            "{error}"
        );
        assert_eq!(count, 1);
    }
    let page = Reply::With(404, Vec::new(), "<html>big page</html>".to_owned());
    let (error, _) = tried(&[page], "");
    assert!(!error.expect("a reason").contains("page"));
}

#[test]
fn no_form_of_a_secret_is_shown_that_a_server_repeats() {
    let keys = [
        (
            "url = \"URL/a\"\nheaders = { Authorization = \"Bearer hunter2abc\" }",
            "hunter2abc",
        ),
        (
            "url = \"URL/a\"\nheaders = { X-Api-Key = \"env:KEY\" }",
            "hunter2def",
        ),
        // me:hunter2
        ("url = \"LOGIN/a\"", "Basic bWU6aHVudGVyMg=="),
        (
            "url = \"URL/a\"\nheaders = { Authorization = \"Basic bWU6aHVudGVyMg==\" }",
            "hunter2",
        ),
        ("url = \"USER/a\"", "TokenOfHunter2"),
        ("url = \"URL/key%20of%20hunter2\"", "key of hunter2"),
    ];
    for (keys, repeated) in keys {
        let words = format!("invalid token {repeated} of mine");
        let inbox = Inbox::start(&[Reply::With(401, Vec::new(), words)]);
        let at = |login: &str| inbox.endpoint().replace("http://", login);
        let keys = keys.replace("URL", &inbox.endpoint());
        let keys = keys.replace("LOGIN", &at("http://me:hunter2@"));
        let keys = keys.replace("USER", &at("http://TokenOfHunter2@"));
        let text = format!("[[backup.notify]]\nname = \"web\"\nkind = \"webhook\"\n{keys}\n");
        let variables = [("KEY", "Scheme hunter2def")];
        let run = try_out(&machine(&text), &["--json", "-vv"], &variables).exits(1);
        let error = run.json()["notifications"][0]["error"].to_string();
        assert!(error.contains("invalid token"), "{error}");
        assert!(error.contains("*** of mine"), "{repeated}: {error}");
        let shown = run.text() + &run.stderr;
        assert!(!shown.contains(repeated), "{shown}");
    }
}

#[test]
fn a_ping_that_healthchecks_did_not_take_is_not_sent() {
    for (words, hint) in [
        ("OK", None),
        ("Created", None),
        ("", None),
        (
            "OK (not found)",
            Some("look at `url`: the service has no such check"),
        ),
        (
            "OK (rate limited)",
            Some("the check gets too many pings a minute"),
        ),
    ] {
        let replies = [Reply::With(200, Vec::new(), words.to_owned())];
        let inbox = Inbox::start(&replies);
        let machine = machine(&web("healthchecks", &inbox.endpoint(), ""));
        let run = try_out(&machine, &["--json"], &[]);
        let outcome = run.json()["notifications"][0].clone();
        assert_eq!(outcome["sent"], hint.is_none(), "{words}");
        if let Some(hint) = hint {
            let error = outcome["error"].as_str().expect("a reason");
            assert!(error.contains(words) && error.contains(hint), "{error}");
        }
        assert_eq!(inbox.seen().len(), 1);
    }
    // Other services say what they like.
    let (error, _) = tried(
        &[Reply::With(200, Vec::new(), "OK (not found)".to_owned())],
        "",
    );
    assert_eq!(error, None);
}

#[test]
fn the_text_of_a_redirect_is_not_waited_for() {
    let begun = Instant::now();
    let (error, count) = tried(&[Reply::Endless(302)], "");
    assert!(error.is_some() && count == 1);
    let to = "http://127.0.0.1:1/".to_owned();
    let halting = Reply::Halting(302, vec![("Location", to)]);
    let (error, count) = tried(&[halting], "timeout = \"1h\"");
    let error = error.expect("a reason");
    assert!(
        error.contains("leads to http://127.0.0.1:1") && count == 1,
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_redirect_is_not_followed_and_its_server_is_named() {
    let other = Inbox::start(&[Reply::Status(200)]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/login/{SECRET}", other.endpoint());
        let (error, count) = tried(&[with(status, "Location", &to)], "");
        let error = error.expect("a reason");
        let says = format!(
            "status {status} and leads to {}, which is not followed",
            other.endpoint()
        );
        assert!(error.contains(&says), "{error}");
        assert_eq!(count, 1);
    }
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_server_that_hangs_or_never_ends_takes_the_time_limit_at_most() {
    let begun = Instant::now();
    let (error, count) = tried(&[Reply::Hang], "timeout = \"1s\"");
    let error = error.expect("a reason");
    assert!(
        error.contains("gave no answer in time") || error.contains("takes longer than 1 s"),
        "{error}"
    );
    assert!((1..=3).contains(&count), "{count}");
    assert_eq!(tried(&[Reply::Endless(200)], ""), (None, 1));
    let (error, count) = tried(&[Reply::Endless(400)], "");
    let error = error.expect("a reason");
    assert!(error.len() < 400 && count == 1, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_message_that_may_have_arrived_is_not_sent_twice() {
    let (error, count) = tried(&[Reply::Hang, Reply::Status(200)], "timeout = \"2s\"");
    let error = error.expect("a reason");
    assert!(
        error.contains("gave no answer in time") || error.contains("takes longer than 2 s"),
        "{error}"
    );
    assert_eq!(count, 1);
}

#[test]
fn a_secret_that_hangs_keeps_no_other_back() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let hanging = |name: &str| {
        format!(
            "[[backup.notify]]\nname = \"{name}\"\nkind = \"ntfy\"\nurl = \"command:sleep 600\"\ntimeout = \"1s\"\n"
        )
    };
    // Its own second does not pass while the secrets of the others are waited for.
    let machine = machine(
        &[
            web("slack", &inbox.endpoint(), "timeout = \"1s\""),
            hanging("one"),
            hanging("two"),
            "[[backup.notify]]\nname = \"own\"\nkind = \"command\"\nrun = \"true\"\ntimeout = \"1s\"\n"
                .to_owned(),
        ]
        .concat(),
    );
    let run = try_out(&machine, &[], &[]).exits(1);
    let text = run.text();
    assert!(text.contains("slack         yes"), "{text}");
    assert!(text.contains("own           yes"), "{text}");
    run.says("2 of 4 notifications were not sent: one, two")
        .says("takes longer than 1 s");
    assert_eq!(inbox.seen().len(), 1);
}

#[test]
fn one_that_fails_keeps_no_other_back() {
    let (good, bad) = (
        Inbox::start(&[Reply::Status(200)]),
        Inbox::start(&[Reply::Hang]),
    );
    let machine = machine(
        &[
            web("slack", &bad.endpoint(), "timeout = \"2s\""),
            web("discord", &good.endpoint(), ""),
            web("webhook", "http://127.0.0.1:1", ""),
            "[[backup.notify]]\nname = \"secret\"\nkind = \"ntfy\"\nurl = \"file:nowhere\"\n"
                .to_owned(),
        ]
        .concat(),
    );
    let run = try_out(&machine, &[], &[]).exits(1);
    let text = run.text();
    assert!(text.contains("discord       yes"), "{text}");
    assert!(text.contains("no connection to 127.0.0.1:1"), "{text}");
    assert!(text.contains("nowhere: No such file"), "{text}");
    run.says("3 of 4 notifications were not sent: slack, webhook, secret")
        .says("The notification slack was not sent");
    assert_eq!(good.seen().len(), 1);
}

#[test]
fn certificates_of_an_own_authority_are_trusted_and_others_named() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let own = authority.certificate();
    let tls = Tls::in_front_of(&inbox.endpoint(), &authority.make(Made::Well));
    let ca_file = format!("ca_file = \"{}\"", own.display());
    try_out(&machine(&web("slack", &tls.endpoint(), &ca_file)), &[], &[]).exits(0);
    let bare = machine(&web("slack", &tls.endpoint(), ""));
    let shown = own.display().to_string();
    try_out(&bare, &[], &[("SSL_CERT_FILE", &shown)]).exits(0);
    try_out(&bare, &[], &[("SSL_CERT_FILE", "")]).exits(1);
    // It is relative to the configuration.
    let beside = machine(&web("slack", &tls.endpoint(), "ca_file = \"own.pem\""));
    fs::copy(&own, beside.path("etc/own.pem")).expect("copied");
    try_out(&beside, &[], &[]).exits(0);
    assert_eq!(inbox.seen().len(), 3);
    let run = try_out(&bare, &[], &[]).exits(1);
    assert!(
        run.text()
            .contains("is from an authority that is not known here"),
        "{}",
        run.text()
    );
    let tls = Tls::in_front_of(&inbox.endpoint(), &authority.make(Made::Expired));
    let run = try_out(&machine(&web("slack", &tls.endpoint(), &ca_file)), &[], &[]).exits(1);
    assert!(run.text().contains("has expired"), "{}", run.text());
    let plain = inbox.endpoint().replace("http://", "https://");
    let run = try_out(&machine(&web("slack", &plain, "")), &[], &[]).exits(1);
    assert!(run.text().contains("does not speak TLS"), "{}", run.text());
    assert_eq!(inbox.seen().len(), 3);
}

#[test]
fn proxies_of_the_variables_and_of_the_key_are_used() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let open = HttpProxy::start(Gate::Open);
    let bare = machine(&web("slack", &inbox.endpoint(), ""));
    try_out(&bare, &[], &[("HTTP_PROXY", &open.url())]).exits(0);
    let key = format!("proxy = \"{}\"", open.url());
    try_out(&machine(&web("slack", &inbox.endpoint(), &key)), &[], &[]).exits(0);
    assert_eq!(open.seen().len(), 2);
    let around = [("HTTP_PROXY", &*open.url()), ("NO_PROXY", "127.0.0.1")];
    try_out(&bare, &[], &around).exits(0);
    let none = machine(&web("slack", &inbox.endpoint(), "proxy = \"none\""));
    try_out(&none, &[], &[("HTTP_PROXY", &open.url())]).exits(0);
    assert_eq!((open.seen().len(), inbox.seen().len()), (2, 4));
    // A proxy that does not reach the server answers in its place.
    let nowhere = machine(&web("slack", "http://nowhere.invalid", ""));
    let run = try_out(&nowhere, &["--json"], &[("HTTP_PROXY", &open.url())]).exits(1);
    let says = format!(
        "nowhere.invalid, or the proxy {} (HTTP_PROXY) answers with status 502",
        open.url()
    );
    let error = run.json()["notifications"][0]["error"].to_string();
    assert!(error.contains(&says), "{error}");
    let closed = HttpProxy::start(Gate::Login("bWU6b3RoZXI="));
    let run = try_out(&bare, &[], &[("HTTP_PROXY", &closed.url())]).exits(1);
    assert!(
        run.text().contains("wants a user and a password"),
        "{}",
        run.text()
    );
    let login = closed.url().replace("http://", "http://me:hunter2@");
    let run = try_out(&bare, &[], &[("HTTP_PROXY", &login)]).exits(1);
    assert!(
        run.text().contains("does not accept its user and password"),
        "{}",
        run.text()
    );
    let run = try_out(&bare, &[], &[("HTTP_PROXY", "socks5://me:hunter2@h:1")]).exits(1);
    assert!(run.text().contains("SOCKS"), "{}", run.text());
    assert_eq!(inbox.seen().len(), 4);
}

#[test]
fn tls_goes_through_a_proxy_in_a_tunnel() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let tls = Tls::in_front_of(&inbox.endpoint(), &authority.make(Made::Well));
    let ca_file = format!("ca_file = \"{}\"", authority.certificate().display());
    let machine = machine(&web("slack", &tls.endpoint(), &ca_file));
    // me:hunter2
    let proxy = HttpProxy::start(Gate::Login("bWU6aHVudGVyMg=="));
    let login = proxy.url().replace("http://", "http://me:hunter2@");
    try_out(&machine, &["-vv"], &[("HTTPS_PROXY", &login)]).exits(0);
    assert!(proxy.seen().iter().all(|seen| seen.starts_with("CONNECT ")));
    assert_eq!(inbox.seen().len(), 1);
    let run = try_out(&machine, &[], &[("HTTPS_PROXY", &proxy.url())]).exits(1);
    assert!(
        run.text().contains("wants a user and a password"),
        "{}",
        run.text()
    );
    let closed = HttpProxy::start(Gate::Closed);
    let run = try_out(&machine, &[], &[("HTTPS_PROXY", &closed.url())]).exits(1);
    assert!(
        run.text().contains("does not let us through"),
        "{}",
        run.text()
    );
}

#[test]
fn validate_finds_what_can_be_found_without_sending() {
    let inbox = Inbox::start(&[Reply::Status(200)]);
    let machine = machine(
        &[
            "[[backup.notify]]\nname = \"missing\"\nkind = \"slack\"\nurl = \"file:nowhere\"\n",
            "[[backup.notify]]\nname = \"off\"\nkind = \"slack\"\nurl = \"file:nowhere\"\nenabled = false\n",
            "[[backup.notify]]\nname = \"asked\"\nkind = \"slack\"\nurl = \"command:exit 1\"\n",
            "[[backup.notify]]\nname = \"good\"\nkind = \"slack\"\nurl = \"file:url\"\n",
        ]
        .concat(),
    );
    machine.write("etc/url", format!("{}/{SECRET}\n", inbox.endpoint()), 0o600);
    let validate = || {
        let run = support::finish(hookshot(&machine, &["validate", "--json"], &[]), b"");
        shows_no_secret(&run);
        run
    };
    let run = validate().exits(0);
    let warnings = run.json()["warnings"].to_string();
    assert!(
        warnings.contains("[[backup.notify]] missing: `url` cannot be read"),
        "{warnings}"
    );
    assert!(
        warnings.contains("[[backup.notify]] off: it is disabled"),
        "{warnings}"
    );
    assert!(
        !warnings.contains("asked") && !warnings.contains("good"),
        "{warnings}"
    );
    for (url, says) in [
        (format!("hunter2{SECRET}"), "good: `url` is not a URL"),
        (
            format!("ftp://h/{SECRET}"),
            "good: `url` must begin with https://",
        ),
        (
            format!("https://h/a b{SECRET}"),
            "good: `url` holds a blank",
        ),
    ] {
        machine.write("etc/url", url, 0o600);
        let run = validate().exits(2);
        let faults = run.json()["faults"].to_string();
        assert!(faults.contains(says), "{faults}");
    }
    machine.write("etc/url", inbox.endpoint(), 0o600);
    fs::set_permissions(machine.path("etc/url"), fs::Permissions::from_mode(0o644))
        .expect("changed");
    let warnings = validate().exits(0).json()["warnings"].to_string();
    assert!(
        warnings.contains("good: `url` cannot be read: others can read"),
        "{warnings}"
    );
    let certificates = self::machine(&web("slack", "https://h", "ca_file = \"/nowhere/ca.pem\""));
    let run = support::finish(hookshot(&certificates, &["validate"], &[]), b"").exits(2);
    run.says("`ca_file` names /nowhere/ca.pem");
    // One that cannot be read here hides no other fault.
    let unseen = self::machine(
        "[[backup.notify]]\nname = \"web\"\nkind = \"webhook\"\nurl = \"file:nowhere\"\nca_file = \"/nowhere/ca.pem\"\n\
        proxy = \"env:PROXY\"\nheaders = { X-Key = \"command:exit 1\" }\n\
        [[backup.notify]]\nname = \"mail\"\nkind = \"email\"\nsmtp = \"smtps://h\"\nuser = \"u\"\npassword = \"file:nowhere\"\n\
        from = \"a@b.c\"\nto = \"a@b..c\"\nca_file = \"/nowhere/mail.pem\"\n\
        [[backup.notify]]\nname = \"slack\"\nkind = \"slack\"\nurl = \"https://h\"\nproxy = \"file:nowhere\"\n",
    );
    let variables = [
        ("PROXY", "socks5://me:hunter2@h:1"),
        ("HTTPS_PROXY", "socks5://h:1"),
    ];
    let run = support::finish(hookshot(&unseen, &["validate", "--json"], &variables), b"").exits(2);
    shows_no_secret(&run);
    let faults = run.json()["faults"].to_string();
    for says in [
        "web: `ca_file` names /nowhere/ca.pem",
        "web: `proxy` cannot be used: it names a SOCKS proxy",
        "mail: `ca_file` names /nowhere/mail.pem",
        "mail: `to` holds an address that a mail cannot have",
    ] {
        assert!(faults.contains(says), "{says}: {faults}");
    }
    assert!(!faults.contains("HTTPS_PROXY"), "{faults}");
    let warnings = run.json()["warnings"].to_string();
    for says in [
        "web: `url` cannot",
        "mail: `password` cannot",
        "slack: `proxy` cannot",
    ] {
        assert!(warnings.contains(says), "{says}: {warnings}");
    }
    let proxy = self::machine(&web("slack", "https://h", ""));
    let variables = [("HTTPS_PROXY", "socks5://me:hunter2@h:1")];
    let run = support::finish(hookshot(&proxy, &["validate"], &variables), b"").exits(2);
    shows_no_secret(&run);
    run.says("h cannot be reached: HTTPS_PROXY: it names a SOCKS proxy");
    assert_eq!(inbox.seen().len(), 0);
}

#[test]
fn the_beginning_of_a_run_does_not_wait_for_a_server_that_hangs() {
    let inbox = Inbox::start(&[Reply::Hang]);
    let service = Service::with_config("shop", "");
    let notes = service.folder.join("notes");
    write(&notes, "first");
    let text = format!(
        "[backup]\nto = [\"one\"]\n[backup.destinations.one]\nurl = \"{}\"\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"{}\"\n\
        [[backup.notify]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\non = [\"start\"]\ntimeout = \"1h\"\n",
        service.machine.path("one").display(),
        notes.display(),
        inbox.endpoint()
    );
    fs::write(&service.config, text).expect("written");
    let report = service.run(&["--json", "backup"], 0).json();
    let outcome = &report["notifications"][0];
    assert_eq!(outcome["occasion"], "start");
    let error = outcome["error"].as_str().expect("an error");
    assert!(
        error.contains("gave no answer in time") || error.contains("takes longer than 5 s"),
        "{error}"
    );
}
