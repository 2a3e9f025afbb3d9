//! The pictures of the documents: the demo in a real browser, made anew by `HOOKSHOT_WRITE_DOCS=1`.

use std::{env, fs, path::Path};

use support::Machine;

use crate::{
    demo::Demo,
    webdriver::{Browser, Scheme},
};

/// The largest picture, in bytes.
const LARGEST: usize = 150 << 10;

#[test]
fn pictures_of_the_documents_are_written_on_request() {
    if env::var_os("HOOKSHOT_WRITE_DOCS").is_none() {
        return;
    }
    let Some(browser) = Browser::start() else {
        return;
    };
    let machine = Machine::empty();
    let demo = Demo::start(&machine);
    let at = |path: &str| format!("http://{}{path}", demo.address());
    let word = |key: &str| demo.report[key].as_str().expect("a word").to_owned();
    browser.open(&at("/login"));
    browser.fill("#name", &word("user"));
    browser.fill("#password", &word("password"));
    browser.click("button[type=submit]");
    browser.until("return document.querySelectorAll('.strip .good').length > 0");
    let link = |selector: &str| {
        let link = browser.script(&format!(
            "return document.querySelector('{selector}').pathname"
        ));
        link.as_str().expect("a link").to_owned()
    };
    let service = link("td.name a[href^=\"/services/\"]");
    browser.open(&at(&service));
    let archive = link("td.name a[href^=\"/archives/\"]");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, path) in [("home", "/"), ("service", &service), ("archive", &archive)] {
        for (scheme, word) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.look(scheme, 1000);
            browser.open(&at(path));
            let picture = browser.picture(1000, 760);
            assert!(picture.len() < LARGEST, "{name}: {} bytes", picture.len());
            fs::write(folder.join(format!("{name}-{word}.png")), picture).expect("written");
        }
    }
}
