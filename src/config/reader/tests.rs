//! Sections are read with their faults, and every key is known.

use super::*;

fn faults(text: &str, of: impl for<'a> FnOnce(&Section<'a>)) -> Vec<String> {
    read(text, |root| {
        root.share();
        root.section("a", of);
    })
    .err()
    .unwrap_or_default()
}

#[test]
fn a_key_that_was_not_asked_for_is_unknown_and_the_nearest_is_named() {
    let found = faults(
        "[other]\nx = 1\n[a]\nprefx = 1\nlevel = true\n",
        |section| {
            section.text("prefix");
            section.count("level");
        },
    );
    let says = [
        "unknown key `prefx` under [a]; did you mean `prefix`?",
        "`level` under [a] must be a number",
    ];
    assert_eq!(found, says);
}

#[test]
fn a_missing_key_is_not_named_beside_a_slip_of_it() {
    let url = |section: &Section<'_>| drop(section.required("url"));
    assert_eq!(faults("[a]\n", url), ["`url` is missing under [a]"]);
    let slip = "unknown key `ulr` under [a]; did you mean `url`?";
    assert_eq!(faults("[a]\nulr = 1\n", url), [slip]);
}

#[test]
fn a_key_of_another_kind_and_of_another_tool_is_told() {
    const KINDS: &Kinds<()> = &[
        ("one", |section| drop(section.text("first"))),
        ("two", |section| drop(section.text("second"))),
    ];
    let found = faults("[a]\nsecond = 1\nbw-limit = 1\n", |section| {
        section.foreign(&[("bw_limit", "it is `first`")]);
        section.of_kind("things", "one", KINDS);
    });
    let says = [
        "unknown key `bw-limit` under [a]: it is `first`",
        "`second` under [a] is a key of things of the kind `two`, and this one is of the kind `one`",
    ];
    assert_eq!(found, says);
    assert_eq!(
        faults("[a]\nsecond = 1\n", |section| section.of_any_kind(KINDS)),
        [""; 0]
    );
}

#[test]
fn a_survey_finds_every_key_without_a_configuration() {
    let keys = survey(|root| {
        root.section("a", |section| section.flag("b"));
        root.named("c", |section| section.flag("d"));
        root.repeated("e", |section| section.flag("f"))
    });
    let keys: Vec<String> = keys
        .iter()
        .map(|(name, key)| format!("{name}/{key}"))
        .collect();
    assert_eq!(keys, ["/a", "a/b", "/c", "c.NAME/d", "/e", "e/f"]);
}
