//! Archives of other versions and other tools are read here, and ours are read there.

use support::forge::{self, EntryType, ROOT, Tar, Xorshift, gzip};
use support::{Machine, Run, finish, tree};

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use hookshot::{
    archive::{
        reader::Discard,
        writer::{self, Level},
    },
    model::{digest::Digest, entry_name::EntryName, manifest::FileRecord},
    work::Threads,
};
use serde_json::{Value, json};

/// Contents by path below the root folder, `manifest.json` among them.
type Contents = BTreeMap<String, Vec<u8>>;

/// Reads the content of an archive by the `tar` crate, which shares nothing with the reader under test.
fn contents(archive: &[u8]) -> Contents {
    let inflated = forge::inflate(archive);
    let mut tar = tar::Archive::new(inflated.as_slice());
    let mut found = Contents::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let path = path.trim_start_matches("./");
        let (_, inside) = path.split_once('/').expect("a root folder");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        assert!(found.insert(inside.to_owned(), content).is_none());
    }
    found
}

/// A machine on which nothing was ever restored: a configuration that names the data folder, and nothing else.
fn fresh() -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", machine.config_text(""), 0o644);
    machine
}

/// Fails the test unless the machine's state is what the archive holds.
#[track_caller]
fn holds(machine: &Machine, label: &str, expected: &Contents) {
    for (target, found) in machine.targets() {
        let name = target.rsplit('/').next().expect("a name");
        if let Some(expected) = expected.get(name) {
            let found = found.map(|(_, content)| content.0);
            assert!(
                found.as_ref() == Some(expected),
                "{label}: {target} is not what the archive holds"
            );
        }
    }
}

/// Fails the test unless every verb takes the archive, from a file and from a stream.
#[track_caller]
fn accepted(label: &str, archive: &[u8], expected: &Contents) {
    let machine = fresh();
    machine.write("out/foreign.tar.gz", archive, 0o600);
    for (input, arguments) in [
        (&b""[..], ["verify", "foreign.tar.gz"]),
        (archive, ["verify", "-"]),
    ] {
        let run = machine.run_with(&arguments, input);
        assert_eq!(run.code, 0, "{label}, {arguments:?}: {}", run.stderr);
    }
    for (input, arguments) in [
        (&b""[..], ["import", "foreign.tar.gz"]),
        (archive, ["import", "-"]),
    ] {
        let machine = fresh();
        machine.write("out/foreign.tar.gz", archive, 0o600);
        let run = machine.run_with(&arguments, input);
        assert_eq!(run.code, 0, "{label}, {arguments:?}: {}", run.stderr);
        holds(&machine, label, expected);
        assert_eq!(machine.mode("etc/secrets"), 0o600, "{label}");
    }
}

/// Returns true if a tool is installed. A missing one is skipped and named, but fails the test if
/// `HOOKSHOT_TESTS_COMPLETE` is set.
#[expect(clippy::print_stderr, reason = "what a test leaves out is said")]
fn installed(tool: &str) -> bool {
    let probe = Command::new(tool)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let Err(error) = probe else {
        return true;
    };
    assert!(
        std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "{tool}: {error}"
    );
    eprintln!("left out: {tool} is not installed ({error})");
    false
}

/// Runs a tool in a folder and fails the test unless it succeeds.
#[track_caller]
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8");
    let run = finish(command, b"");
    assert_eq!(
        run.code,
        0,
        "{program} {arguments:?}: {}{}",
        run.text(),
        run.stderr
    );
    run
}

mod fixtures {
    use super::*;

    /// Released archives, which stay as they are; a change of the format adds a line (tests/fixtures/README.md).
    const FIXTURES: [(&str, &str); 3] = [
        (
            "guide-1.0.tar.gz",
            "634ecbc2031a1b1f3cad1370e3173ace30611c9ae3c817db9b4e3f057712dc74",
        ),
        (
            "guide-1.0-dot.tar.gz",
            "4c90ebb6dcdbbae99786f0a3f738356ffe12d64de9b90c3eb7756022a4a9cc25",
        ),
        (
            "hookshot-1.1.tar.gz",
            "5283d4d93fd194f5892debc4705046f2350ad1cf1e790a04774d4b10f003652a",
        ),
    ];

