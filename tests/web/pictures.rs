//! The pictures of the documents, made anew by `HOOKSHOT_WRITE_DOCS=1`.

use std::{env, fs, path::Path};

use crate::{
    site::Site,
    stories::{log_in, open},
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
    let site = Site::new();
    site.machine.run(&["export"]).exits(0);
    let serving = site.start(&[]);
    let token = site.token("pictures", "viewer", &[]);
    let id = serving.snapshots(&serving.program(&token))[0]["id"].clone();
    let id = id.as_str().expect("an id");
    log_in(&browser, &serving, "anna");
    browser
        .until("return document.querySelector('h1').innerText.includes('Everything is protected')");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, path) in [("home", "/"), ("archive", &format!("/archives/{id}"))] {
        for (scheme, word) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.look(scheme, 1000);
            open(&browser, &serving, path);
            let picture = browser.picture(1000, 700);
            assert!(picture.len() < LARGEST, "{name}: {} bytes", picture.len());
            fs::write(folder.join(format!("{name}-{word}.png")), picture).expect("written");
        }
    }
}
