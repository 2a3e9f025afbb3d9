//! A tar that its manifest does not describe, and one that is not a tar.

use super::*;

#[test]
fn what_the_manifest_does_not_say_is_refused() {
    let class = Class::new();
    let [secrets, services] = ENTRIES;
    let listed = forge::text(&forge::manifest(&ENTRIES));
    let packed = |entries: &[forge::Entry<'_>]| Tar::packed(&listed, entries);
    let dotted = format!("./{ROOT}/secrets");
    for (label, tar, says) in [
        (
            "an unlisted entry",
            good().entry("evil.sh", b"#!/bin/sh\n").clone(),
            vec!["unlisted: the manifest does not list evil.sh"],
        ),
        (
            "an unlisted empty entry",
            good().entry("evil.sh", b"").clone(),
            vec!["unlisted: the manifest does not list evil.sh"],
        ),
        (
            "an unlisted entry before the others",
            Tar::packed(&listed, &[("evil.sh", b"x"), secrets, services]),
            vec!["unlisted: the manifest does not list evil.sh"],
        ),
        (
            "an unlisted entry before the manifest",
            Tar::new()
                .entry("evil.sh", b"x")
                .raw(&good().bytes())
                .clone(),
            vec!["unlisted: the manifest does not list evil.sh"],
        ),
        (
            "a listed one missing",
            packed(&[secrets]),
            vec!["missing: the manifest lists services.toml"],
        ),
        (
            "all missing",
            packed(&[]),
            vec![
                "missing: the manifest lists services.toml",
                "missing: the manifest lists secrets",
            ],
        ),
        (
            "one twice",
            packed(&[secrets, services, secrets]),
            vec!["duplicate: ", "/secrets stands in the archive twice"],
        ),
        (
            "one twice, once with a dot",
            good().file(&dotted, secrets.1).clone(),
            vec!["duplicate: ", "/secrets stands in the archive twice"],
        ),
        (
            "one twice, the second another",
            packed(&[secrets, services, ("secrets", b"evil")]),
            vec!["duplicate: ", "/secrets stands in the archive twice"],
        ),
        (
            "the manifest twice",
            good().entry("manifest.json", &listed).clone(),
            vec!["duplicate: ", "/manifest.json stands in the archive twice"],
        ),
        (
            "another manifest behind",
            good().entry("manifest.json", b"{}").clone(),
            vec!["duplicate: ", "/manifest.json stands in the archive twice"],
        ),
        (
            "a byte less",
            packed(&[("secrets", &secrets.1[1..]), services]),
            vec!["size mismatch for file secrets: expected 18 bytes, got 17"],
        ),
        (
            "nothing where something should be",
            packed(&[("secrets", b""), services]),
            vec!["size mismatch for file secrets: expected 18 bytes, got 0"],
        ),
        (
            "a byte more",
            packed(&[("secrets", b"hmac_key = forged\n\n"), services]),
            vec!["size mismatch for file secrets: expected 18 bytes, got 19"],
        ),
        (
            "a block more",
            packed(&[("secrets", &[b'x'; 530]), services]),
            vec!["size mismatch for file secrets: expected 18 bytes, got 530"],
        ),
    ] {
        class.check(label, &tar.gzip(), refused(&says));
    }
}

#[test]
fn another_content_is_refused_with_both_digests() {
    let class = Class::new();
    let [secrets, services] = ENTRIES;
    let other = b"hmac_key = f0rged\n";
    let tar = Tar::packed(
        &forge::text(&forge::manifest(&ENTRIES)),
        &[("secrets", other), services],
    );
    let says = format!(
        "checksum mismatch for file secrets: expected {}, got {}",
        forge::digest(secrets.1),
        forge::digest(other)
    );
    class.check("another content", &tar.gzip(), refused(&[&says]));
}

#[test]
fn two_entries_that_changed_places_are_both_named() {
    let class = Class::new();
    let entries: [forge::Entry<'_>; 2] = [("secrets", b"one"), ("services.toml", b"two")];
    let tar = Tar::packed(
        &forge::text(&forge::manifest(&entries)),
        &[("secrets", b"two"), ("services.toml", b"one")],
    );
    let says = [
        "checksum mismatch for file secrets",
        "checksum mismatch for file services.toml",
    ];
    class.check("changed places", &tar.gzip(), refused(&says));
}

#[test]
fn a_second_root_folder_is_refused() {
    let class = Class::new();
    for (label, tar, says) in [
        (
            "a folder",
            good().folder("other/").clone(),
            vec!["second root folder: other/ lies outside "],
        ),
        (
            "a file in it",
            good().file("other/secrets", b"x").clone(),
            vec!["second root folder: other/secrets lies outside "],
        ),
        (
            "with a manifest of its own",
            good().file("other/manifest.json", b"{}").clone(),
            vec!["second root folder: other/manifest.json lies outside "],
        ),
        (
            "a name that begins alike",
            good().file(format!("{ROOT}2/secrets"), b"x").clone(),
            vec!["second root folder: ", "2/secrets lies outside "],
        ),
        (
            "a file outside",
            good().file("evil", b"x").clone(),
            vec!["evil lies outside "],
        ),
        (
            "a file outside, with a dot",
            good().file("./evil", b"x").clone(),
            vec!["evil lies outside "],
        ),
        (
            "a file outside, first",
            Tar::new().file("evil", b"x").raw(&good().bytes()).clone(),
            vec!["evil: it lies outside a root folder"],
        ),
        (
            "the root is a file",
            Tar::new().file(ROOT, b"x").raw(&good().bytes()).clone(),
            vec!["it lies outside a root folder"],
        ),
    ] {
        class.check(label, &tar.gzip(), refused(&says));
    }
}

#[test]
fn no_root_folder_at_all_is_refused() {
    let class = Class::new();
    let mut tar = Tar::new();
    tar.file("manifest.json", &forge::text(&forge::manifest(&ENTRIES)));
    for (name, content) in ENTRIES {
        tar.file(name, content);
    }
    class.check(
        "no root",
        &tar.gzip(),
        refused(&["manifest.json", "lies outside a root folder"]),
    );
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let class = Class::new();
    let listed = forge::text(&forge::manifest(&ENTRIES));
    let none = Tar::new().folder(ROOT).entries(&ENTRIES).clone();
    let below = Tar::new()
        .folder(ROOT)
        .entry("sub/manifest.json", &listed)
        .entries(&ENTRIES)
        .clone();
    let folder = Tar::new()
        .folder(ROOT)
        .folder(&format!("{ROOT}/manifest.json/"))
        .entries(&ENTRIES)
        .clone();
    for (label, tar) in [
        ("none", none),
        ("in a folder", below),
        ("a folder", folder),
        ("nothing but a folder", Tar::new().folder(ROOT).clone()),
    ] {
        class.check(
            label,
            &tar.gzip(),
            refused(&["no manifest.json in its root folder"]),
        );
    }
}

#[test]
fn a_damaged_tar_is_refused() {
    let class = Class::new();
    let whole = good().ended();
    let header = |edit: &dyn Fn(&mut tar::Header)| {
        let mut header = tar::Header::new_gnu();
        header
            .set_path(format!("{ROOT}/evil"))
            .expect("a good path");
        header.set_size(0);
        header.set_mode(0o644);
        edit(&mut header);
        good().raw_header(header).ended()
    };
    let mut bad_sum = whole.clone();
    bad_sum[148..154].copy_from_slice(b"000001");
    let mut no_sum = whole.clone();
    no_sum[148..156].fill(b'x');
    let pax = |content: &[u8]| {
        good()
            .member("pax", EntryType::XHeader, content)
            .entry("secrets2", b"")
            .ended()
    };
    for (label, tar, says) in [
        (
            "a wrong checksum",
            bad_sum,
            "a header does not match its checksum",
        ),
        (
            "no checksum",
            no_sum,
            "a header does not match its checksum",
        ),
        (
            "no closing blocks",
            good().bytes(),
            "it ends without its two closing blocks",
        ),
        (
            "one closing block",
            whole[..whole.len() - 512].to_vec(),
            "it ends without its two closing blocks",
        ),
        (
            "half a closing block",
            whole[..whole.len() - 100].to_vec(),
            "it ends without its two closing blocks",
        ),
        (
            "a block of zeros among the members",
            good().raw(&[0; 512]).raw(&good().bytes()).ended(),
            "a single block of zeros stands among its members",
        ),
        (
            "a second tar behind the end",
            [whole.clone(), whole.clone()].concat(),
            "something follows its closing blocks",
        ),
        (
            "a byte behind the end",
            [&whole[..], b"x"].concat(),
            "something follows its closing blocks",
        ),
        (
            "a byte far behind the end",
            [&whole[..], &[0; 20_000], b"x"].concat(),
            "something follows its closing blocks",
        ),
        (
            "a size that is not a number",
            header(&|header| header.as_old_mut().size = *b"zzzzzzzzzzz\0"),
            "a header states no size",
        ),
        (
            "a negative size",
            header(&|header| header.as_old_mut().size = [0xff; 12]),
            "a header states ",
        ),
        (
            "a size of 2^63",
            header(&|header| header.as_old_mut().size = [0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            "a header states ",
        ),
        (
            "a size of 2^61",
            header(&|header| header.as_old_mut().size = [0x80, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0]),
            "a header states an absurd size",
        ),
        (
            "a pax record without an end",
            pax(b"30 path=evil"),
            "a pax record is malformed",
        ),
        (
            "a pax record that is not a record",
            pax(b"evil\n"),
            "a pax record is malformed",
        ),
        (
            "a pax record with a length of zero",
            pax(b"0 path=evil\n"),
            "a pax record is malformed",
        ),
        (
            "a pax record that states no size",
            pax(b"11 size=-1\n"),
            "a pax record states no size",
        ),
        (
            "an absurd pax size",
            pax(&forge::pax_record("size", b"18446744073709551615")),
            "a header states an absurd size",
        ),
        (
            "a pax header for nothing",
            good().pax(&[("path", b"evil")]).ended(),
            "an extension record describes nothing",
        ),
        (
            "a GNU long name for nothing",
            good().gnu_long_name(b"evil\0").ended(),
            "an extension record describes nothing",
        ),
        (
            "content that is not there",
            good()
                .header(
                    format!("{ROOT}/evil").as_bytes(),
                    EntryType::Regular,
                    1 << 20,
                )
                .bytes(),
            "it ends in the middle of a file",
        ),
    ] {
        class.check(label, &gzip(&tar), refused(&["damaged tar: ", says]));
    }
}