    /// The one of them with a listing; what it holds is compared in `listings::golden`.
    const LISTED: (&str, &str) = (
        "hookshot-1.2.tar.gz",
        "cf19c5b61304eb6d0cf0d3bc5491ec9a9d017a66a76972c15f59222ea5d62a48",
    );

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archives");
        fs::read(folder.join(name)).expect(name)
    }

    #[test]
    fn no_archive_among_the_fixtures_was_ever_edited() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archives");
        let mut found: Vec<(String, String)> = tree(&folder)
            .into_iter()
            .map(|(path, (_, _, content))| {
                (
                    path.display().to_string(),
                    forge::digest(&content.expect("a file").0),
                )
            })
            .collect();
        found.sort();
        let expected = FIXTURES.iter().chain([&LISTED]);
        let mut expected: Vec<(String, String)> = expected
            .map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned()))
            .collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_archive_of_every_version_imports_byte_for_byte() {
        for (name, _) in FIXTURES {
            let archive = fixture(name);
            let expected = contents(&archive);
            assert_eq!(expected.len(), 5, "{name}");
            accepted(name, &archive, &expected);
        }
    }

    #[test]
    fn what_an_import_of_every_version_brings_is_a_service_that_can_be_exported_again() {
        for (name, _) in FIXTURES {
            let machine = fresh();
            machine.write("out/old.tar.gz", fixture(name), 0o600);
            machine.run(&["import", "old.tar.gz"]).exits(0);
            let data = machine.path("data").display().to_string();
            machine
                .run(&["--data-dir", &data, "export", "new.tar.gz"])
                .exits(0);
            let (mut old, mut new) = (
                contents(&fixture(name)),
                contents(&machine.read("out/new.tar.gz")),
            );
            old.remove("manifest.json");
            new.remove("manifest.json");
            // The database is copied transaction by transaction; what it says is compared where databases are tested.
            assert!(old.remove("state.redb").is_some() && new.remove("state.redb").is_some());
            assert_eq!(old, new, "{name}");
        }
    }

    #[test]
    fn an_archive_of_every_version_can_be_looked_at() {
        for (name, _) in FIXTURES {
            let archive = fixture(name);
            let expected = contents(&archive);
            let machine = fresh();
            machine.write("out/old.tar.gz", &archive, 0o600);
            for (file, input) in [("old.tar.gz", &b""[..]), ("-", archive.as_slice())] {
                let verify = machine
                    .run_with(&["verify", "--json", file], input)
                    .exits(0)
                    .json();
                assert_eq!(verify["archives"][0]["good"], json!(true), "{name}");
                assert_eq!(verify["archives"][0]["faults"], json!([]), "{name}");
                let inspect = machine
                    .run_with(&["inspect", "--json", file], input)
                    .exits(0)
                    .json();
                let manifest: Value =
                    serde_json::from_slice(&expected["manifest.json"]).expect("JSON");
                for key in ["version", "created_at", "hookshot_version"] {
                    assert_eq!(inspect["manifest"][key], manifest[key], "{name}");
                }
                for (entry, record) in manifest["files"].as_object().expect("an object") {
                    for key in ["path", "checksum", "size"] {
                        assert_eq!(
                            inspect["manifest"]["files"][entry][key], record[key],
                            "{name}"
                        );
                    }
                    let shown = machine
                        .run_with(&["extract", file, entry, "-o", "-"], input)
                        .exits(0);
                    assert!(shown.stdout == expected[entry], "{name}: {entry}");
                }
                machine
                    .run_with(
                        &[
                            "extract",
                            file,
                            "state.redb",
                            "secrets",
                            "services.toml",
                            "-o",
                            "taken",
                            "--overwrite",
                        ],
                        input,
                    )
                    .exits(0);
                for entry in ["state.redb", "secrets", "services.toml"] {
                    assert!(
                        machine.read(&format!("out/taken/{entry}")) == expected[entry],
                        "{name}: {entry}"
                    );
                }
                assert_eq!(machine.mode("out/taken/secrets"), 0o600, "{name}");
            }
        }
    }

    #[test]
    fn version_1_0_keeps_the_modes_of_what_it_replaces() {
        for name in ["guide-1.0.tar.gz", "guide-1.0-dot.tar.gz"] {
            let machine = Machine::new();
            machine.write("out/old.tar.gz", fixture(name), 0o600);
            let modes = [
                ("etc/config.toml", 0o604),
                ("etc/services.toml", 0o660),
                ("data/state.redb", 0o640),
                ("etc/secrets", 0o400),
            ];
            for (target, mode) in modes {
                let content = machine.read(target);
                machine.write(target, content, mode);
            }
            machine.run(&["import", "old.tar.gz"]).exits(0);
            holds(&machine, name, &contents(&fixture(name)));
            for (target, mode) in modes {
                assert_eq!(machine.mode(target), mode, "{name}: {target}");
            }
        }
    }

    #[test]
    fn secrets_are_never_wider_than_0600_whatever_archive_and_target_say() {
        for (name, _) in FIXTURES {
            let machine = Machine::new();
            machine.write("out/old.tar.gz", fixture(name), 0o600);
            machine.write("etc/secrets", "hmac_key = open-to-all\n", 0o666);
            machine.run(&["import", "old.tar.gz"]).exits(0);
            assert_eq!(machine.mode("etc/secrets"), 0o600, "{name}");
        }
    }
}

