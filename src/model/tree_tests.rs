//! The content that the manifest may have for directories, and the content that it may not.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::model::{
    digest::Digest,
    manifest::{Manifest, ManifestFault},
};

fn data() -> EntryName {
    EntryName::new("data").expect("a good name")
}

/// Parses a manifest with these files below `data`, and this value of `trees`.
fn parse(files: &[&str], trees: Value) -> Result<Manifest, Vec<ManifestFault>> {
    let record = |path: &&str| {
        let path = format!("data/{path}");
        let record = json!({"path": path, "checksum": Digest::of(b"").to_string(), "size": 0, "kind": "file"});
        (path, record)
    };
    let files: Map<String, Value> = files.iter().map(record).collect();
    let manifest = json!({"version": "1.1", "created_at": 0, "hookshot_version": "0.1.0", "files": files, "trees": trees});
    Manifest::parse(manifest.to_string().as_bytes())
}

fn faults(files: &[&str], trees: Value) -> String {
    format!("{:?}", parse(files, trees).expect_err("refused"))
}

#[test]
fn a_directory_is_read_with_folders_and_links() {
    let trees = json!({"data": {"root": {"mode": "0750", "later": 1},
        "folders": {"a": {"mode": "2770", "user": "app", "uid": 7, "mtime": -5, "mtime_ns": 9, "xattrs": {"user.x": "00ff"}}},
        "links": {"a/link": {"target": "../b"}, "b": {"target_hex": "ff"}}}});
    let manifest = parse(&["a/file"], trees).expect("good");
    let tree = &manifest.trees[&data()];
    assert_eq!(tree.root.mode, Some(0o750));
    let (relative, folder) = tree.folders.first_key_value().expect("one");
    assert_eq!(relative.as_bytes(), b"a");
    let time = folder.mtime.expect("told");
    assert_eq!((time.seconds, time.nanoseconds), (-5, 9));
    assert_eq!(folder.xattrs["user.x"], [0, 255]);
    let targets: Vec<&[u8]> = tree.links.values().map(|link| &link.target[..]).collect();
    assert_eq!(targets, [b"../b".as_slice(), b"\xff"]);
    let name = data();
    let files: Vec<&str> = files_of(&name, &manifest.files)
        .map(|(key, ..)| key)
        .collect();
    assert_eq!(files, ["a/file"]);
}

#[test]
fn what_only_begins_like_a_directory_is_none_of_its_files() {
    let mut manifest = parse(&["x"], json!({"data": {"root": {}}})).expect("good");
    let record = manifest.files["data/x"].clone();
    for name in ["data.txt", "data-x/y", "data0", "dat"] {
        let name = EntryName::new(name).expect("a good name");
        manifest.files.insert(name, record.clone());
    }
    let name = data();
    assert_eq!(files_of(&name, &manifest.files).count(), 1);
}

#[test]
fn two_things_never_have_one_path_and_nothing_lies_below_a_leaf() {
    let tree = |folders: Value, links: Value| json!({"data": {"root": {}, "folders": folders, "links": links}});
    let link = json!({"target": "x"});
    for (files, folders, links, says) in [
        (
            &["a"][..],
            json!({"a": {}}),
            json!({}),
            "a is a file and a folder",
        ),
        (
            &["a"],
            json!({}),
            json!({"a": link}),
            "a is a file and a link",
        ),
        (
            &[],
            json!({"a": {}}),
            json!({"a": link}),
            "a is a folder and a link",
        ),
        (
            &["a/b"],
            json!({}),
            json!({"a": link}),
            "a/b lies below a, which is a link",
        ),
        (
            &["a/b/c"],
            json!({"a-": {}, "a": {}}),
            json!({"a/b": link}),
            "a/b/c lies below a/b",
        ),
        (
            &["a"],
            json!({"a/b": {}}),
            json!({}),
            "a/b lies below a, which is a file",
        ),
        (
            &["a"],
            json!({}),
            json!({"a/b/c": link}),
            "a/b/c lies below a, which is a file",
        ),
        (
            &[],
            json!({}),
            json!({"a": link, "a!": link, "a/b": link}),
            "a/b lies below a",
        ),
    ] {
        let found = faults(files, tree(folders, links));
        assert!(found.contains(says), "{says}: {found}");
    }
    parse(&["a/b", "a-b"], tree(json!({}), json!({"a-": link}))).expect("a missing folder is made");
    let manifest = json!({"version": "1.1", "created_at": 0, "hookshot_version": "0.1.0",
        "files": {"data": {"path": "data", "checksum": Digest::of(b"").to_string(), "size": 0}}, "trees": {"data": {"root": {}}}});
    let found = Manifest::parse(manifest.to_string().as_bytes()).expect_err("refused");
    assert!(format!("{found:?}").contains("both an entry and a directory"));
}

