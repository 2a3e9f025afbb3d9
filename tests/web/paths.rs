//! Odd paths and parameters are not there, or are faults of the request; the server itself never fails.

use crate::{
    client::{Client, exchange},
    site::{API, Site},
};

/// Names that climb, hide or overflow, as a request may write them.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e%2fetc%2fpasswd",
        "..%2f..%2fetc%2fpasswd",
        "%252e%252e",
        "%252e%252e%252fetc",
        "%2fetc%2fpasswd",
        "%5c",
        "..%5c..%5cwindows",
        "%00",
        "a%00b",
        "%0d%0aX-Evil:%201",
        "%0a",
        "%ff",
        "%c0%ae%c0%ae",
        "%",
        "%2",
        "%zz",
        "--config",
        "-",
        "--config%3d/etc/passwd",
        "*",
        "%27%20OR%201=1%20--",
        "%22;DROP%20TABLE%20users",
        "%3Cscript%3Ealert(1)%3C%2fscript%3E",
        "%E2%80%AE",
        "@d1",
        "%40d1%2Flatest",
        "latest",
    ]
    .map(str::to_owned)
    .into();
    names.push("a".repeat(4096));
    names.push("%2e".repeat(1400));
    names
}

#[track_caller]
fn is_refused(client: &Client, path: &str) {
    let request = client.request("GET", path, "");
    let answer = exchange(client.address, request.as_bytes());
    let Some(answer) = answer else {
        panic!("{path}: no answer");
    };
    assert!(
        matches!(answer.status, 400 | 404 | 414),
        "{path}: {} {}",
        answer.status,
        answer.text()
    );
    assert!(answer.headers("x-evil").is_empty(), "{path}");
    let text = answer.text();
    assert!(
        !text.contains("root:") && !text.contains("<script>alert"),
        "{path}: {text}"
    );
}

#[test]
fn odd_names_in_every_path_parameter_are_not_there() {
    let site = Site::new();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    let archives = serving.snapshots(&program);
    let id = archives[0]["id"].as_str().expect("an id");
    for name in odd_names() {
        is_refused(&anna, &format!("/archives/{name}"));
        is_refused(&anna, &format!("/{name}x"));
        is_refused(&program, &format!("{API}/snapshots/{name}"));
        // Routes that are not there are not there for these, either.
        for path in [
            format!("{API}/snapshots/{name}/entries"),
            format!("{API}/snapshots/{id}/entries/{name}/content"),
            format!("{API}/snapshots/{id}/diff/{name}"),
        ] {
            is_refused(&program, &path);
        }
        is_refused(&anna, &format!("/assets/{name}"));
    }
    // Backslash and other bytes as they are, not encoded.
    for path in [
        "/archives/..\\..",
        "/archives/a\\b",
        "/archives/\"x\"",
        "/archives/{id}",
    ] {
        let request = anna.request("GET", path, "");
        let answer = exchange(anna.address, request.as_bytes());
        assert!(
            answer.is_none_or(|answer| matches!(answer.status, 400 | 404)),
            "{path}"
        );
    }
    anna.get(&format!("/archives/{id}")).is(200);
}

#[test]
fn odd_words_in_every_query_are_faults_of_the_request() {
    let site = Site::new();
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    serving.snapshots(&program);
    for name in odd_names() {
        for (client, path) in [
            (&anna, format!("/archives?service={name}")),
            (&anna, format!("/archives?before={name}")),
            (&anna, format!("/?x={name}")),
            (&program, format!("{API}/snapshots?service={name}")),
            (&program, format!("{API}/snapshots?host={name}")),
            (&program, format!("{API}/snapshots?cursor={name}")),
            (&program, format!("{API}/snapshots?from={name}")),
            (&program, format!("{API}/health?x={name}")),
        ] {
            let request = client.request("GET", &path, "");
            let answer = exchange(client.address, request.as_bytes()).expect("an answer");
            assert!(
                matches!(answer.status, 200 | 400 | 414),
                "{path}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(!answer.text().contains("<script>alert"), "{path}");
        }
    }
    for cursor in ["-", "1", "x-y", "9223372036854775808-a", "--", "1-%00"] {
        let answer = program.get(&format!("{API}/snapshots?cursor={cursor}"));
        assert!(
            matches!(answer.status, 200 | 400),
            "{cursor}: {}",
            answer.text()
        );
    }
    program
        .get(&format!("{API}/snapshots?cursor=x"))
        .is(400)
        .says("cursor");
}

#[test]
fn other_spellings_of_a_path_reach_no_route() {
    let site = Site::with_admin();
    site.user("vera", "viewer");
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let clients = [
        serving.stranger(),
        serving.login("vera"),
        serving.program(&token),
    ];
    for client in &clients {
        for path in [
            "/settings/",
            "//settings",
            "/./settings",
            "/x/../settings",
            "/%73ettings",
            "/settings%2f",
            "/settings;x",
            "/Settings",
            "/settings%00",
            "/settings.json",
            "/api/../settings",
            "/api/v1/backup/../../../settings",
            "//api/v1/backup/health",
            "/api/v1/backup/health/",
            "/api//v1/backup/health",
            "/api/v1/backup/%68ealth",
            "/API/v1/backup/health",
            "/api/v1/backup/",
            "/api/v1/backup",
        ] {
            for method in ["GET", "HEAD"] {
                let answer = client.send(method, path, "");
                assert_eq!(answer.status, 404, "{method} {path}");
                assert!(!answer.text().contains("Audit trail"), "{path}");
            }
        }
    }
}