/// Common tools read the archives that `export` writes.
mod interchange {
    use super::*;

    /// A machine, an archive of it in `out/state.tar.gz`, and what it holds. With a content of many members, too.
    fn exported() -> (Machine, Contents) {
        let machine = Machine::new();
        machine.write("etc/secrets", Xorshift::new(11).bytes(3 << 20), 0o600);
        machine.export("state.tar.gz");
        let expected = contents(&machine.read("out/state.tar.gz"));
        assert_eq!(expected.len(), 5);
        for (name, file) in [
            ("secrets", "etc/secrets"),
            ("config.toml", "etc/config.toml"),
            ("services.toml", "etc/services.toml"),
        ] {
            assert!(expected[name] == machine.read(file), "{name}");
        }
        (machine, expected)
    }

    /// Returns the content of the one root folder that a tool unpacked into `folder`.
    #[track_caller]
    fn unpacked(folder: &Path) -> Contents {
        let roots: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|root| root.expect("an entry").path())
            .collect();
        assert_eq!(roots.len(), 1, "{roots:?}");
        tree(&roots[0])
            .into_iter()
            .filter_map(|(path, (_, _, content))| Some((path.display().to_string(), content?.0)))
            .collect()
    }

    #[track_caller]
    fn unpacks(program: &str, arguments: &[&str]) {
        let (machine, expected) = exported();
        if !installed(program) {
            return;
        }
        let folder = machine.path("out/unpacked");
        fs::create_dir(&folder).expect("a folder");
        let run = tool(&folder, program, arguments);
        assert_eq!(run.stderr, "", "{program} complains");
        assert!(
            unpacked(&folder) == expected,
            "{program} unpacks something else"
        );
    }

    #[test]
    fn gnu_tar_unpacks_it() {
        unpacks("tar", &["-xzf", "../state.tar.gz"]);
    }

    #[test]
    fn busybox_tar_unpacks_it() {
        unpacks("busybox", &["tar", "-xzf", "../state.tar.gz"]);
    }

    #[test]
    fn bsdtar_unpacks_it() {
        unpacks("bsdtar", &["-xf", "../state.tar.gz"]);
    }

    #[test]
    fn python_unpacks_it() {
        unpacks(
            "python3",
            &[
                "-c",
                "import tarfile; tarfile.open('../state.tar.gz').extractall('.')",
            ],
        );
    }

    #[test]
    fn every_gzip_tests_it_good() {
        let (machine, _) = exported();
        for (program, arguments) in [
            ("gzip", &["-t", "state.tar.gz"][..]),
            ("pigz", &["-t", "state.tar.gz"]),
            ("busybox", &["gzip", "-t", "state.tar.gz"]),
        ] {
            if installed(program) {
                let run = tool(&machine.path("out"), program, arguments);
                assert_eq!(run.stderr, "", "{program} complains");
            }
        }
    }

    #[test]
    fn every_gzip_inflates_it_to_the_same_tar() {
        let (machine, _) = exported();
        let expected = forge::inflate(&machine.read("out/state.tar.gz"));
        for (program, arguments) in [
            ("gzip", &["-dc", "state.tar.gz"][..]),
            ("pigz", &["-dc", "state.tar.gz"]),
            ("busybox", &["gzip", "-dc", "state.tar.gz"]),
        ] {
            if installed(program) {
                assert!(
                    tool(&machine.path("out"), program, arguments).stdout == expected,
                    "{program}"
                );
            }
        }
    }

    #[test]
    fn every_tar_lists_it() {
        let (machine, expected) = exported();
        for (program, arguments) in [
            ("tar", &["-tvzf", "state.tar.gz"][..]),
            ("bsdtar", &["-tvf", "state.tar.gz"]),
            ("busybox", &["tar", "-tvzf", "state.tar.gz"]),
        ] {
            if installed(program) {
                let run = tool(&machine.path("out"), program, arguments);
                assert_eq!(run.stderr, "", "{program} complains");
                for name in expected.keys() {
                    assert!(
                        run.text()
                            .lines()
                            .any(|line| line.ends_with(&format!("/{name}"))),
                        "{program}: {}",
                        run.text()
                    );
                }
            }
        }
    }

    #[test]
    fn the_line_of_the_guide_checks_every_digest() {
        let (machine, _) = exported();
        if !["bash", "tar", "jq", "sha256sum"]
            .into_iter()
            .all(installed)
        {
            return;
        }
        let script = r#"
            set -euo pipefail
            tar -xzf state.tar.gz
            cd hookshot-state-*/
            sha256sum -c <(jq -r '.files[] | "\(.checksum)  \(.path)"' manifest.json)"#;
        let run = tool(&machine.path("out"), "bash", &["-c", script]);
        assert_eq!(
            run.text(),
            "config.toml: OK\nsecrets: OK\nservices.toml: OK\nstate.redb: OK\n"
        );
    }
}

