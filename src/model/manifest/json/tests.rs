//! Records of a manifest are taken one by one, whatever stands between them.

use super::*;

const KEYS: KnownKeys = KnownKeys {
    top: &["kept", "files"],
    entries: "files",
    entry: &["size"],
    trees: "trees",
    lists: &["folders", "links"],
    root: "root",
    record: &["mode"],
};

fn read(text: &str) -> Result<(Value, Vec<(String, Value)>), String> {
    let mut entries = Vec::new();
    let value = |record: Option<Record>| match record {
        Some(Record(fields)) => {
            let fields = fields.into_iter();
            fields.map(|(key, value)| (key.to_owned(), value)).collect()
        }
        None => Value::Null,
    };
    let top = parse(text.as_bytes(), &KEYS, &mut |item| {
        entries.push(match item {
            Item::Entry(name, record) => (name.to_owned(), value(record)),
            Item::Listed {
                tree,
                list,
                name,
                record,
            } => (format!("{tree} {list} {name}"), value(record)),
            Item::Root { tree, record } => (format!("{tree}."), value(Some(record))),
            Item::Tree(name, rest) => (format!("{name}!"), rest),
        })
    })?;
    Ok((top, entries))
}

#[test]
fn what_directories_list_is_given_away_before_them() {
    let text = r#"{"trees":{"a":{"root":{"mode":1,"x":2},"folders":{"b":{"mode":3,"y":[]}},"links":7,"z":1},"c":8}}"#;
    let (top, given) = read(text).expect("good");
    assert_eq!(top.to_string(), r#"{"trees":{}}"#);
    let given: Vec<String> = given
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        given,
        [
            r#"a.={"mode":1}"#,
            r#"a folders b={"mode":3}"#,
            r#"a!={"folders":{},"links":7,"root":{}}"#,
            "c!=8"
        ]
    );
}

#[test]
fn what_is_known_is_kept_and_entries_are_given_away() {
    let text =
        r#"{"kept":{"a":[1]},"other":[1,{"b":2}],"files":{"x":{"size":1,"later":[[]]},"y":7}}"#;
    let (top, entries) = read(text).expect("good");
    assert_eq!(top.to_string(), r#"{"files":{},"kept":{"a":[1]}}"#);
    assert_eq!(entries[0].1.to_string(), r#"{"size":1}"#);
    assert_eq!(entries[1].1, Value::Null, "no object");
}

#[test]
fn duplicate_keys_are_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"files":{"x":1,"x":2}}"#,
        r#"{"files":{"x":{"size":1,"size":2}}}"#,
        r#"{"other":[{"a":1,"a":2}]}"#,
        r#"{"kept":{"\u0061":1,"a":2}}"#,
        r#"{"trees":{"x":1,"x":2}}"#,
        r#"{"trees":{"x":{"folders":{"a":1,"a":2}}}}"#,
    ] {
        let fault = read(text).expect_err(text);
        assert!(fault.contains("stands twice"), "{fault}");
    }
}

#[test]
fn deep_nesting_trailing_text_and_too_much_are_errors() {
    assert!(read(&"[".repeat(1_000_000)).is_err());
    assert!(read("{} {}").is_err());
    let many = format!(r#"{{"kept":[{}1]}}"#, "1,".repeat(MAX_FREE_VALUES));
    assert!(
        read(&many)
            .expect_err("too much")
            .contains("too many values")
    );
}
