//! Paths that lead elsewhere, in the tar and in the manifest.

use super::*;

#[test]
fn a_path_that_could_lead_elsewhere_is_refused() {
    let class = Class::new();
    let outside = class.machine.path("evil").display().to_string();
    let climb = "forbidden path ";
    let long = format!("{ROOT}/{}", "a".repeat(1025));
    let long_folders = format!("{ROOT}/{}evil", "a/".repeat(520));
    let in_root = |name: &str| format!("{ROOT}/{name}").into_bytes();
    for (label, path, says) in [
        (
            "absolute",
            outside.clone().into_bytes(),
            vec![climb, "evil", "is an absolute path"],
        ),
        (
            "absolute at once",
            b"/evil".to_vec(),
            vec![climb, "/evil", "is an absolute path"],
        ),
        (
            "absolute below the root",
            in_root(&outside),
            vec![climb, "evil", "is an absolute path"],
        ),
        (
            "two slashes first",
            b"//evil".to_vec(),
            vec![climb, "//evil", "is an absolute path"],
        ),
        (
            "climbs at once",
            b"../evil".to_vec(),
            vec![climb, "../evil", "climbs out of its folder"],
        ),
        (
            "climbs out of the root",
            in_root("../evil"),
            vec![climb, "../evil", "climbs out of its folder"],
        ),
        (
            "climbs far",
            in_root("../../../../../../evil"),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "climbs later",
            in_root("a/../../evil"),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "climbs and comes back",
            in_root("a/../secrets"),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "ends in a climb",
            in_root("a/.."),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "a dot, then a climb",
            b"./../evil".to_vec(),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "a dot and nothing but a climb",
            b"./..".to_vec(),
            vec![climb, "./..", "climbs out of its folder"],
        ),
        ("an empty component", in_root("/evil"), vec![climb, "evil"]),
        (
            "an empty component later",
            in_root("a//evil"),
            vec![climb, "a//evil", "empty or `.` component"],
        ),
        (
            "a dot as a component",
            in_root("./evil"),
            vec![climb, "/./evil", "empty or `.` component"],
        ),
        (
            "a drive",
            in_root("C:\\evil"),
            vec![climb, "C:\\evil", "drive letter"],
        ),
        (
            "a drive as the root",
            b"C:\\evil/secrets".to_vec(),
            vec![climb, "C:\\evil", "drive letter"],
        ),
        (
            "a drive with a slash",
            in_root("c:/evil"),
            vec![climb, "c:/evil", "drive letter"],
        ),
        (
            "a backslash climb",
            in_root("a\\..\\..\\evil"),
            vec![climb, "a\\..\\..\\evil", "climbs out of its folder"],
        ),
        (
            "a backslash climb in the root",
            b"..\\evil/x".to_vec(),
            vec![climb, "climbs out of its folder"],
        ),
        (
            "a share",
            in_root("\\\\server\\evil"),
            vec![climb, "evil", "is an absolute path"],
        ),
        (
            "1025 bytes",
            long.into_bytes(),
            vec![climb, "is longer than 1024 bytes"],
        ),
        (
            "1044 bytes in folders",
            long_folders.into_bytes(),
            vec![climb, "is longer than 1024 bytes"],
        ),
        (
            "not UTF-8",
            [ROOT.as_bytes(), b"/ev\xffil"].concat(),
            vec![climb, "is not UTF-8"],
        ),
        (
            "an escape sequence",
            in_root("../\u{1b}[2Jevil"),
            vec![climb, "\\u{1b}[2Jevil"],
        ),
    ] {
        class.check(label, &good().file(&path, b"evil").gzip(), refused(&says));
        let first = Tar::new().file(&path, b"evil").raw(&good().bytes()).gzip();
        class.check(
            &format!("{label}, before everything else"),
            &first,
            refused(&says[..1]),
        );
    }
    assert!(!class.machine.path("evil").exists());
}

#[test]
fn a_folder_that_could_lead_elsewhere_is_refused() {
    let class = Class::new();
    for (path, says) in [
        ("/evil/", "is an absolute path"),
        ("../evil/", "climbs out of its folder"),
        ("..", "climbs out of its folder"),
        (&format!("{ROOT}/../evil/"), "climbs out of its folder"),
        (&format!("{ROOT}/.."), "climbs out of its folder"),
    ] {
        class.check(
            path,
            &good().folder(path).gzip(),
            refused(&["forbidden path ", says]),
        );
    }
}

#[test]
fn a_path_with_a_nul_is_refused_however_it_is_written() {
    let class = Class::new();
    let inside = format!("{ROOT}/secrets\0.evil").into_bytes();
    let behind = format!("{ROOT}/secrets\0").into_bytes();
    let says = ["forbidden path ", "secrets\\u{0}", "contains a NUL byte"];
    let listed = forge::text(&forge::manifest(&ENTRIES[..1]));
    for (label, tar) in [
        (
            "pax",
            good().pax(&[("path", &inside)]).entry("x", b"x").clone(),
        ),
        (
            "a GNU long name",
            good().gnu_long_name(&inside).entry("x", b"x").clone(),
        ),
        (
            "pax, at the end",
            Tar::packed(&listed, &[])
                .pax(&[("path", &behind)])
                .entry("x", ENTRIES[0].1)
                .clone(),
        ),
        (
            "two at the end of a GNU long name",
            Tar::packed(&listed, &[])
                .gnu_long_name(&[&behind[..], b"\0"].concat())
                .entry("x", ENTRIES[0].1)
                .clone(),
        ),
    ] {
        class.check(label, &tar.gzip(), refused(&says));
    }
}

#[test]
fn a_hostile_path_in_the_manifest_is_refused_although_the_tar_agrees() {
    let class = Class::new();
    let outside = class.machine.path("evil").display().to_string();
    for (path, says) in [
        (outside.as_str(), "is an absolute path"),
        ("../evil", "climbs out of its folder"),
        ("a/../../evil", "climbs out of its folder"),
        ("a\\..\\..\\evil", "climbs out of its folder"),
        ("C:\\evil", "starts with a drive letter"),
        ("a//evil", "has an empty or `.` component"),
        ("./evil", "has an empty or `.` component"),
        ("evil/", "has an empty or `.` component"),
        ("ev\0il", "contains a NUL byte"),
        ("", "is empty"),
        (&"a".repeat(1025), "is longer than 1024 bytes"),
        ("manifest.json", "is the manifest's own"),
    ] {
        let content: &[u8] = b"evil";
        let mut manifest = forge::manifest(&[("secrets", content)]);
        manifest["files"]["secrets"]["path"] = json!(path);
        let tar = Tar::packed(&forge::text(&manifest), &[])
            .file(format!("{ROOT}/{path}"), content)
            .clone();
        class.check(
            &format!("path {path:?}"),
            &tar.gzip(),
            refused(&["manifest.json entry secrets: its path", says]),
        );
        let mut manifest = forge::manifest(&[(path, content)]);
        manifest["files"][path]["path"] = json!("secrets");
        let tar = Tar::packed(&forge::text(&manifest), &[("secrets", content)]);
        class.check(
            &format!("name {path:?}"),
            &tar.gzip(),
            refused(&["manifest.json entry ", "its name", says]),
        );
    }
}