#[test]
fn each_broken_value_of_a_directory_is_named() {
    let folder =
        |name: &str, record: Value| json!({"data": {"root": {}, "folders": {name: record}}});
    let link = |record: Value| json!({"data": {"root": {}, "links": {"l": record}}});
    for (trees, says) in [
        (json!([]), "`trees` must be an object"),
        (json!({"data": 1}), "is not an object"),
        (json!({"data": {}}), "`root` is missing"),
        (
            json!({"data": {"root": {"mode": "999"}}}),
            "root: `mode` must be",
        ),
        (
            json!({"data": {"root": {}, "folders": []}}),
            "`folders` must be an object",
        ),
        (
            json!({"data": {"root": {}, "links": 3}}),
            "`links` must be an object",
        ),
        (json!({"a/b": {"root": {}}}), "its name is none"),
        (json!({"..": {"root": {}}}), "its name is none"),
        (json!({".hookshot-x": {"root": {}}}), "its name is none"),
        (folder("a", json!(1)), "is not an object"),
        (folder("../a", json!({})), "climbs"),
        (folder("/a", json!({})), "empty or `.` component"),
        (folder("", json!({})), "is empty"),
        (folder("a\0", json!({})), "NUL"),
        (folder(".hookshot/x", json!({})), "hookshot's own"),
        (folder(&"x".repeat(256), json!({})), "longer than 255"),
        (
            folder("a", json!({"name": "62"})),
            "its path is not listed by the key",
        ),
        (folder("a", json!({"name": "6"})), "`name` must be"),
        (folder("a", json!({"uid": 4294967295u32})), "`uid` must be"),
        (
            folder("a", json!({"mtime": 1, "mtime_ns": 1000000000})),
            "`mtime_ns` must be",
        ),
        (
            folder("a", json!({"xattrs": {"user.x": "0"}})),
            "`xattrs` must be",
        ),
        (
            folder("a", json!({"xattrs": {"": "00"}})),
            "`xattrs` must be",
        ),
        (
            folder("a", json!({"xattrs": {"user.x": "00".repeat(65537)}})),
            "`xattrs` must be",
        ),
        (link(json!({})), "one of `target` and `target_hex`"),
        (
            link(json!({"target": "a", "target_hex": "61"})),
            "one of `target` and `target_hex`",
        ),
        (
            link(json!({"target": ""})),
            "one of `target` and `target_hex`",
        ),
        (
            link(json!({"target": "a\0"})),
            "one of `target` and `target_hex`",
        ),
        (
            link(json!({"target": "a".repeat(4096)})),
            "one of `target` and `target_hex`",
        ),
    ] {
        let found = faults(&[], trees.clone());
        assert!(found.contains(says), "{trees}: {found}");
    }
}

#[test]
fn many_faults_are_bounded() {
    let many = |count: usize| (0..count).map(|number| (format!("{number}/.."), json!({})));
    let folders: Map<String, Value> = many(5000).collect();
    let found = parse(&[], json!({"data": {"root": {}, "folders": folders}})).expect_err("refused");
    assert!(found.len() <= MAX_FAULTS + 2, "{}", found.len());
}

fn relative() -> impl Strategy<Value = RelativeName> {
    let part = prop_oneof![
        "[a-c]{1,2}".prop_map(String::into_bytes),
        proptest::collection::vec(1..=255u8, 1..4),
    ];
    proptest::collection::vec(part, 1..4).prop_filter_map("no path", |parts| {
        RelativeName::new(&parts.join(&b'/')).ok()
    })
}

