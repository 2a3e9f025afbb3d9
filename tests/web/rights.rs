//! The matrix of rights: every route for every kind of client.

use crate::{
    client::Client,
    site::{API, Serving, Site},
};

/// The roles, the weakest first.
const ROLES: [(&str, &str); 3] = [("viewer", "vera"), ("operator", "olga"), ("admin", "anna")];

/// The pages, each with the least role that sees it.
const PAGES: [(&str, &str); 7] = [
    ("/", "viewer"),
    ("/archives", "viewer"),
    ("/archives/{id}", "viewer"),
    ("/archives/{id}/restore", "operator"),
    ("/runs", "viewer"),
    ("/policies", "viewer"),
    ("/settings", "admin"),
];

/// The forms of pages, each with the least role that may send it.
const FORMS: [(&str, &str); 9] = [
    ("/archives/{id}/verify", "operator"),
    ("/archives/{id}/drill", "operator"),
    ("/archives/{id}/mark", "operator"),
    ("/runs/{id}/cancel", "operator"),
    ("/archives/{id}/plan", "operator"),
    ("/plans/{id}/apply", "admin"),
    ("/undo", "operator"),
    ("/policies/default", "admin"),
    ("/configurations/{id}/policy", "admin"),
];

/// The routes that change something: a body that is fine, and the answers to those that may.
const CHANGES: [(&str, &str, &str, &[u16]); 21] = [
    (
        "post",
        "/configurations",
        "{\"app_id\": \"absent\", \"policy_id\": \"default\"}",
        &[404],
    ),
    ("post", "/configurations/{id}/backup", "{}", &[404]),
    ("post", "/destinations/{id}/check", "{}", &[202, 409]),
    ("post", "/snapshots/{id}/verify", "{}", &[202, 409]),
    ("post", "/snapshots/{id}/drill", "{}", &[202, 409]),
    (
        "put",
        "/snapshots/{id}/mark",
        "{\"reason\": \"a test\"}",
        &[200, 409],
    ),
    ("delete", "/snapshots/{id}/mark", "", &[200, 409]),
    ("delete", "/runs/{id}", "", &[404]),
    ("post", "/snapshots/{id}/plan", "{}", &[200, 409]),
    ("post", "/snapshots/{id}/restore", "{}", &[202, 409]),
    (
        "post",
        "/plans/{id}/apply",
        "{\"digest\": \"0\", \"host_name\": \"x\"}",
        &[404],
    ),
    ("post", "/hosts/{id}/rollback", "{}", &[404]),
    (
        "post",
        "/destinations/s3",
        "{\"name\": \"x\", \"bucket\": \"b\"}",
        &[200],
    ),
    (
        "post",
        "/destinations/local",
        "{\"name\": \"x\", \"path\": \"/mnt/x\"}",
        &[200],
    ),
    (
        "post",
        "/destinations/sftp",
        "{\"name\": \"x\", \"host\": \"h.example\", \"path\": \"/x\"}",
        &[200],
    ),
    (
        "post",
        "/destinations/gcs",
        "{\"name\": \"x\", \"bucket\": \"b\"}",
        &[200],
    ),
    (
        "post",
        "/destinations/azure",
        "{\"name\": \"x\", \"container\": \"c\"}",
        &[200],
    ),
    ("post", "/policies", "{\"name\": \"x\"}", &[200]),
    ("patch", "/policies/{id}", "{}", &[404]),
    ("delete", "/policies/{id}", "", &[404]),
    (
        "patch",
        "/configurations/{id}",
        "{\"policy\": \"default\"}",
        &[404],
    ),
];

/// A route of programs: method, path, and the least role.
type Route = (String, String, String);

/// Returns the routes of programs, as the server describes them.
fn described(serving: &Serving, token: &str) -> Vec<Route> {
    let answer = serving.program(token).get(&format!("{API}/openapi.json"));
    let document = answer.is(200).json();
    let paths = document["paths"].as_object().expect("paths");
    let routes = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.iter().map(move |(method, operation)| {
            let role = operation["security"][0]["token"][0].as_str();
            let role = role.unwrap_or_else(|| panic!("{path} has no role"));
            (method.clone(), path.clone(), role.to_owned())
        })
    });
    routes.collect()
}

