//! Manifests that no hookshot writes.

use super::*;

/// The good manifest as text, in which a test replaces something.
fn good() -> String {
    forge::manifest(&ENTRIES).to_string()
}

fn packed(manifest: &str) -> Vec<u8> {
    Tar::packed(manifest.as_bytes(), &ENTRIES).gzip()
}

#[track_caller]
fn check_replaced(class: &Class, from: &str, to: &str, refusal: Refusal<'_>) {
    let text = good().replacen(from, to, 1);
    assert_ne!(text, good(), "{from}");
    class.check(&format!("{from} became {to}"), &packed(&text), refusal);
}

#[test]
fn a_manifest_that_is_no_json_object_is_refused() {
    let class = Class::new();
    let deep = "[".repeat(100_000);
    for (text, says) in [
        ("", "manifest.json is not JSON"),
        ("hello", "manifest.json is not JSON"),
        (&good()[1..], "manifest.json is not JSON"),
        (&good()[..good().len() - 1], "manifest.json is not JSON"),
        (&format!("{}x", good()), "manifest.json is not JSON"),
        (&format!("{0}{0}", good()), "manifest.json is not JSON"),
        (&format!("{}\0", good()), "manifest.json is not JSON"),
        (&format!("\u{feff}{}", good()), "manifest.json is not JSON"),
        (&good().replace('"', "'"), "manifest.json is not JSON"),
        (
            &good().replacen("\"size\":18", "\"size\":NaN", 1),
            "manifest.json is not JSON",
        ),
        (
            &good().replacen("\"size\":18", "\"size\":018", 1),
            "manifest.json is not JSON",
        ),
        (
            &good().replacen("\"size\":18", "\"size\":+18", 1),
            "manifest.json is not JSON",
        ),
        (&deep, "manifest.json is not JSON"),
        ("[]", "manifest.json is not a JSON object"),
        ("null", "manifest.json is not a JSON object"),
        ("\"1.0\"", "manifest.json is not a JSON object"),
    ] {
        let label: String = text.chars().take(40).collect();
        class.check(&label, &packed(text), refused(&[says]));
    }
    let latin = Tar::packed(
        &[b"{\"version\":\"\xe4\"}".as_slice(), b""].concat(),
        &ENTRIES,
    )
    .gzip();
    class.check("not UTF-8", &latin, refused(&["manifest.json is not JSON"]));
}

#[test]
fn each_key_that_is_missing_is_named() {
    let class = Class::new();
    for key in ["version", "created_at", "hookshot_version", "files"] {
        let mut manifest = forge::manifest(&ENTRIES);
        manifest.as_object_mut().expect("an object").remove(key);
        let says = format!("manifest.json the key `{key}` is missing");
        class.check(key, &packed(&manifest.to_string()), refused(&[&says]));
    }
    for key in ["path", "checksum", "size"] {
        let mut manifest = forge::manifest(&ENTRIES);
        let file = &mut manifest["files"]["secrets"];
        file.as_object_mut().expect("an object").remove(key);
        let says = format!("manifest.json entry secrets: the key `{key}` is missing");
        class.check(key, &packed(&manifest.to_string()), refused(&[&says]));
    }
}

