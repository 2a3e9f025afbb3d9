//! Sessions and tokens end when they have to.

use crate::{
    client::Client,
    site::{API, PASSWORD, Site, cookie},
};

fn is_in(client: &Client) -> bool {
    match client.get("/").status {
        200 => true,
        303 => false,
        other => panic!("status {other}"),
    }
}

#[test]
fn a_login_gives_another_secret_and_ends_the_session_that_the_browser_had() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let first = serving.login("anna");
    let elsewhere = serving.login("anna");
    let form = format!("name=anna&password={PASSWORD}");
    // A secret that an attacker chose is not adopted.
    let fixed = serving.stranger().with("Cookie: hookshot=fixed");
    let given = cookie(&fixed.post("/login", &form).is(303));
    assert_ne!(given, "hookshot=fixed");
    assert!(!is_in(&fixed));
    let answer = first.post("/login", &form).is(303);
    let second = serving
        .stranger()
        .with(format!("Cookie: {}", cookie(&answer)));
    assert!(is_in(&second) && is_in(&elsewhere));
    assert!(!is_in(&first));
    // A try that fails ends nothing.
    second
        .post("/login", "name=anna&password=wrong-password")
        .is(403);
    assert!(is_in(&second));
    let set = answer.header("set-cookie");
    assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
}

#[test]
fn the_cookie_of_a_server_behind_tls_is_bound_to_its_host() {
    let site = Site::with_admin();
    let serving = site.start(&[
        "--public-url",
        "https://backup.example/",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let proxy = serving.stranger().with("Host: backup.example");
    let own = proxy.with("Origin: https://backup.example");
    let answer = own
        .send("POST", "/login", &format!("name=anna&password={PASSWORD}"))
        .is(303);
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-hookshot="), "{set}");
    assert!(
        set.contains("; Path=/;") && set.contains("; Secure"),
        "{set}"
    );
    assert!(!set.contains("Domain"), "{set}");
    assert!(
        answer
            .header("strict-transport-security")
            .starts_with("max-age=")
    );
    let anna = proxy.with(format!("Cookie: {}", cookie(&answer)));
    anna.get("/").is(200);
    // The proxy's own name is none of the server's.
    for origin in [
        "http://backup.example",
        "https://backup.example:8443",
        "https://evil.example",
    ] {
        anna.with(format!("Origin: {origin}"))
            .send("POST", "/logout", "")
            .is(403);
    }
    anna.get("/").is(200);
}

#[test]
fn a_session_dies_at_logout_and_with_each_change_of_its_user() {
    let site = Site::with_admin();
    for name in ["pass", "role", "gone"] {
        site.user(name, "operator");
    }
    let serving = site.start(&[]);
    let password = site.machine.path("password").display().to_string();
    let anna = serving.login("anna");
    let bystander = serving.login("anna");
    let answer = anna.post("/logout", "").is(303);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_in(&anna) && is_in(&bystander));
    for (name, change) in [
        (
            "pass",
            &["user", "passwd", "pass", "--password-file", &password][..],
        ),
        ("role", &["user", "role", "role", "--role", "viewer"]),
        ("gone", &["user", "remove", "gone"]),
    ] {
        let (one, two) = (serving.login(name), serving.login(name));
        assert!(is_in(&one) && is_in(&two), "{name}");
        site.serve(change).exits(0);
        assert!(!is_in(&one) && !is_in(&two), "{name}");
    }
    serving.try_login("gone", PASSWORD).is(403);
    assert!(is_in(&bystander));
}

#[test]
fn the_last_admin_stays() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    for change in [
        &["user", "remove", "anna"][..],
        &["user", "role", "anna", "--role", "operator"],
    ] {
        site.serve(change).exits(2).says("the last admin");
    }
    assert!(is_in(&anna));
    site.user("ben", "admin");
    site.serve(&["user", "remove", "anna"]).exits(0);
    assert!(!is_in(&anna));
    site.serve(&["user", "remove", "ben"])
        .exits(2)
        .says("the last admin");
}

#[test]
fn a_token_dies_when_it_is_revoked_and_at_its_end() {
    let site = Site::with_admin();
    let revoked = site.token("revoked", "viewer", &[]);
    let short = site.token("short", "viewer", &["--expires", "1h"]);
    let health = format!("{API}/health");
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    for token in [&revoked, &short] {
        serving.program(token).get(&health).is(200);
    }
    site.serve(&["token", "revoke", "revoked"]).exits(0);
    serving.program(&revoked).get(&health).is(401);
    serving.program(&short).get(&health).is(200);
    let anna = serving.login("anna");
    site.leap(3700);
    serving.program(&short).get(&health).is(401);
    assert!(is_in(&anna));
    site.leap(3700 + 12 * 3600);
    assert!(!is_in(&anna));
    // The name is free again, and another secret belongs to it.
    let again = site.token("revoked", "viewer", &[]);
    assert_ne!(again, revoked);
    serving.program(&revoked).get(&health).is(401);
    serving.program(&again).get(&health).is(200);
}
