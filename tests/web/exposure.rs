//! The openness to others: nothing without an account, nothing beyond this machine without TLS, no other name.

use std::os::unix::fs::PermissionsExt as _;

use support::servers::{Authority, Made};

use crate::{
    client::exchange,
    site::{API, PASSWORD, Serving, Site},
};

#[test]
fn it_does_not_start_without_an_account_or_beyond_this_machine_without_tls() {
    let site = Site::without_accounts();
    let run = site.serve(&["--listen", "127.0.0.1:0"]).exits(2);
    run.says("no account is an admin")
        .says("hookshot serve user add NAME --role admin");
    // A viewer cannot make accounts.
    site.user("vera", "viewer");
    site.serve(&["--listen", "127.0.0.1:0"]).exits(2);
    site.user("anna", "admin");
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let run = site.serve(&["--listen", listen]).exits(2);
        run.says("is open to other machines, without TLS")
            .says("--tls-cert");
        for half in [
            &["--public-url", "https://backup.example"][..],
            &["--trusted-proxy", "127.0.0.1"],
        ] {
            site.serve(&[&["--listen", listen], half].concat()).exits(2);
        }
    }
}

#[test]
fn beyond_this_machine_it_serves_with_a_certificate() {
    let Some(authority) = Authority::new() else {
        return;
    };
    let site = Site::with_admin();
    let (certificate, key) = authority.make(Made::Well);
    let mut command = site.machine.command();
    command.args(["serve", "--listen", "0.0.0.0:0", "--tls-cert"]);
    command.arg(&certificate).arg("--tls-key").arg(&key);
    let serving = Serving::start(command);
    // A browser that forgets the `s` learns nothing.
    let plain = serving.stranger().request("GET", "/login", "");
    assert!(exchange(serving.address, plain.as_bytes()).is_none());
    let run = site.serve(&["--listen", "127.0.0.1:0", "--tls-cert"]);
    run.exits(2);
    let absent = site.machine.path("absent.pem").display().to_string();
    let run = site.serve(&[
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &absent,
        "--tls-key",
        &absent,
    ]);
    assert_ne!(run.code, 0);
    run.says("absent.pem");
}

#[test]
fn there_is_no_default_account_and_no_page_that_makes_one() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    for name in ["admin", "root", "hookshot", "anna"] {
        for password in ["", "admin", "password", "hookshot", "changeme"] {
            serving.try_login(name, password);
        }
    }
    assert_eq!(site.rows("SELECT count(*) FROM sessions"), ["Integer(0)"]);
    for path in [
        "/setup",
        "/install",
        "/register",
        "/signup",
        "/users",
        "/settings/users",
        "/api/v1/backup/setup",
    ] {
        for method in ["GET", "POST"] {
            let answer = serving.stranger().with("Sec-Fetch-Site: same-origin").send(
                method,
                path,
                "name=eve&password=evesdroppers",
            );
            assert!(
                matches!(answer.status, 401 | 404 | 405),
                "{path}: {answer:?}"
            );
        }
    }
    assert_eq!(site.rows("SELECT name FROM users").len(), 1);
}

#[test]
fn requests_for_another_host_are_refused() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let (address, port) = (serving.address, serving.address.port());
    let anna = serving.login("anna");
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("{address}@evil.example"),
        "localhost".to_owned(),
        "localhost:1".to_owned(),
        String::new(),
    ] {
        let host = format!("Host: {host}");
        for path in [
            "/",
            "/login",
            "/livez",
            &format!("{API}/health"),
            "/assets/x",
        ] {
            anna.with(&host).get(path).is(421);
        }
        anna.with(&host).post("/logout", "").is(421);
    }
    for good in [format!("localhost:{port}"), format!("[::1]:{port}")] {
        anna.with(format!("Host: {good}")).get("/").is(200);
    }
    let two = anna
        .with(format!("Host: {address}"))
        .with("Host: evil.example");
    two.get("/").is(421);
    let other = format!(
        "GET http://evil.example/login HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange(address, other.as_bytes()).expect("an answer");
    answer.is(421);
    let none = exchange(address, b"GET /login HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(none.is_none_or(|answer| [400, 421].contains(&answer.status)));
    // It all came to nothing.
    anna.get("/").is(200);
}

#[test]
fn no_answer_lets_pages_of_others_read_it() {
    let site = Site::with_admin();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let evil = "Origin: https://evil.example";
    for client in [
        serving.stranger(),
        serving.program(&token),
        serving.login("anna"),
    ] {
        let client = client.with(evil);
        for path in [
            "/",
            "/login",
            "/livez",
            &format!("{API}/health"),
            &format!("{API}/x"),
        ] {
            let preflight = client
                .with("Access-Control-Request-Method: POST")
                .with("Access-Control-Request-Headers: authorization")
                .send("OPTIONS", path, "");
            for answer in [client.get(path), preflight] {
                let cors = answer.headers.iter();
                let mut cors = cors.filter(|(name, _)| name.starts_with("access-control"));
                assert_eq!(cors.next(), None, "{path}");
            }
        }
    }
}

#[test]
fn the_word_of_an_untrusted_peer_about_its_address_is_ignored() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let liar = serving
        .stranger()
        .with("X-Forwarded-For: 6.6.6.6")
        .with("X-Real-IP: 6.6.6.6")
        .with("Forwarded: for=6.6.6.6")
        .with("X-Forwarded-Host: evil.example")
        .with("X-Forwarded-Proto: https")
        .with("X-Remote-User: anna")
        .with("Remote-User: anna");
    liar.get("/").is(303);
    liar.post("/login", &format!("name=anna&password={PASSWORD}"))
        .is(303);
    let addresses = |site: &Site| {
        let audit = site.audit().into_iter();
        audit.map(|(_, address, ..)| address).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&site), ["127.0.0.1"]);
    // From one address the sixth try is refused, whatever it calls itself.
    for number in 0..6 {
        let client = serving
            .stranger()
            .with(format!("X-Forwarded-For: 6.6.6.{number}"));
        let answer = client.post("/login", "name=anna&password=wrong-password");
        answer.is(if number < 5 { 403 } else { 429 });
    }
    drop(serving);
    let trusting = site.start(&["--trusted-proxy", "127.0.0.1"]);
    let liar = trusting
        .stranger()
        .with("X-Forwarded-For: 9.9.9.9, 6.6.6.6");
    liar.post("/login", &format!("name=anna&password={PASSWORD}"))
        .is(303);
    assert_eq!(addresses(&site).last().expect("a record"), "6.6.6.6");
}

#[test]
fn the_state_is_private_from_its_first_byte() {
    let site = Site::without_accounts();
    let state = site.machine.path("elsewhere/state.sqlite");
    let (file, text) = (state.display().to_string(), "password");
    let password = site.machine.path(text).display().to_string();
    let add = ["user", "add", "anna", "--role", "admin", "--password-file"];
    site.serve(&[&add[..], &[&password, "--state", &file]].concat())
        .exits(0);
    let serving = site.start(&["--state", &file]);
    serving.login("anna").get("/").is(200);
    for ending in ["", "-wal", "-shm"] {
        let file = format!("{file}{ending}");
        let mode = std::fs::metadata(&file).expect(&file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(!site.state().exists());
}