#[test]
fn each_value_that_no_manifest_may_have_is_named() {
    let class = Class::new();
    let digest = forge::digest(ENTRIES[0].1);
    let size = "manifest.json entry secrets: `size` must be a number of bytes";
    let checksum = "manifest.json entry secrets: `checksum` must be 64 hex characters";
    let version = "manifest.json `version` must be a version";
    let writer = "manifest.json `hookshot_version` must be a semantic version";
    let time = "manifest.json `created_at` must be a time in Unix seconds";
    for (from, to, says) in [
        ("\"size\":18", "\"size\":-18", size),
        ("\"size\":18", "\"size\":18.0", size),
        ("\"size\":18", "\"size\":18.5", size),
        ("\"size\":18", "\"size\":1.8e1", size),
        ("\"size\":18", "\"size\":\"18\"", size),
        ("\"size\":18", "\"size\":null", size),
        ("\"size\":18", "\"size\":true", size),
        ("\"size\":18", "\"size\":[18]", size),
        ("\"size\":18", "\"size\":1152921504606846977", size),
        ("\"size\":18", "\"size\":18446744073709551615", size),
        ("\"size\":18", "\"size\":18446744073709551634", size),
        ("\"size\":18", "\"size\":1e30", size),
        (&digest, &digest[1..], checksum),
        (&digest, &format!("{digest}0"), checksum),
        (&digest, "", checksum),
        (&digest, &format!("g{}", &digest[1..]), checksum),
        (&digest, &format!("0x{}", &digest[2..]), checksum),
        (&digest, &format!("sha256:{digest}"), checksum),
        (&digest, &format!(" {}", &digest[1..]), checksum),
        (&digest, &"é".repeat(32), checksum),
        (&format!("\"{digest}\""), "0", checksum),
        (&format!("\"{digest}\""), "null", checksum),
        ("\"version\":\"1.0\"", "\"version\":\"one\"", version),
        ("\"version\":\"1.0\"", "\"version\":\"1\"", version),
        ("\"version\":\"1.0\"", "\"version\":\"1.0.0\"", version),
        ("\"version\":\"1.0\"", "\"version\":\"v1.0\"", version),
        ("\"version\":\"1.0\"", "\"version\":\"-1.0\"", version),
        (
            "\"version\":\"1.0\"",
            "\"version\":\"1.99999999999\"",
            version,
        ),
        ("\"version\":\"1.0\"", "\"version\":\"\"", version),
        ("\"version\":\"1.0\"", "\"version\":1.0", version),
        ("\"version\":\"1.0\"", "\"version\":null", version),
        ("\"0.0.1\"", "\"latest\"", writer),
        ("\"0.0.1\"", "\"0.1\"", writer),
        ("\"0.0.1\"", "\"\"", writer),
        ("\"0.0.1\"", "1", writer),
        ("1738252822", "-1", time),
        ("1738252822", "1738252822.5", time),
        ("1738252822", "\"1738252822\"", time),
        ("1738252822", "253402300800", time),
        ("1738252822", "1e300", time),
        (
            "\"path\":\"secrets\"",
            "\"path\":7",
            "manifest.json entry secrets: `path` must be a string",
        ),
        (
            "\"size\":18",
            "\"size\":18,\"mode\":\"0999\"",
            "manifest.json entry secrets: `mode` must be an octal string",
        ),
        (
            "\"size\":18",
            "\"size\":18,\"mode\":\"10000\"",
            "manifest.json entry secrets: `mode` must be an octal string",
        ),
        (
            "\"size\":18",
            "\"size\":18,\"uid\":-1",
            "manifest.json entry secrets: `uid` must be a number",
        ),
        (
            "\"size\":18",
            "\"size\":18,\"uid\":4294967295",
            "manifest.json entry secrets: `uid` must be a number",
        ),
        (
            "\"size\":18",
            "\"size\":18,\"snapshot\":1",
            "manifest.json entry secrets: `snapshot` must be an object",
        ),
    ] {
        check_replaced(&class, from, to, refused(&[says]));
    }
    for (label, files) in [
        ("a list", json!([])),
        ("null", Value::Null),
        ("text", json!("secrets")),
    ] {
        let mut manifest = forge::manifest(&ENTRIES);
        manifest["files"] = files;
        class.check(
            label,
            &packed(&manifest.to_string()),
            refused(&["manifest.json `files` must be an object"]),
        );
    }
    let mut manifest = forge::manifest(&ENTRIES);
    manifest["files"]["secrets"] = json!("secrets");
    class.check(
        "a text",
        &packed(&manifest.to_string()),
        refused(&["manifest.json entry secrets: is not an object"]),
    );
}

#[test]
fn a_key_that_stands_twice_is_refused_at_any_depth() {
    let class = Class::new();
    let secrets = forge::manifest(&ENTRIES)["files"]["secrets"].to_string();
    for (from, to) in [
        ("\"version\":", "\"version\":\"1.0\",\"version\":"),
        (
            "\"created_at\":",
            "\"created_at\":1738252822,\"created_at\":",
        ),
        ("\"files\":{", "\"files\":{},\"files\":{"),
        (
            "\"files\":{",
            &format!("\"files\":{{\"secrets\":{secrets},"),
        ),
        ("\"size\":18", "\"size\":18,\"size\":18"),
        ("\"size\":18", "\"size\":18,\"s\\u0069ze\":18"),
        (
            "\"path\":\"secrets\"",
            "\"path\":\"services.toml\",\"path\":\"secrets\"",
        ),
        ("\"size\":18", "\"size\":18,\"later\":[{\"x\":1,\"x\":2}]"),
        ("\"version\":", "\"unknown\":1,\"unknown\":2,\"version\":"),
    ] {
        check_replaced(
            &class,
            from,
            to,
            refused(&["manifest.json is not JSON: ", "twice"]),
        );
    }
}