/// The same content, packed by whatever tool: all of it is accepted.
mod foreign {
    use super::*;

    /// A machine, and its state unpacked below `out/plain`, ready to be packed by others.
    fn plain() -> (Machine, Contents) {
        let machine = Machine::new();
        machine.export("state.tar.gz");
        let expected = contents(&machine.read("out/state.tar.gz"));
        let root = machine.path("out/plain").join(ROOT);
        fs::create_dir_all(&root).expect("a folder");
        for (name, content) in &expected {
            machine.write(&format!("out/plain/{ROOT}/{name}"), content, 0o644);
        }
        (machine, expected)
    }

    #[track_caller]
    fn packs(program: &str, variants: &[&[&str]]) {
        let (machine, expected) = plain();
        if !installed(program) {
            return;
        }
        for arguments in variants {
            let arguments: Vec<String> = arguments
                .iter()
                .map(|argument| argument.replace("ROOT", ROOT))
                .collect();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            tool(&machine.path("out/plain"), program, &arguments);
            accepted(
                &format!("{program} {arguments:?}"),
                &machine.read("out/packed.tar.gz"),
                &expected,
            );
        }
    }

    #[test]
    fn gnu_tar_in_each_of_its_formats_is_accepted() {
        packs(
            "tar",
            &[
                &["-czf", "../packed.tar.gz", "ROOT"],
                &["--format=gnu", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=oldgnu", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=pax", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=ustar", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=v7", "-czf", "../packed.tar.gz", "ROOT"],
                &[
                    "--format=pax",
                    "--pax-option=globexthdr.name=g,comment=packed",
                    "-czf",
                    "../packed.tar.gz",
                    "ROOT",
                ],
            ],
        );
    }

    /// The additions of a Mac's tar are named as that, not as damage.
    #[test]
    fn what_the_tar_of_a_mac_adds_is_named() {
        let (machine, _) = plain();
        let inside = format!("{ROOT}/._config.toml");
        for added in [format!("._{ROOT}"), inside] {
            machine.write(&format!("out/plain/{added}"), "Mac OS X", 0o644);
            let mut arguments = vec!["-czf", "../mac.tar.gz"];
            if !added.contains('/') {
                arguments.push(&added);
            }
            arguments.push(ROOT);
            tool(&machine.path("out/plain"), "tar", &arguments);
            let run = machine.run(&["verify", "mac.tar.gz"]).exits(13);
            let name = added.rsplit('/').next().expect("a name");
            let message = format!("{name} is not of the export: the tar of a Mac adds such files");
            let said = &run.stderr;
            assert!(said.contains(&message), "{said}");
            assert!(said.contains("do what the message says"), "{said}");
            fs::remove_file(machine.path("out/plain").join(added)).expect("removed");
        }
    }

    #[test]
    fn gnu_tar_with_any_order_and_prefix_is_accepted() {
        packs(
            "tar",
            &[
                &["-czf", "../packed.tar.gz", "."],
                &["-czf", "../packed.tar.gz", "./ROOT"],
                &["--sort=name", "-czf", "../packed.tar.gz", "ROOT"],
                &[
                    "--no-recursion",
                    "-czf",
                    "../packed.tar.gz",
                    "ROOT/state.redb",
                    "ROOT/secrets",
                    "ROOT/services.toml",
                    "ROOT/config.toml",
                    "ROOT/manifest.json",
                ],
                &["--blocking-factor=200", "-czf", "../packed.tar.gz", "ROOT"],
                &[
                    "--numeric-owner",
                    "--owner=4294967294",
                    "--group=4294967294",
                    "--mtime=@-1",
                    "-czf",
                    "../packed.tar.gz",
                    "ROOT",
                ],
            ],
        );
    }

    #[test]
    fn bsdtar_in_each_of_its_formats_is_accepted() {
        packs(
            "bsdtar",
            &[
                &["-czf", "../packed.tar.gz", "ROOT"],
                &["--format=pax", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=ustar", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=gnutar", "-czf", "../packed.tar.gz", "ROOT"],
                &["--format=v7tar", "-czf", "../packed.tar.gz", "ROOT"],
                &["-czf", "../packed.tar.gz", "."],
            ],
        );
    }

    #[test]
    fn busybox_tar_is_accepted() {
        packs(
            "busybox",
            &[
                &["tar", "-czf", "../packed.tar.gz", "ROOT"],
                &["tar", "-czf", "../packed.tar.gz", "."],
            ],
        );
    }

