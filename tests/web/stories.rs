//! Stories of people in a real browser: they log in, look, browse and download.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    site::{API, PASSWORD, Serving, Site},
    webdriver::Browser,
};

/// The keys of WebDriver that are not characters (17.4.2).
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// Opens a page of the server.
pub fn open(browser: &Browser, serving: &Serving, path: &str) {
    browser.open(&format!("http://{}{path}", serving.address));
}

/// Logs in through the form.
pub fn log_in(browser: &Browser, serving: &Serving, name: &str) {
    open(browser, serving, "/login");
    browser.fill("#name", name);
    browser.fill("#password", PASSWORD);
    browser.click("button[type=submit]");
    browser.until("return location.pathname == '/' && document.readyState == 'complete'");
}

/// Logs out, and waits until the server knows.
fn log_out(browser: &Browser) {
    browser.click(".logout button");
    browser.until("return location.pathname == '/login' && document.readyState == 'complete'");
}

#[test]
fn a_first_login_shows_that_everything_is_protected_by_itself() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::new();
    let serving = site.start(&[]);
    open(&browser, &serving, "/archives");
    assert!(
        browser.address().ends_with("/login"),
        "{}",
        browser.address()
    );
    browser.fill("#name", "anna");
    browser.fill("#password", "wrong-password");
    browser.click("button[type=submit]");
    assert_eq!(browser.text(".fault"), "Name or password is wrong.");
    log_in(&browser, &serving, "anna");
    // The page has nothing to tell at first, and learns it without a click.
    browser
        .until("return document.querySelector('h1').innerText.includes('Everything is protected')");
    assert!(
        browser.text("main").contains("newest archive"),
        "{}",
        browser.text("main")
    );
    log_out(&browser);
    open(&browser, &serving, "/");
    assert!(
        browser.address().ends_with("/login"),
        "{}",
        browser.address()
    );
}

#[test]
fn an_entry_is_browsed_and_downloaded_with_equal_bytes() {
    let Some(browser) = Browser::start() else {
        return;
    };
    // One archive alone: two of one second have no order of time.
    let site = Site::with_admin();
    site.user("olga", "operator");
    site.user("vera", "viewer");
    let content: Vec<u8> = (0..200_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    fs::create_dir_all(site.machine.path("srv/data/deep/er")).expect("folders");
    fs::write(site.machine.path("srv/data/deep/er/a b&c.bin"), &content).expect("written");
    site.machine.run(&["export"]).exits(0);
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let id = serving.snapshots(&serving.program(&token))[0]["id"].clone();
    log_in(&browser, &serving, "olga");
    open(
        &browser,
        &serving,
        &format!("/archives/{}", id.as_str().expect("an id")),
    );
    for folder in ["data/", "deep/", "er/"] {
        // A click does not wait for the page that it leads to.
        browser.until(&format!(
            "const links = [...document.querySelectorAll('td.name a')]; \
             const link = links.find(link => link.innerText == '{folder}'); \
             if (link) link.id = 'go'; return link !== undefined"
        ));
        browser.click("#go");
    }
    let entry = "[aria-label=Entries] td.name";
    browser.until(
        "return document.querySelector('[aria-label=Entries] td.name')?.innerText == 'a b&c.bin'",
    );
    assert_eq!(browser.text(entry), "a b&c.bin");
    let downloaded = browser.download(&format!("{entry} a"));
    assert!(downloaded == content, "{} bytes", downloaded.len());
    // A viewer sees the same, and nothing to click.
    log_out(&browser);
    log_in(&browser, &serving, "vera");
    open(
        &browser,
        &serving,
        &format!(
            "/archives/{}?path=data/deep/er",
            id.as_str().expect("an id")
        ),
    );
    assert_eq!(browser.text(entry), "a b&c.bin");
    let buttons =
        "return [...document.querySelectorAll('main button, main td a[download]')].length";
    assert_eq!(browser.script(buttons), 0);
    let vera = serving.login("vera");
    let path = format!(
        "/archives/{}/content?entry=page",
        id.as_str().expect("an id")
    );
    vera.get(&path).is(403);
    let answer = serving.login("olga").get(&path).is(200);
    assert!(
        answer
            .header("content-disposition")
            .starts_with("attachment")
    );
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(
        answer.body,
        fs::read(site.machine.path("srv/page")).expect("a file")
    );
}

#[test]
fn the_keyboard_is_enough_to_log_in_and_to_reach_an_archive() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    serving.snapshots(&serving.program(&token));
    open(&browser, &serving, "/login");
    // The first field has the focus.
    browser.press(&format!("vera{TAB}{PASSWORD}{ENTER}"));
    browser.until("return location.pathname == '/' && document.readyState == 'complete'");
    browser.press(&TAB.to_string());
    let focus = "return document.activeElement.innerText";
    assert_eq!(browser.script(focus), "Skip to the content");
    browser.press(&ENTER.to_string());
    assert_eq!(
        browser.script("return document.activeElement.id"),
        "content"
    );
    open(&browser, &serving, "/archives");
    let is_archive = "return document.activeElement.matches('td.name a')";
    for _ in 0..40 {
        if browser.script(is_archive) == true {
            break;
        }
        browser.press(&TAB.to_string());
        let outline = "const focus = document.activeElement; \
            return focus == document.body || getComputedStyle(focus).outlineStyle != 'none'";
        assert_eq!(
            browser.script(outline),
            true,
            "{}",
            browser.script("return document.activeElement.outerHTML")
        );
    }
    browser.press(&ENTER.to_string());
    browser.until("return location.pathname.startsWith('/archives/')");
}

#[test]
fn eight_tabs_of_live_pages_starve_no_tab() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::new();
    let serving = site.start(&[]);
    log_in(&browser, &serving, "vera");
    for _ in 0..7 {
        browser.open_tab();
        open(&browser, &serving, "/");
    }
    let start = Instant::now();
    browser.open_tab();
    open(&browser, &serving, "/archives");
    assert_eq!(browser.text("h1"), "Archives");
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn pages_and_forms_work_without_scripts() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let serving = site.start(&[]);
    let id = serving.snapshots(&serving.program(&token))[0]["id"].clone();
    let program = serving.program(&token);
    serving.until(&program, &format!("{API}/health"), |answer| {
        answer.json()["healthy"] == true
    });
    let disabled = serde_json::json!({"value": true});
    browser.devtools("Emulation.setScriptExecutionDisabled", &disabled);
    open(&browser, &serving, "/login");
    browser.fill("#name", "olga");
    browser.fill("#password", PASSWORD);
    browser.click("button[type=submit]");
    assert!(
        browser
            .text(".sentence")
            .contains("Everything is protected")
    );
    open(&browser, &serving, "/archives?service=nothing-like-it");
    browser.click("button[type=submit]:not(.logout button)");
    browser.click("td.name a");
    browser.text("#entries");
    let end = browser.address();
    assert!(end.ends_with(id.as_str().expect("an id")), "{end}");
    assert!(browser.text("main").contains("Entries"));
    assert_eq!(
        browser.download("td.name a[download]"),
        fs::read(site.machine.path("srv/page")).expect("a file")
    );
}