#[test]
fn entries_that_would_be_one_file_are_refused() {
    let class = Class::new();
    let mut same = forge::manifest(&ENTRIES);
    same["files"]["services.toml"]["path"] = json!("secrets");
    let says = ["manifest.json entries secrets and services.toml have the same path secrets"];
    class.check("the same path", &packed(&same.to_string()), refused(&says));
    let content: &[u8] = b"x";
    let entries = [("a", content), ("a.b", content), ("a/b", content)];
    let below = Tar::good(&entries).gzip();
    class.check(
        "below one another",
        &below,
        refused(&["manifest.json a is both an entry and the folder of a/b"]),
    );
}

#[test]
fn more_than_the_limits_is_refused() {
    let class = Class::new();
    let files: Vec<String> = (0..=1_000_000)
        .map(|number| format!("\"{number}\":0"))
        .collect();
    let many = good().replacen(
        "\"files\":{",
        &format!("\"files\":{{{},", files.join(",")),
        1,
    );
    let said = refusal_of(&packed(&many), true).expect("refused");
    assert!(
        said.contains("manifest.json lists more than 1000000 entries"),
        "{said}"
    );
    let large = format!("{}{}", " ".repeat(64 << 20), good());
    class.check(
        "64 MiB and a manifest",
        &packed(&large),
        refused(&["manifest.json is larger than 67108864 bytes"]),
    );
}

#[test]
fn every_fault_of_a_manifest_is_named() {
    let class = Class::new();
    let text = good()
        .replace("\"size\":18", "\"size\":-1")
        .replace("\"0.0.1\"", "1")
        .replace("1738252822", "\"now\"")
        .replace(&forge::digest(ENTRIES[1].1), "x");
    let says = [
        "entry secrets: `size` must be",
        "`hookshot_version` must be",
        "`created_at` must be",
        "entry services.toml: `checksum` must be",
    ];
    class.check("four faults", &packed(&text), refused(&says));
}

#[test]
fn another_format_version_is_its_own_exit_code() {
    let class = Class::new();
    for version in ["2.0", "0.9", "10.0", "999999999.0"] {
        let says = format!(
            "version incompatibility: the archive's format {version} cannot be read by this hookshot"
        );
        check_replaced(
            &class,
            "\"1.0\"",
            &format!("\"{version}\""),
            Refusal {
                code: 14,
                says: &[&says],
            },
        );
    }
}

#[test]
fn another_format_version_is_told_although_the_rest_is_unknown() {
    let class = Class::new();
    let says =
        ["version incompatibility: the archive's format 2.0 cannot be read by this hookshot"];
    let text = "{\"version\":\"2.0\",\"entries\":[]}";
    class.check(
        "version 2.0",
        &packed(text),
        Refusal {
            code: 14,
            says: &says,
        },
    );
}

#[test]
fn an_archive_of_another_major_hookshot_is_not_imported() {
    let machine = Machine::new();
    let text = good().replace("\"0.0.1\"", "\"1.0.0\"");
    machine.write("out/other.tar.gz", packed(&text), 0o600);
    let before = tree(&machine.path(""));
    let message = format!(
        "version incompatibility: backup version 1.0.0 cannot be restored to {}",
        env!("CARGO_PKG_VERSION")
    );
    for arguments in [
        &["import", "other.tar.gz"][..],
        &["import", "--force", "other.tar.gz"],
        &["import", "--dry-run", "other.tar.gz"],
    ] {
        machine.run(arguments).exits(14).says(&message);
        assert!(
            tree(&machine.path("")) == before,
            "{arguments:?}: something changed on the machine"
        );
    }
    let report = machine
        .run(&["import", "--json", "other.tar.gz"])
        .exits(14)
        .json();
    assert!(report.to_string().contains(&message), "{report}");
    // What is in it can be looked at all the same.
    machine.run(&["verify", "other.tar.gz"]).exits(0);
}
