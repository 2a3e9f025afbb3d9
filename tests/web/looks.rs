//! Every page in a real browser: it can be read and reached, fits a narrow screen, and leaves the console empty.

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
        let Some(faults) = browser.faults() else {
            return false;
        };
        assert_eq!(faults, Vec::<String>::new(), "{path}, {scheme:?}, {width}");
    }
    true
}

#[test]
fn every_page_can_be_read_by_everybody_and_leaves_the_console_empty() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::with_admin();
    let long = format!("{}/{}", "long-name".repeat(10), "longer_name".repeat(15));
    std::fs::create_dir_all(site.machine.path("srv/data").join(&long)).expect("folders");
    std::fs::write(site.machine.path("srv/data").join(long).join("x"), "x").expect("written");
    site.machine.run(&["export"]).exits(0);
    let serving = site.start(&[]);
    open(&browser, &serving, "/login");
    if !is_fit(&browser, "/login") {
        return;
    }
    let pages = pages(&site, &serving);
    log_in(&browser, &serving, "anna");
    for path in &pages {
        open(&browser, &serving, path);
        is_fit(&browser, path);
        assert_eq!(browser.console(), Vec::<String>::new(), "{path}");
        assert_ne!(browser.script("return document.title"), "", "{path}");
    }
    // The browser itself notes the status of this one.
    open(&browser, &serving, "/nothing");
    is_fit(&browser, "/nothing");
}
