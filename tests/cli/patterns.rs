//! Entries by patterns as in gitignore(5): what `extract` and `import` take.

use support::Machine;

use std::fs;

/// A machine with two files and a directory, and its archive.
fn machine() -> (Machine, String) {
    let machine = Machine::empty();
    fs::create_dir_all(machine.path("data/site/deep")).expect("folders");
    for name in [
        "a.toml",
        "b.conf",
        "site/page.html",
        "site/deep/x.toml",
        "site/deep/y.html",
    ] {
        machine.write(&format!("data/{name}"), name, 0o600);
    }
    let mut text = "[backup]\ninclude_config = false\n".to_owned();
    for (name, kind) in [
        ("a.toml", "file"),
        ("b.conf", "file"),
        ("site", "directory"),
    ] {
        text += &format!(
            "[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"../data/{name}\"\n"
        );
    }
    machine.write("etc/config.toml", text, 0o600);
    let archive = machine.export("a.tar.gz");
    (machine, archive)
}

/// Extracts what these words select, and returns the files that came.
fn extracted(machine: &Machine, archive: &str, words: &[&str]) -> Vec<String> {
    let folder = machine.path("look");
    let _ = fs::remove_dir_all(&folder);
    let place = folder.display().to_string();
    let arguments = [&["extract", archive], words, &["-o", &place]].concat();
    machine.run(&arguments).exits(0);
    let tree = support::tree(&folder);
    let files = tree
        .into_iter()
        .filter(|(_, (_, _, content))| content.is_some());
    files.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn extract_takes_names_patterns_or_everything() {
    let (machine, archive) = machine();
    let all = [
        "a.toml",
        "b.conf",
        "site/deep/x.toml",
        "site/deep/y.html",
        "site/page.html",
    ];
    for (words, files) in [
        (&[][..], &all[..]),
        (&["*"], &all),
        (&["*.toml"], &["a.toml", "site/deep/x.toml"]),
        (&["/*.toml"], &["a.toml"]),
        (&["site/deep/*"], &["site/deep/x.toml", "site/deep/y.html"]),
        (
            &["b.conf", "/sit?"],
            &[
                "b.conf",
                "site/deep/x.toml",
                "site/deep/y.html",
                "site/page.html",
            ],
        ),
        (&["b.conf"], &["b.conf"]),
    ] {
        assert_eq!(extracted(&machine, &archive, words), files, "{words:?}");
    }
    machine
        .run(&["extract", &archive, "*.md"])
        .exits(10)
        .says("nothing in the archive matches *.md");
    machine.run(&["extract", &archive, "[a"]).exits(2);
    machine.run(&["extract", &archive, "c.toml"]).exits(10);
    // A name that looks like a pattern means the entry of that name.
    for name in ["x[1].txt", "x1.txt"] {
        machine.write(&format!("data/site/{name}"), name, 0o600);
    }
    let odd = machine.export("odd.tar.gz");
    assert_eq!(
        extracted(&machine, &odd, &["site/x[1].txt"]),
        ["site/x[1].txt"]
    );
    assert_eq!(
        extracted(&machine, &odd, &["site/x[12].txt"]),
        ["site/x1.txt"]
    );
    let bytes = fs::read(&archive).expect("the archive");
    let look = machine.path("look2").display().to_string();
    machine
        .run_with(&["extract", "-", "*.conf", "-o", &look], &bytes)
        .exits(0);
    assert_eq!(
        fs::read(machine.path("look2/b.conf")).expect("a file"),
        b"b.conf"
    );
}

#[test]
fn import_takes_and_leaves_out_by_patterns() {
    let (machine, archive) = machine();
    let change = |machine: &Machine| {
        for name in ["a.toml", "b.conf", "site/page.html"] {
            machine.write(&format!("data/{name}"), "changed", 0o600);
        }
    };
    let is_back = |machine: &Machine| {
        ["a.toml", "b.conf", "site/page.html"]
            .map(|name| machine.read(&format!("data/{name}")) == name.as_bytes())
    };
    for (options, back) in [
        (&["--only", "*.toml"][..], [true, false, false]),
        (&["--only", "s*"], [false, false, true]),
        (&["--except", "*.conf"], [true, false, true]),
        (
            &["--only", "[ab].*", "--except", "a*"],
            [false, true, false],
        ),
        (&["--only", "site/"], [false, false, true]),
    ] {
        change(&machine);
        let arguments = [&["import", &archive], options].concat();
        machine.run(&arguments).exits(0);
        assert_eq!(is_back(&machine), back, "{options:?}");
    }
    // A directory is taken as one.
    machine
        .run(&["import", &archive, "--only", "*.html"])
        .exits(10);
    change(&machine);
    let bytes = fs::read(&archive).expect("the archive");
    machine
        .run_with(&["import", "-", "--only", "a*"], &bytes)
        .exits(0);
    assert_eq!(is_back(&machine), [true, false, false]);
}