    #[test]
    fn python_in_each_of_its_formats_is_accepted() {
        let script = |format: &str, mode: &str| {
            format!(
                "import tarfile\nwith tarfile.open('../packed.tar.gz', '{mode}', format=tarfile.{format}) as tar: tar.add('{ROOT}')"
            )
        };
        let scripts = ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"]
            .map(|format| [script(format, "w:gz"), script(format, "w|gz")]);
        for script in scripts.iter().flatten() {
            packs("python3", &[&["-c", script]]);
        }
    }

    #[test]
    fn parallel_gzip_is_accepted() {
        if installed("pigz") {
            packs(
                "tar",
                &[
                    &["-I", "pigz", "-cf", "../packed.tar.gz", "ROOT"],
                    &["-I", "pigz -i -b 128", "-cf", "../packed.tar.gz", "ROOT"],
                ],
            );
        }
    }

    #[test]
    fn gzip_with_a_name_and_a_comment_is_accepted() {
        let (_, expected) = plain();
        let tar = forge::inflate(&repacked(&expected));
        let mut encoder = flate2::GzBuilder::new()
            .filename("state.tar")
            .comment("made by hand")
            .mtime(1_738_252_822)
            .write(Vec::new(), flate2::Compression::default());
        encoder.write_all(&tar).expect("written to memory");
        accepted(
            "a name and a comment",
            &encoder.finish().expect("written to memory"),
            &expected,
        );
    }

    /// The content in one gzip member without any field of ours, the manifest first.
    fn repacked(expected: &Contents) -> Vec<u8> {
        Tar::packed(&expected["manifest.json"], &entries(expected)).gzip()
    }

