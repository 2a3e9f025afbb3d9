//! Links and special files.

use super::*;

#[test]
fn links_and_special_files_are_refused() {
    let class = Class::new();
    let victim = class.machine.path("etc/config.toml").display().to_string();
    let path = format!("{ROOT}/evil");
    let sparse: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"1000000"),
        ("GNU.sparse.name", b"secrets"),
    ];
    let old_sparse: &[(&str, &[u8])] = &[
        ("GNU.sparse.size", b"1000000"),
        ("GNU.sparse.numblocks", b"0"),
    ];
    for (label, tar, says) in [
        (
            "a symbolic link",
            good().link(&path, EntryType::Symlink, &victim).clone(),
            "is a symbolic link",
        ),
        (
            "a symbolic link that climbs",
            good().link(&path, EntryType::Symlink, "../../..").clone(),
            "is a symbolic link",
        ),
        (
            "a hard link",
            good().link(&path, EntryType::Link, &victim).clone(),
            "is a hard link",
        ),
        (
            "a hard link to an entry",
            good()
                .link(&path, EntryType::Link, &format!("{ROOT}/secrets"))
                .clone(),
            "is a hard link",
        ),
        (
            "a character device",
            good().member(&path, EntryType::Char, b"").clone(),
            "is a character device",
        ),
        (
            "a block device",
            good().member(&path, EntryType::Block, b"").clone(),
            "is a block device",
        ),
        (
            "a fifo",
            good().member(&path, EntryType::Fifo, b"").clone(),
            "is a fifo",
        ),
        (
            "a contiguous file",
            good().member(&path, EntryType::Continuous, b"x").clone(),
            "is of an unknown kind",
        ),
        (
            "an unknown kind",
            good().member(&path, EntryType::new(b'Z'), b"x").clone(),
            "is of an unknown kind",
        ),
        (
            "a volume's name",
            good().member(&path, EntryType::new(b'V'), b"").clone(),
            "is of an unknown kind",
        ),
        (
            "a GNU sparse file",
            good().member(&path, EntryType::GNUSparse, b"x").clone(),
            "is a sparse file",
        ),
        (
            "a pax sparse file 1.0",
            good().pax(sparse).file(&path, b"0\n").clone(),
            "is a sparse file",
        ),
        (
            "a pax sparse file 0.0",
            good().pax(old_sparse).file(&path, b"").clone(),
            "is a sparse file",
        ),
    ] {
        class.check(
            label,
            &tar.gzip(),
            refused(&["forbidden kind of file: ", "/evil", says]),
        );
    }
}

#[test]
fn a_link_in_the_place_of_a_listed_entry_or_of_the_root_is_refused() {
    let class = Class::new();
    let listed = forge::text(&forge::manifest(&ENTRIES));
    let victim = class.machine.path("etc").display().to_string();
    let says = ["forbidden kind of file: ", "is a symbolic link"];
    let entry = Tar::packed(&listed, &[])
        .link(
            &format!("{ROOT}/secrets"),
            EntryType::Symlink,
            "/etc/passwd",
        )
        .entries(&ENTRIES)
        .clone();
    class.check("then the entry", &entry.gzip(), refused(&says));
    let instead = Tar::packed(&listed, &ENTRIES[1..])
        .link(
            &format!("{ROOT}/secrets"),
            EntryType::Symlink,
            "/etc/passwd",
        )
        .clone();
    class.check(
        "instead of the entry",
        &instead.gzip(),
        refused(&[says[0], says[1], "missing: the manifest lists secrets"]),
    );
    let root = Tar::new()
        .link(ROOT, EntryType::Symlink, &victim)
        .entry("manifest.json", &listed)
        .entries(&ENTRIES)
        .clone();
    class.check("instead of the root", &root.gzip(), refused(&says));
    let manifest = Tar::new()
        .folder(&format!("{ROOT}/"))
        .link(
            &format!("{ROOT}/manifest.json"),
            EntryType::Symlink,
            "/etc/passwd",
        )
        .entries(&ENTRIES)
        .clone();
    class.check("instead of the manifest", &manifest.gzip(), refused(&[]));
}
