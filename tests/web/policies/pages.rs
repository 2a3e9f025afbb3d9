//! The pages of policies, as a browser without scripts uses them.

use std::fs;

use super::{config_of, configuration, path_of, with_archives};
use crate::site::PASSWORD;

#[test]
fn pages_show_simulate_and_write_policies() {
    let site = with_archives();
    let serving = site.start(&[]);
    let (vera, anna) = (serving.login("vera"), serving.login("anna"));
    let program = serving.program(&site.token("t", "viewer", &[]));
    let found = configuration(&serving, &program);
    let text = || fs::read_to_string(config_of(&site)).expect("text");
    let before = text();
    let seen = vera.get("/policies").is(200).says("so the default policy");
    assert!(!seen.text().contains("Write it into the file"));
    let simulate = "/policies/default?simulate=1&name=Default&generation=1&keep_last=1";
    let seen = vera
        .get(simulate)
        .is(200)
        .says("These values are not saved.");
    let seen = seen.says("It would remove 2, and keep 1");
    assert!(!seen.text().contains("formmethod"), "{}", seen.text());
    vera.get("/policies/absent").is(404);
    vera.get("/policies/default?simulate=1&keep_last=many")
        .is(200)
        .says("keep_last");
    assert_eq!(
        site.rows("SELECT max(generation) FROM policies"),
        ["Integer(1)"]
    );
    // A new one is saved, changed and written.
    let saved = anna
        .post("/policies/new", "name=Few&keep_last=1&schedule=04:00")
        .is(303);
    let page = saved.header("location").to_owned();
    anna.get(&page)
        .is(200)
        .says("Few")
        .says("formmethod=\"post\"");
    anna.post(&page, "name=Few&keep_last=many&generation=1")
        .is(422);
    anna.post(&page, "name=Few&keep_last=2&generation=9")
        .is(409);
    anna.post(&page, "name=Few&keep_last=2&schedule=04:00&generation=1")
        .is(303);
    let id = page.rsplit('/').next().expect("an id").to_owned();
    let form = format!("{}/policy", path_of(&found));
    let generation = found["generation"].as_str().expect("text");
    let fields =
        |password: &str| format!("policy={id}&generation={generation}&password={password}");
    anna.post(&form, &fields("wrong-password")).is(403);
    vera.post(&form, &fields(PASSWORD)).is(403);
    assert_eq!(text(), before);
    anna.post(&form, &fields(PASSWORD)).is(303);
    assert!(
        text().contains("[backup.retention]\nkeep_last = 2\n"),
        "{}",
        text()
    );
    anna.get("/policies").is(200).says("It has the policy");
    // The file is another one now.
    anna.post(&form, &fields(PASSWORD)).is(409);
    anna.post(&page, "act=remove&generation=2").is(409);
    let generation = configuration(&serving, &program)["generation"].clone();
    let generation = generation.as_str().expect("text");
    let none = format!("policy=none&generation={generation}&password={PASSWORD}");
    anna.post(&form, &none).is(303);
    anna.post(&page, "act=remove&generation=2").is(303);
    vera.get(&page).is(404);
}