    fn entries(expected: &Contents) -> Vec<forge::Entry<'_>> {
        let entries = expected.iter().filter(|(name, _)| *name != "manifest.json");
        entries
            .map(|(name, content)| (name.as_str(), content.as_slice()))
            .collect()
    }

    #[test]
    fn several_gzip_members_split_anywhere_are_accepted() {
        let (_, expected) = plain();
        let tar = forge::inflate(&repacked(&expected));
        let mut rng = Xorshift::new(12);
        for _ in 0..6 {
            let mut cuts: Vec<usize> = (0..1 + rng.below(5))
                .map(|_| rng.below(tar.len()))
                .collect();
            cuts.extend([0, tar.len()]);
            cuts.sort_unstable();
            let members: Vec<Vec<u8>> = cuts
                .windows(2)
                .map(|pair| gzip(&tar[pair[0]..pair[1]]))
                .collect();
            accepted(&format!("split at {cuts:?}"), &members.concat(), &expected);
        }
        // Where a header, the manifest or the end is cut in two, by value: every place of the first 4 KiB and the last.
        let small = Tar::good(&forge::ENTRIES).ended();
        for at in 0..=small.len() {
            let archive = [gzip(&small[..at]), gzip(&small[at..])].concat();
            for seekable in [true, false] {
                forge::read(&archive, seekable, &mut Discard)
                    .unwrap_or_else(|error| panic!("split at {at}: {error:#}"));
            }
        }
    }

    #[test]
    fn empty_gzip_members_are_accepted_wherever_they_stand() {
        let (_, expected) = plain();
        let archive = repacked(&expected);
        let empty = gzip(b"");
        accepted(
            "empty members around",
            &[empty.clone(), archive, empty.clone(), empty].concat(),
            &expected,
        );
    }

    #[test]
    fn the_manifest_may_stand_anywhere() {
        let (_, expected) = plain();
        let entries = entries(&expected);
        for place in 0..=entries.len() {
            let mut tar = Tar::new();
            tar.entries(&entries[..place])
                .entry("manifest.json", &expected["manifest.json"])
                .entries(&entries[place..]);
            accepted(
                &format!("the manifest at place {place}"),
                &tar.gzip(),
                &expected,
            );
        }
    }

    /// Only the one in the root folder is the manifest.
    #[test]
    fn an_entry_in_a_folder_may_be_called_manifest_json() {
        let [secrets, services] = forge::ENTRIES;
        let entries = [("deep/manifest.json", &b"{}"[..]), secrets, services];
        let manifest = forge::text(&forge::manifest(&entries));
        let after = Tar::packed(&manifest, &entries).gzip();
        let before = Tar::new()
            .entries(&entries)
            .entry("manifest.json", &manifest)
            .gzip();
        let last = Tar::new()
            .entries(&entries[1..])
            .entries(&entries[..1])
            .entry("manifest.json", &manifest)
            .gzip();
        for (label, archive) in [
            ("behind the manifest", after),
            ("before everything", before),
            ("before the manifest", last),
        ] {
            for seekable in [true, false] {
                let mut found = forge::Collect::default();
                let verified = forge::read(&archive, seekable, &mut found);
                verified.unwrap_or_else(|error| panic!("{label}: {error:#}"));
                assert_eq!(found.contents["deep/manifest.json"], b"{}", "{label}");
            }
        }
    }

    #[test]
    fn leading_dots_and_folders_are_accepted() {
        let (_, expected) = plain();
        let mut dots = Tar::new();
        dots.folder("./").folder(&format!("./{ROOT}/"));
        for (name, content) in &expected {
            dots.file(format!("./{ROOT}/{name}"), content);
        }
        accepted("dots", &dots.gzip(), &expected);
        let mut mixed = Tar::new();
        mixed
            .folder(&format!("././{ROOT}/"))
            .folder(&format!("{ROOT}/empty/"));
        for (number, (name, content)) in expected.iter().enumerate() {
            mixed.file(format!("{}{ROOT}/{name}", "./".repeat(number)), content);
        }
        accepted("mixed", &mixed.gzip(), &expected);
    }

    #[test]
    fn names_and_sizes_in_pax_and_gnu_records_are_accepted() {
        let (_, expected) = plain();
        let mut pax = Tar::new();
        pax.member(
            "pax_global_header",
            EntryType::XGlobalHeader,
            b"52 comment=0123456789012345678901234567890123456789\n",
        );
        for (name, content) in &expected {
            pax.pax(&[
                ("path", format!("{ROOT}/{name}").as_bytes()),
                ("size", content.len().to_string().as_bytes()),
                ("mtime", b"-1.5"),
            ]);
            pax.header(b"short", EntryType::Regular, 0).content(content);
        }
        accepted("pax", &pax.gzip(), &expected);
        let mut gnu = Tar::new();
        for (name, content) in &expected {
            gnu.gnu_long_name(format!("{ROOT}/{name}\0").as_bytes())
                .file("short", content);
        }
        accepted("GNU", &gnu.gzip(), &expected);
    }

    /// The index belongs to version 1.1: a writer of 1.0 that splits its members as mgzip does has none.
    #[test]
    fn version_1_0_in_members_that_state_their_size_needs_no_index() {
        let tar = Tar::good(&forge::ENTRIES).ended();
        let sized = |bytes: &[u8], size: u32| {
            let extra = [&b"IG\x04\0"[..], &size.to_le_bytes()].concat();
            let mut encoder = flate2::GzBuilder::new()
                .extra(extra)
                .write(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).expect("written to memory");
            encoder.finish().expect("written to memory")
        };
        let members: Vec<Vec<u8>> = tar
            .chunks(1000)
            .map(|chunk| sized(chunk, sized(chunk, 0).len() as u32))
            .collect();
        let archive = members.concat();
        accepted("members as mgzip makes them", &archive, &contents(&archive));
    }

    #[test]
    fn our_archive_inflated_and_packed_again_needs_no_index() {
        let (machine, expected) = plain();
        accepted(
            "gzip again",
            &gzip(&forge::inflate(&machine.read("out/state.tar.gz"))),
            &expected,
        );
    }

    #[test]
    fn keys_of_later_versions_are_accepted() {
        let (_, expected) = plain();
        let mut manifest: Value = serde_json::from_slice(&expected["manifest.json"]).expect("JSON");
        manifest["version"] = json!("1.999");
        manifest["later"] = json!({ "deep": [1, { "x": null }] });
        manifest["files"]["secrets"]["later"] = json!(1.5);
        manifest["files"]["secrets"]["kind"] = json!("of-tomorrow");
        let mut expected = expected.clone();
        expected.insert("manifest.json".to_owned(), forge::text(&manifest));
        accepted("version 1.999", &repacked(&expected), &expected);
    }

    #[test]
    fn a_newer_minor_version_of_hookshot_is_imported_with_a_warning() {
        let mut manifest = forge::manifest(&forge::ENTRIES);
        manifest["hookshot_version"] = json!("0.999.0");
        let machine = fresh();
        machine.write(
            "out/newer.tar.gz",
            Tar::packed(&forge::text(&manifest), &forge::ENTRIES).gzip(),
            0o600,
        );
        machine
            .run(&["import", "newer.tar.gz"])
            .exits(0)
            .says("WARN")
            .says("newer hookshot");
        assert_eq!(machine.read("etc/secrets"), forge::ENTRIES[0].1);
    }
}

/// Values beyond ustar are written so that every tool reads them.
mod extremes {
    use super::*;