prop_compose! {
    fn folder()(
        mode in proptest::option::of(0..0o10000u32), uid in proptest::option::of(0..u32::MAX), user in proptest::option::of("\\PC{0,8}"),
        mtime in proptest::option::of((any::<i64>(), 0..1_000_000_000u32)),
        xattrs in proptest::collection::btree_map("[a-z.]{1,9}", proptest::collection::vec(any::<u8>(), 0..9), 0..3),
    ) -> FolderRecord {
        let mtime = mtime.map(|(seconds, nanoseconds)| Modified { seconds, nanoseconds });
        FolderRecord { mode, owner: Owner { uid, user: user.map(Into::into), ..Owner::default() }, mtime, xattrs }
    }
}

proptest! {
    #[test]
    fn a_directory_reads_back_as_it_was_written(
        root in folder(),
        folders in proptest::collection::btree_map(relative(), folder(), 0..8),
        targets in proptest::collection::btree_map(relative(), proptest::collection::vec(1..=255u8, 1..9), 0..4),
    ) {
        let links = targets.into_iter().map(|(name, target)| {
            (name, LinkRecord { target, owner: Owner::default(), mtime: None })
        });
        let tree = Tree { root, folders, links: links.collect(), secret: false };
        let mut manifest = parse(&[], json!({})).expect("good");
        manifest.trees.insert(data(), tree.clone());
        let mut clashes = Vec::new();
        tree.faults(&data(), &manifest.files, &mut clashes);
        match Manifest::parse(&manifest.to_bytes()) {
            Ok(read) => prop_assert_eq!(read, manifest),
            Err(faults) => prop_assert!(!clashes.is_empty(), "{:?}", faults),
        }
    }

    #[test]
    fn a_link_that_is_inside_leads_nowhere_else(
        targets in proptest::collection::btree_map("[a-c](/[a-c]){0,2}", "(\\.\\./){0,3}(@/)?[a-c.]{0,2}(/[a-c.]{1,2}){0,3}", 1..6),
    ) {
        let top = Path::new("/srv/top");
        let mut tree = Tree::default();
        for (path, target) in targets {
            let target = target.replace("@", "/srv/top").replace("..//", "/");
            let relative = RelativeName::new(path.as_bytes()).expect("good");
            let is_below = relative.folders().any(|folder| RelativeName::new(folder).is_ok_and(|folder| tree.links.contains_key(&folder)));
            if !target.is_empty() && !is_below {
                tree.links.insert(relative, LinkRecord { target: target.into_bytes(), owner: Owner::default(), mtime: None });
            }
        }
        let links: Vec<&RelativeName> = tree.links.keys().collect();
        for link in links {
            prop_assert_eq!(tree.is_inside(link, top), resolve(&tree, link), "{:?} of {:?}", link, tree.links);
        }
    }
}

/// Returns true if a link stays inside, by recursion; so does a circle.
fn resolve(tree: &Tree, link: &RelativeName) -> bool {
    /// Resolves `target` from `at`: to a path outside the directory, to nothing, or to a path inside.
    fn go(
        tree: &Tree,
        at: Vec<String>,
        target: &str,
        links: &mut u32,
    ) -> Option<Option<Vec<String>>> {
        let (mut at, rest) = match target.strip_prefix('/') {
            None => (at, target),
            Some(_) => {
                let rest = target.strip_prefix("/srv/top")?;
                if !rest.is_empty() && !rest.starts_with('/') {
                    return None;
                }
                (Vec::new(), rest)
            }
        };
        for part in rest.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(at.pop()?),
                _ => {
                    let mut path = at.clone();
                    path.push(part.to_owned());
                    let name = RelativeName::new(path.join("/").as_bytes()).ok();
                    let Some(link) = name.and_then(|name| tree.links.get(&name)) else {
                        at = path;
                        continue;
                    };
                    *links += 1;
                    if *links > 40 {
                        return Some(None);
                    }
                    let target = std::str::from_utf8(&link.target).expect("UTF-8");
                    match go(tree, at, target, links)? {
                        None => return Some(None),
                        Some(there) => at = there,
                    }
                }
            }
        }
        Some(Some(at))
    }
    let path = std::str::from_utf8(link.as_bytes()).expect("UTF-8");
    go(tree, Vec::new(), path, &mut 0).is_some()
}