fn rank(role: &str) -> usize {
    let found = ROLES.iter().position(|(one, _)| *one == role);
    found.unwrap_or_else(|| panic!("{role} is a role"))
}

/// Writes a path with an archive and an entry.
fn at(path: &str, id: &str) -> String {
    let path = path.replace("{id}", id).replace("{other}", id);
    path.replace("{name}", "page")
}

#[test]
fn every_page_is_for_its_role_and_those_above() {
    let site = Site::new();
    let tokens = ROLES.map(|(role, _)| site.token(&format!("t-{role}"), role, &[]));
    let serving = site.start(&[]);
    let id = first_id(&serving, &serving.program(&tokens[0]));
    let out = serving.login("anna");
    out.post("/logout", "").is(303);
    for (path, least) in PAGES {
        let path = at(path, &id);
        let mut strangers = vec![serving.stranger(), out.clone()];
        strangers.extend(tokens.iter().map(|token| serving.program(token)));
        for stranger in strangers {
            let answer = stranger.get(&path).is(303);
            assert_eq!(answer.header("location"), "/login", "{path}");
            assert_eq!(answer.text(), "", "{path}");
        }
        for (role, name) in ROLES {
            let person = serving.login(name);
            let is_allowed = rank(role) >= rank(least);
            let answer = person.get(&path).is(if is_allowed { 200 } else { 403 });
            person.send("HEAD", &path, "").is(answer.status);
            // A page shows no more of other pages than its reader may see.
            let has_settings = answer.text().contains("href=\"/settings\"");
            assert_eq!(has_settings, is_allowed && role == "admin", "{path} {role}");
            let own = person.with("Sec-Fetch-Site: same-origin");
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                own.send(method, &path, "").is(405);
            }
        }
    }
}

#[test]
fn every_route_of_programs_is_for_its_role_and_those_above() {
    let site = Site::new();
    let tokens = ROLES.map(|(role, _)| (role, site.token(role, role, &[])));
    let other = site.token("other", "admin", &["--hosts", "y,xx"]);
    let own = site.token("own", "viewer", &["--hosts", "y,x"]);
    let (expired, revoked) = (
        site.token("expired", "admin", &["--expires", "1h"]),
        site.token("revoked", "admin", &[]),
    );
    site.serve(&["token", "revoke", "revoked"]).exits(0);
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let id = first_id(&serving, &serving.program(&expired));
    site.leap(3601);
    let sessions = ROLES.map(|(_, name)| serving.login(name));
    let routes = described(&serving, &tokens[0].1);
    let destinations = serving
        .program(&tokens[0].1)
        .get(&format!("{API}/destinations"));
    let destination = destinations.is(200).json()["destinations"][0]["id"].clone();
    let destination = destination.as_str().expect("an id").to_owned();
    let at = |route: &str| match route.contains("/destinations/{") {
        true => at(route, &destination),
        false => at(route, &id),
    };
    assert!(routes.len() >= 16, "{routes:?}");
    let readable = || {
        let read = routes.iter().filter(|(method, ..)| method == "get");
        read.map(|(_, route, least)| (route, least))
    };
    for (route, least) in readable() {
        let path = at(route);
        let mut strangers = vec![serving.stranger()];
        strangers.extend(sessions.clone());
        strangers.extend([&expired, &revoked].map(|token| serving.program(token)));
        for stranger in strangers {
            let answer = stranger.get(&path).is(401);
            assert_eq!(answer.json()["error"]["kind"], "forbidden", "{path}");
        }
        for (role, token) in &tokens {
            let program = serving.program(token);
            let is_allowed = rank(role) >= rank(least);
            let answer = program.get(&path);
            // Of runs, plans and policies none has that identifier.
            let statuses: &[u16] = if !is_allowed {
                &[403]
            } else if ["/runs/{", "/plans/{", "/policies/{"]
                .iter()
                .any(|part| route.contains(part))
            {
                &[404]
            } else {
                &[200]
            };
            let told = answer.text();
            assert!(statuses.contains(&answer.status), "{path} {role}: {told}");
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let is_route =
                    |(one, path, _): &Route| one.eq_ignore_ascii_case(method) && path == route;
                if routes.iter().any(is_route) {
                    continue;
                }
                let answer = program
                    .with("X-HTTP-Method-Override: GET")
                    .send(method, &path, "");
                answer.is(405);
            }
        }
    }
    let get = |token: &str, route: &str| serving.program(token).get(&at(&format!("{API}{route}")));
    get(&own, "/snapshots/{id}").is(200);
    // An archive of another service is as one that is not there.
    let absent = get(&other, "/snapshots/0123").is(404).text();
    assert_eq!(get(&other, "/snapshots/{id}").is(404).text(), absent);
    for route in ["/snapshots", "/snapshots?service=x", "/health"] {
        let seen = get(&own, route).is(200).text();
        let hidden = get(&other, route).is(200).text();
        assert!(seen.contains("x-2"), "{route}: {seen}");
        assert!(!hidden.contains("x-2"), "{route}: {hidden}");
    }
    for (route, _) in readable() {
        let answer = serving.program(&other).get(&at(route));
        let statuses: &[u16] = match route.contains("/snapshots/{") {
            true => &[404],
            false => &[200, 403, 404],
        };
        assert!(
            statuses.contains(&answer.status),
            "{route}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("x-2"), "{route}: {}", answer.text());
    }
}