    /// Names of every length around what the fields of a header hold, and up to the longest.
    fn names() -> Vec<String> {
        // No component is longer than what file systems take.
        let of = |length: usize, piece: &str| {
            let mut name: String = piece.chars().cycle().take(length).collect();
            while name.len() > length || name.ends_with('/') {
                name.pop();
            }
            format!("{name}{}", "e".repeat(length - name.len()))
        };
        let mut names = Vec::new();
        for length in [
            1, 68, 69, 70, 71, 99, 100, 101, 124, 125, 126, 154, 155, 156, 224, 225, 226, 227, 255,
            256, 257, 511, 512, 1000, 1023, 1024,
        ] {
            names.push(of(length, &format!("{}/", "d".repeat(49))));
            names.push(of(length, &format!("{}/", "w".repeat(199))));
            names.push(of(length, &format!("{}/", "é".repeat(60))));
        }
        for name in [
            "a b",
            "a\\b",
            "line\nfeed",
            "-rf",
            "~",
            "\"quoted\"",
            "100%",
            "x=1",
            "日本",
            "tail.",
            " lead",
            "c:x",
        ] {
            names.push(name.to_owned());
        }
        names.sort();
        names.dedup();
        // A name that is a folder above another one is none.
        let all = names.clone();
        names.retain(|name| {
            !all.iter()
                .any(|other| other.starts_with(&format!("{name}/")))
        });
        names
    }

    /// An archive with the longest names and the oddest owners and times, with what was written.
    fn odd() -> (Vec<u8>, BTreeMap<EntryName, FileRecord>) {
        let mtimes = [
            0,
            -1,
            -62_135_596_800,
            1,
            (1 << 33) - 1,
            1 << 33,
            253_402_300_799,
        ];
        let ids = [0, 1, (1 << 21) - 1, 1 << 21, 1 << 31, u32::MAX - 1];
        let users = [
            "root",
            "",
            "a-name-that-is-longer-than-ustar-has-room-for",
            "ärger",
            "exactly-thirty-one-bytes-long-x",
        ];
        let mut files = BTreeMap::new();
        for (number, name) in names().iter().enumerate() {
            let name = EntryName::new(name).expect("a good name");
            let content = content(&name);
            let mut record =
                FileRecord::new(name.clone(), Digest::of(&content), content.len() as u64);
            record.mode = Some([0o600, 0o644, 0o7777, 0][number % 4]);
            record.mtime = Some(mtimes[number % mtimes.len()]);
            record.uid = Some(ids[number % ids.len()]);
            record.gid = Some(ids[(number / 2) % ids.len()]);
            record.user = Some(users[number % users.len()].into());
            record.group = Some(users[(number / 2) % users.len()].into());
            files.insert(name, record);
        }
        let manifest = forge::current(files.clone());
        let open = |name: &EntryName| Ok(std::io::Cursor::new(content(name)));
        let archive = writer::write(
            Vec::new(),
            &manifest,
            Level::DEFAULT,
            Threads::ONE,
            None,
            open,
        )
        .expect("an archive")
        .out;
        (archive, files)
    }

    fn content(name: &EntryName) -> Vec<u8> {
        format!("content of {}\n", name.as_str()).into_bytes()
    }

    #[test]
    fn odd_names_owners_and_times_are_read_back() {
        let (archive, files) = odd();
        assert!(files.len() > 60, "{}", files.len());
        let longest = files.keys().map(|name| name.as_str().len()).max();
        assert_eq!(longest, Some(1024));
        for seekable in [true, false] {
            let mut found = forge::Collect::default();
            let verified = forge::read(&archive, seekable, &mut found).expect("a good archive");
            assert_eq!(verified.manifest().files, files);
            for name in files.keys() {
                assert_eq!(found.contents[name.as_str()], content(name));
                assert_eq!(verified.header(name).mode, None, "the manifest says it");
            }
        }
    }

    #[test]
    fn the_tar_crate_reads_odd_names() {
        let (archive, files) = odd();
        let found = contents(&archive);
        assert_eq!(found.len(), files.len() + 1);
        for name in files.keys() {
            assert_eq!(found[name.as_str()], content(name));
        }
    }

    #[test]
    fn gnu_tar_and_bsdtar_unpack_odd_names_and_times() {
        use std::os::unix::fs::MetadataExt as _;
        let (archive, files) = odd();
        for program in ["tar", "bsdtar"] {
            let machine = Machine::empty();
            machine.write("out/odd.tar.gz", &archive, 0o600);
            if !installed(program) {
                continue;
            }
            // Whether a path of 1,024 bytes fits below the test's own folder is the system's affair: PATH_MAX is 4,096.
            tool(
                &machine.path("out"),
                program,
                &["--no-same-owner", "-xzf", "odd.tar.gz"],
            );
            for (name, record) in &files {
                let path = machine.path("out").join(ROOT).join(name.as_str());
                assert_eq!(
                    fs::read(&path).expect("a file"),
                    content(name),
                    "{program}: {name}"
                );
                let modified = path.metadata().expect("metadata").mtime();
                // What file systems keep of time differs; ext4 keeps 34 bits.
                if (0..1 << 33).contains(&record.mtime.expect("a time")) {
                    assert_eq!(Some(modified), record.mtime, "{program}: {name}");
                }
            }
        }
    }

