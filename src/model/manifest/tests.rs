use super::*;
use crate::model::{
    digest::Digest,
    limits::{LAST_SECOND, MAX_ENTRY_BYTES},
    relative::RelativeName,
    tree,
};
use proptest::prelude::*;
use serde_json::Value;

const GUIDE: &str = r#"{"version":"1.0","created_at":1738252822,"hookshot_version":"0.0.1","files":{"state.redb":
    {"path":"state.redb","checksum":"a3b2c1d4e5f67890abcdef1234567890abcdef1234567890abcdef1234567890","size":98304}}}"#;

fn faults(text: &str) -> String {
    let faults = Manifest::parse(text.as_bytes()).expect_err(text);
    format!("{faults:?}")
}

#[test]
fn a_manifest_of_version_1_0_is_read() {
    let manifest = Manifest::parse(GUIDE.as_bytes()).expect("a good manifest");
    assert_eq!(manifest.version.to_string(), "1.0");
    assert_eq!(manifest.files["state.redb"].size, 98304);
}

#[test]
fn keys_that_are_not_known_are_ignored_in_every_1_x() {
    let text = GUIDE.replace("\"1.0\"", "\"1.7\",\"later\":{\"x\":[1]}");
    assert!(Manifest::parse(text.as_bytes()).is_ok());
}

#[test]
fn another_major_version_is_its_own_fault() {
    let found =
        Manifest::parse(GUIDE.replace("\"1.0\"", "\"2.0\"").as_bytes()).expect_err("refused");
    assert!(
        matches!(found[..], [ManifestFault::Version(_)]),
        "{found:?}"
    );
}

#[test]
fn each_broken_value_is_named() {
    for (good, bad, says) in [
        ("\"1.0\"", "\"one\"", "`version` must be"),
        ("\"0.0.1\"", "\"latest\"", "`hookshot_version` must be"),
        ("1738252822", "-1", "`created_at` must be"),
        (
            "1738252822",
            "1,\"secrets_fingerprint\":\"ab5523de3e5f8089c222d7d5dba9c8c\"",
            "`secrets_fingerprint` must be",
        ),
        (
            "1738252822",
            "1,\"secrets_fingerprint\":7",
            "`secrets_fingerprint` must be",
        ),
        (
            "1738252822",
            "1,\"secrets_fingerprint\":{\"sha256\":\"ab5523de3e5f8089c222d7d5dba9c8cb\"}",
            "`secrets_fingerprint` must be",
        ),
        ("1738252822", "1e300", "`created_at` must be"),
        ("98304", "-98304", "`size` must be"),
        ("98304", "98304.5", "`size` must be"),
        ("98304", "18446744073709551616", "`size` must be"),
        ("98304", "1152921504606846977", "`size` must be"),
        ("a3b2", "a3b", "`checksum` must be 64 hex"),
        ("a3b2", "zzzz", "`checksum` must be 64 hex"),
        (
            "\"path\":\"state.redb\"",
            "\"path\":\"../state.redb\"",
            "climbs",
        ),
        (
            "\"path\":\"state.redb\"",
            "\"path\":\"/state.redb\"",
            "absolute",
        ),
        (
            "\"path\":\"state.redb\"",
            "\"path\":\"manifest.json\"",
            "manifest's own",
        ),
        ("\"size\":98304", "\"sise\":98304", "`size` is missing"),
        (
            "\"size\":98304",
            "\"size\":98304,\"mode\":\"0999\"",
            "`mode` must be",
        ),
        (
            "\"size\":98304",
            "\"size\":98304,\"size\":98304",
            "stands twice",
        ),
        ("{\"version\"", "[{\"version\"", "is not JSON"),
    ] {
        let text = GUIDE.replacen(good, bad, 1);
        assert_ne!(text, GUIDE);
        assert!(faults(&text).contains(says), "{bad}: {}", faults(&text));
    }
}

#[test]
fn every_fault_is_named_and_not_only_the_first() {
    let text = GUIDE
        .replace("98304", "-1")
        .replace("a3b2", "xxxx")
        .replace("\"0.0.1\"", "1");
    let found = faults(&text);
    for key in ["`size`", "`checksum`", "`hookshot_version`"] {
        assert!(found.contains(key), "{found}");
    }
}