#[test]
fn every_change_is_for_its_role_and_those_above() {
    let site = Site::new();
    let tokens = ROLES.map(|(role, _)| (role, site.token(role, role, &[])));
    let other = site.token("other", "admin", &["--hosts", "y,xx"]);
    let serving = site.start(&[]);
    let id = first_id(&serving, &serving.program(&tokens[0].1));
    let answer = (serving.program(&tokens[0].1)).get(&format!("{API}/destinations"));
    let destination = answer.is(200).json()["destinations"][0]["id"].clone();
    let destination = destination.as_str().expect("an id").to_owned();
    let routes = described(&serving, &tokens[0].1);
    let changes = || routes.iter().filter(|(method, ..)| method != "get");
    let all = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM users), (SELECT count(*) FROM tokens)";
    for (method, route, least) in changes() {
        let short = route.strip_prefix(API).expect("a route");
        let row = CHANGES
            .iter()
            .find(|(one, path, ..)| one == method && *path == short);
        let (_, _, body, statuses) = row.unwrap_or_else(|| panic!("{method} {route} has no row"));
        let path = match route.contains("/destinations/{") {
            true => at(route, &destination),
            false => at(route, &id),
        };
        let ask = |client: &Client| {
            let client = client.with("Content-Type: application/json");
            // Some changes have to name the state that they are meant for.
            let client = client.with("If-Match: 1");
            client.send(&method.to_uppercase(), &path, body)
        };
        let before = site.rows(all);
        for stranger in [serving.stranger(), serving.login("anna")] {
            let answer = ask(&stranger).is(401);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
        }
        let answer = ask(&serving.program(&other));
        assert!(
            [403, 404].contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        for (role, token) in tokens.iter().filter(|(role, _)| rank(role) < rank(least)) {
            let answer = ask(&serving.program(token));
            assert_eq!(answer.status, 403, "{method} {path} {role}");
            let (actor, _, _, outcome) = site.audit().pop().expect("a record");
            assert_eq!(
                (actor.as_str(), outcome.as_str()),
                (*role, "forbidden"),
                "{path}"
            );
        }
        assert_eq!(site.rows(all), before, "{method} {path}");
        for (role, token) in tokens.iter().filter(|(role, _)| rank(role) >= rank(least)) {
            let answer = ask(&serving.program(token));
            let told = answer.text();
            assert!(
                statuses.contains(&answer.status),
                "{method} {path} {role}: {told}"
            );
        }
    }
    for (form, least) in FORMS {
        let path = at(form, &id);
        serving.stranger().send("POST", &path, "").is(403);
        let answer = serving.stranger().post(&path, "").is(303);
        assert_eq!(answer.header("location"), "/login", "{path}");
        for (role, name) in ROLES {
            let person = serving.login(name);
            // Without the word of the browser that it is our page, the form is nothing.
            person.send("POST", &path, "").is(403);
            if rank(role) < rank(least) {
                person.post(&path, "").is(403);
            }
        }
    }
}

fn first_id(serving: &Serving, program: &Client) -> String {
    let archives = serving.snapshots(program);
    archives[0]["id"].as_str().expect("an id").to_owned()
}