    #[test]
    fn python_reads_every_odd_header() {
        let (archive, files) = odd();
        if !installed("python3") {
            return;
        }
        let machine = Machine::empty();
        machine.write("out/odd.tar.gz", &archive, 0o600);
        let script = "
import hashlib, json, tarfile
found = {}
with tarfile.open('odd.tar.gz') as tar:
    for member in tar:
        if member.isfile():
            found[member.name.split('/', 1)[1]] = {
                'checksum': hashlib.sha256(tar.extractfile(member).read()).hexdigest(), 'size': member.size,
                'mtime': int(member.mtime), 'uid': member.uid, 'gid': member.gid, 'mode': member.mode,
                'user': member.uname, 'group': member.gname}
print(json.dumps(found))";
        let found = tool(&machine.path("out"), "python3", &["-c", script]).json();
        assert_eq!(found.as_object().expect("an object").len(), files.len() + 1);
        for (name, record) in &files {
            let expected = json!({
                "checksum": record.checksum.to_string(), "size": record.size, "mtime": record.mtime, "uid": record.uid,
                "gid": record.gid, "mode": record.mode, "user": record.user.as_deref(), "group": record.group.as_deref(),
            });
            assert_eq!(found[name.as_str()], expected, "{name}");
        }
    }
}

mod golden {
    use super::*;

    /// 1.5 MiB that compress a little, the same for ever.
    fn large() -> Vec<u8> {
        (0..3u32 << 19)
            .map(|at| (at.wrapping_mul(at) >> 9) as u8 & 0x3f)
            .collect()
    }

    /// An archive whose every byte is fixed: an owner, a time before 1970, a long name, a content of several members.
    fn archive(level: Level) -> Vec<u8> {
        let large = large();
        let long = format!("deep/{}", "long-name/".repeat(20));
        let long = format!("{long}end");
        let entries: [forge::Entry<'_>; 4] = [
            (
                "config.toml",
                b"[storage]\ndata_dir = \"/var/lib/hookshot\"\n",
            ),
            (&long, b"long\n"),
            ("empty", b""),
            ("state.redb", &large),
        ];
        let mut files = BTreeMap::new();
        for (name, content) in entries {
            let name = EntryName::new(name).expect("a good name");
            let mut record =
                FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
            record.mode = Some(0o640);
            record.mtime = Some(if content.is_empty() {
                -1
            } else {
                1_738_252_800
            });
            record.uid = Some(990);
            record.gid = Some(3_000_000);
            record.user = Some("hookshot".into());
            record.kind = Some(if content.len() > 1000 { "redb" } else { "file" }.into());
            files.insert(name, record);
        }
        let mut manifest = forge::current(files);
        manifest.hostname = Some("node-1".to_owned());
        manifest
            .tags
            .insert("purpose".to_owned(), "golden".to_owned());
        let open = |name: &EntryName| {
            let entry = entries.iter().find(|(other, _)| *other == name.as_str());
            Ok(entry.expect("a content").1)
        };
        let one = writer::write(Vec::new(), &manifest, level, Threads::ONE, None, open)
            .expect("an archive")
            .out;
        for count in [2, 3, 16] {
            let threads = Threads::new(count).expect("some");
            let many = writer::write(Vec::new(), &manifest, level, threads, None, open)
                .expect("an archive")
                .out;
            assert!(one == many, "{count} threads make another archive");
        }
        one
    }

    /// Changes only with the format: the members are stored, so no compressor has a say in it.
    #[test]
    fn every_byte_of_an_archive_is_fixed_by_the_format() {
        let stored = archive(Level::new(0).expect("a level"));
        assert_eq!(
            forge::members(&stored).len(),
            7,
            "head, three of the content, tail, and two of the index"
        );
        assert_eq!(
            forge::digest(&stored),
            "1c4e0cfe95591d79edd0c92f2a7f08e51da5e354168ad38a73651461d7fc5901"
        );
    }

    /// Changes only with the format.
    #[test]
    fn every_byte_of_the_tar_is_fixed_by_the_format() {
        for level in [0, 1, 5, 12] {
            let tar = forge::inflate(&archive(Level::new(level).expect("a level")));
            assert_eq!(
                forge::digest(&tar),
                "ea3fd2a844872145e2202563fc8017ffa3e07d5ac29cf916d513b79af1b02e67",
                "level {level}"
            );
        }
    }

    /// Changes with the format, and with the compressor: then say so in the changelog, for users that deduplicate.
    #[test]
    fn an_archive_of_the_default_level_stays_the_same_from_release_to_release() {
        assert_eq!(
            forge::digest(&archive(Level::DEFAULT)),
            "cafd445a0e63a52a0ceb013e93b8366b317b94ba13eff552c564fafe0dd26e83"
        );
    }
}
