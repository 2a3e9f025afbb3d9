//! Every page in a real browser: it can be read and reached, fits a narrow screen, and leaves the console empty.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    site::{API, Serving, Site},
    stories::{log_in, open},
    webdriver::{Browser, Scheme},
};

/// Returns every page of a server, after it knows its destinations.
pub fn pages(site: &Site, serving: &Serving) -> Vec<String> {
    let program = serving.program(&site.token("pages", "viewer", &[]));
    let archives = serving.snapshots(&program);
    let archive = archives[0]["id"].as_str().expect("an id");
    let answer = program.get(&format!("{API}/destinations")).is(200).json();
    let destination = answer["destinations"][0]["id"].as_str().expect("an id");
    let mut pages: Vec<String> = [
        "/",
        "/hosts",
        "/archives",
        "/destinations",
        "/policies",
        "/policies/default",
        "/runs",
        "/settings",
    ]
    .map(str::to_owned)
    .to_vec();
    let operator = serving.program(&site.token("verifier", "operator", &[]));
    let verify = format!("{API}/snapshots/{archive}/verify");
    let run = operator.send("POST", &verify, "").is(202).json();
    let run = run["id"].as_str().expect("an id");
    serving.until(&program, &format!("{API}/runs/{run}"), |answer| {
        answer.json()["state"] == "done"
    });
    pages.push(format!("/runs/{run}"));
    pages.extend(restored(site, serving, archive));
    let check = format!("{API}/destinations/{destination}/check");
    let run = operator.send("POST", &check, "").is(202).json();
    let run = run["id"].as_str().expect("an id");
    serving.until(&program, &format!("{API}/runs/{run}"), |answer| {
        answer.json()["state"] == "done"
    });
    pages.extend([
        "/services/x".to_owned(),
        format!("/archives/{archive}"),
        format!("/archives/{archive}?path=data"),
        format!("/archives/{archive}/diff"),
        format!("/archives/{archive}/diff?with=machine"),
        format!("/destinations/{destination}"),
        "/archives?service=nothing-like-it".to_owned(),
    ]);
    pages
}

/// Restores an archive, and returns the pages of that: the choice of entries, a plan, the plan that was applied, and its run.
fn restored(site: &Site, serving: &Serving, archive: &str) -> Vec<String> {
    site.machine.write("srv/page", "another", 0o644);
    let admin = serving.program(&site.token("restorer", "admin", &[]));
    let admin = admin.with("Content-Type: application/json");
    let plan = || {
        let path = format!("{API}/snapshots/{archive}/plan");
        admin.send("POST", &path, "{}").is(200).json()
    };
    let (open, applied) = (plan(), plan());
    let [open_id, id] = [&open, &applied].map(|plan| plan["id"].as_str().expect("an id"));
    let said = json!({"digest": applied["digest"], "host_name": applied["host"]});
    let path = format!("{API}/plans/{id}/apply");
    let run = admin.send("POST", &path, &said.to_string()).is(202).json();
    let run = run["id"].as_str().expect("an id");
    serving.until(&admin, &format!("{API}/runs/{run}"), |answer| {
        answer.json()["state"] == "done"
    });
    vec![
        format!("/archives/{archive}/restore"),
        format!("/plans/{open_id}"),
        format!("/plans/{id}"),
        format!("/runs/{run}"),
    ]
}

#[track_caller]
fn is_fit(browser: &Browser, path: &str) -> bool {
    for (scheme, width) in [
        (Scheme::Light, 1200),
        (Scheme::Dark, 1200),
        (Scheme::Light, 360),
    ] {
        browser.look(scheme, width);
        let wide = browser.script("return document.documentElement.scrollWidth");
        assert!(
            wide.as_u64() <= Some(width.into()),
            "{path} is {wide} wide at {width}"
        );
        if !browser.runs_scripts() {
            continue;
        }
        let Some(faults) = browser.faults() else {
            return false;
        };
        assert_eq!(faults, Vec::<String>::new(), "{path}, {scheme:?}, {width}");
    }
    true
}

/// Returns the addresses that a page leads to: by links, forms, and parts that are asked for anew.
pub fn addresses(page: &str) -> Vec<String> {
    let marks = [" href=\"/", " action=\"/", " src=\"/", " data-refresh=\"/"];
    let found = marks.iter().flat_map(|mark| {
        let rest = page.split(mark).skip(1);
        rest.filter_map(|rest| Some(format!("/{}", rest.split_once('"')?.0)))
    });
    found.map(|path| path.replace("&amp;", "&")).collect()
}

#[test]
fn every_link_of_every_page_leads_to_a_page() {
    let site = Site::new();
    let serving = site.start(&[]);
    let mut open = pages(&site, &serving);
    let (anna, mut seen) = (serving.login("anna"), BTreeSet::new());
    while let Some(path) = open.pop() {
        let path = path.split('#').next().unwrap_or_default().to_owned();
        if !seen.insert(path.clone()) {
            continue;
        }
        assert!(seen.len() < 500, "{seen:?}");
        let answer = anna.get(&path);
        // A form that is sent by POST has no page of its own.
        assert!(
            [200, 405].contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        if answer
            .headers("content-type")
            .join(" ")
            .starts_with("text/html")
        {
            open.extend(addresses(&answer.text()));
        }
    }
    for part in [
        "/archives/",
        "/services/",
        "/destinations/",
        "/plans/",
        "/runs/",
        "/undo",
        "/settings",
    ] {
        assert!(
            seen.iter().any(|path| path.starts_with(part)),
            "{part}: {seen:?}"
        );
    }
    println!("{} addresses", seen.len());
}

#[test]
fn every_page_can_be_read_by_everybody_and_leaves_the_console_empty() {
    if let Some(browser) = Browser::start() {
        look_at_all(&browser);
    }
}

#[test]
fn every_page_can_be_read_without_scripts() {
    if let Some(browser) = Browser::without_scripts() {
        look_at_all(&browser);
    }
}

fn look_at_all(browser: &Browser) {
    let site = Site::with_admin();
    let long = format!("{}/{}", "long-name".repeat(10), "longer_name".repeat(15));
    std::fs::create_dir_all(site.machine.path("srv/data").join(&long)).expect("folders");
    std::fs::write(site.machine.path("srv/data").join(long).join("x"), "x").expect("written");
    site.machine.run(&["export"]).exits(0);
    let serving = site.start(&[]);
    open(browser, &serving, "/login");
    if !is_fit(browser, "/login") {
        return;
    }
    let pages = pages(&site, &serving);
    log_in(browser, &serving, "anna");
    for path in &pages {
        open(browser, &serving, path);
        is_fit(browser, path);
        assert_eq!(browser.console(), Vec::<String>::new(), "{path}");
        assert_ne!(browser.script("return document.title"), "", "{path}");
    }
    // The browser itself notes the status of this one.
    open(browser, &serving, "/nothing");
    is_fit(browser, "/nothing");
}