#[test]
fn two_entries_cannot_share_a_path_nor_lie_below_one_another() {
    let file = r#"{"path":"P","checksum":"a3b2c1d4e5f67890abcdef1234567890abcdef1234567890abcdef1234567890","size":1}"#;
    let with = |one: &str, two: &str| {
        let files = format!(
            r#"{{"a":{},"b":{}}}"#,
            file.replace('P', one),
            file.replace('P', two)
        );
        faults(&format!(
            r#"{{"version":"1.1","created_at":0,"hookshot_version":"0.1.0","files":{files}}}"#
        ))
    };
    assert!(with("x", "x").contains("same path"));
    assert!(with("x", "x/y").contains("both an entry and the folder"));
}

#[test]
fn each_record_has_a_line() {
    let file = FileRecord::new(EntryName::new("data/a").expect("good"), Digest::of(b"a"), 1);
    let mut tree = Tree::default();
    tree.root.mode = Some(0o750);
    for folder in [b"x".as_slice(), b"x/y"] {
        let folder = RelativeName::new(folder).expect("good");
        tree.folders.insert(folder, tree::FolderRecord::default());
    }
    let files = BTreeMap::from([(
        file.path.clone(),
        FileRecord {
            mode: Some(0o600),
            ..file
        },
    )]);
    let manifest = Manifest {
        tags: BTreeMap::from([("trees".to_owned(), "none".to_owned())]),
        trees: BTreeMap::from([(EntryName::new("data").expect("good"), tree)]),
        ..Manifest::new(7, Version::new(0, 1, 0), files)
    };
    let text = String::from_utf8(manifest.to_bytes()).expect("UTF-8");
    let expected = r#"{
  "created_at": 7,
  "files": {
    "data/a": {"path": "data/a", "size": 1, "checksum": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "mode": "0600"}
  },
  "hookshot_version": "0.1.0",
  "tags": {
    "trees": "none"
  },
  "trees": {
    "data": {
      "folders": {
        "x": {},
        "x/y": {}
      },
      "links": {},
      "root": {
        "mode": "0750"
      }
    }
  },
  "version": "1.1"
}
"#;
    assert_eq!(text, expected);
}

prop_compose! {
    fn record()(
        size in 0..MAX_ENTRY_BYTES, content in any::<[u8; 4]>(), mode in proptest::option::of(0..0o10000u32),
        uid in proptest::option::of(0..u32::MAX), user in proptest::option::of("\\PC{0,8}"), mtime in any::<Option<i64>>(),
    ) -> FileRecord {
        let path = EntryName::new("placeholder").expect("a good name");
        FileRecord { mode, uid, user: user.map(Into::into), mtime, ..FileRecord::new(path, Digest::of(&content), size) }
    }
}

proptest! {
    #[test]
    fn a_manifest_reads_back_as_it_was_written(
        created_at in 0..=LAST_SECOND,
        files in proptest::collection::btree_map("[a-z\\\\ \"é\n]{1,12}", record(), 0..8),
        tags in proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..4),
        root in proptest::option::of("[a-z]{1,8}"),
        secrets in proptest::option::of("[0-9a-f]{32}"),
    ) {
        let files = files.into_iter().filter_map(|(name, mut file)| {
            let name = EntryName::new(&name).ok()?;
            file.path = name.clone();
            Some((name, file))
        });
        let manifest = Manifest {
            root, hostname: Some("here".into()), app: Some("shop".into()), app_version: Some("1".into()), compression: Some("none".into()),
            secrets_fingerprint: secrets.map(|text| text.parse().expect("32 hex characters")), tags, trees: BTreeMap::from([(EntryName::new("tree").expect("a good name"), Tree::default())]),
            ..Manifest::new(created_at, Version::new(0, 1, 0), files.collect())
        };
        let text = manifest.to_bytes();
        let read: Value = serde_json::from_slice(&text).expect("JSON");
        prop_assert_eq!(read, manifest.to_json());
        prop_assert_eq!(Manifest::parse(&text), Ok(manifest));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn no_mutation_of_a_good_manifest_makes_the_parser_panic(at in 0..GUIDE.len(), byte in any::<u8>()) {
        let mut bytes = GUIDE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = Manifest::parse(&bytes);
    }
}
