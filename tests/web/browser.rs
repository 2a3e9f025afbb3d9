//! Requests that pages of other servers make a browser send, and the headers of every answer.

use crate::{
    client::Client,
    site::{API, Site},
};

#[test]
fn a_change_that_another_page_asks_for_is_refused() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    let (address, port) = (serving.address, serving.address.port());
    let other_port = port ^ 1;
    let own = format!("Origin: http://{address}");
    for lines in [
        &["Sec-Fetch-Site: cross-site"][..],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: cross-site", &own],
        &["Sec-Fetch-Site: SAME-ORIGIN"],
        &["Sec-Fetch-Site: "],
        &["Origin: null"],
        &[&format!("Origin: http://127.0.0.1:{other_port}")],
        &[&format!("Origin: http://localhost:{port}")],
        &[&format!("Origin: https://{address}")],
        &[&format!("Origin: http://{address}.evil.example")],
        &["Origin: http://127.0.0.1"],
        &[&format!("Referer: http://{address}/")],
        &[],
    ] {
        let foreign = lines
            .iter()
            .fold(anna.clone(), |client, line| client.with(*line));
        let answer = foreign.send("POST", "/logout", "");
        assert_eq!(answer.status, 403, "{lines:?}");
        foreign
            .send("POST", "/login", "name=anna&password=x")
            .is(403);
    }
    anna.get("/").is(200);
    let audit = site.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    // A form of another page cannot be made to pass as a reading.
    for line in [
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: POST",
        "X-Method-Override: POST",
    ] {
        anna.with(line).get("/logout").is(405);
    }
    for path in ["/logout?_method=POST", "/logout?"] {
        anna.get(path).is(405);
    }
    anna.get("/").is(200);
    anna.with(own).send("POST", "/logout", "").is(303);
    anna.get("/").is(303);
}

/// Returns every row that a reading may not change.
fn kept(site: &Site) -> Vec<String> {
    let tables = ["users", "tokens", "sessions", "audit", "audit_end"];
    let rows = tables
        .iter()
        .flat_map(|table| site.rows(&format!("SELECT * FROM {table}")));
    rows.collect()
}

#[test]
fn reading_as_an_admin_changes_nothing() {
    let site = Site::new();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    let program = serving.program(&token);
    let id = serving.snapshots(&program)[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (before, tree) = (kept(&site), site.machine.state());
    let pages = [
        "/",
        "/archives",
        "/runs",
        "/settings",
        "/login",
        "/logout",
        &format!("/archives/{id}"),
    ];
    for path in pages {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let answer = anna.send(method, path, "");
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
        }
    }
    for path in ["health", "snapshots", &format!("snapshots/{id}")] {
        program.get(&format!("{API}/{path}")).is(200);
    }
    assert_eq!(kept(&site), before);
    let mut after = site.machine.state();
    let mut wanted = tree;
    // The server's own cache may grow.
    for tree in [&mut after, &mut wanted] {
        tree.retain(|path, _| !path.to_string_lossy().contains("serve.sqlite"));
    }
    assert_eq!(after, wanted);
    assert_eq!(support::archives_in(&site.machine.path("near")).len(), 1);
}

#[test]
fn every_answer_has_the_headers_of_the_guard() {
    let site = Site::with_admin();
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let (stranger, anna) = (serving.stranger(), serving.login("anna"));
    let page = stranger.get("/login").is(200).text();
    let assets: Vec<&str> = page
        .split('"')
        .filter(|word| word.starts_with("/assets/"))
        .collect();
    assert_eq!(assets.len(), 3, "{page}");
    let foreign = stranger.with("Host: evil.example");
    let cases: [(&Client, &str, &str, u16); 15] = [
        (&stranger, "GET", "/", 303),
        (&stranger, "GET", "/login", 200),
        (&stranger, "GET", "/livez", 200),
        (&stranger, "POST", "/login", 403),
        (&stranger, "GET", "/nothing", 404),
        (&stranger, "DELETE", "/login", 403),
        (&foreign, "GET", "/login", 421),
        (&stranger, "GET", "/api/v1/backup/health", 401),
        (&stranger, "DELETE", "/api/v1/backup/health", 405),
        (&stranger, "GET", "/api/nothing", 404),
        (&anna, "GET", "/", 200),
        (&anna, "GET", "/settings", 200),
        (&anna, "GET", "/archives/0", 404),
        (&anna, "GET", "/archives/%ff", 400),
        (&anna, "HEAD", "/", 200),
    ];
    let program = serving.program(&token);
    let mut answers: Vec<_> = cases
        .into_iter()
        .map(|(client, method, path, status)| {
            (
                format!("{method} {path}"),
                client.send(method, path, "").is(status),
            )
        })
        .collect();
    answers.push((
        "health".to_owned(),
        program.get(&format!("{API}/health")).is(200),
    ));
    for asset in assets {
        let answer = stranger.get(asset).is(200);
        assert!(answer.header("cache-control").contains("immutable"));
        answers.push((asset.to_owned(), answer));
    }
    for (what, answer) in answers {
        let csp = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(csp.contains(rule), "{what}: {csp}");
        }
        assert!(!csp.contains("unsafe"), "{what}: {csp}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            "same-origin",
            "{what}"
        );
        if !what.starts_with("/assets/") {
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        }
        // What the policy forbids would be a dead part of the page.
        let text = answer.text();
        for inline in ["<style", " style=", " onclick=", "javascript:", "<script>"] {
            assert!(!text.contains(inline), "{what}: {inline}");
        }
    }
}
