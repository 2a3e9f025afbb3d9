//! `diff --text` of more texts than are compared.

use support::Machine;

const CONFIG: &str = "[backup]\nprefix = \"x\"\ninclude_config = false\n[[backup.sources]]\nname = \"files\"\n\
    kind = \"directory\"\npath = \"../srv\"\n";

#[test]
fn texts_that_are_not_compared_are_left_undone_if_they_changed() {
    let machine = Machine::empty();
    machine.write("etc/config.toml", CONFIG, 0o600);
    std::fs::create_dir_all(machine.path("srv")).expect("a folder");
    let text = |value: &str| format!("a = \"{value}\"\n# {}\n", "x".repeat(1_040_000));
    for number in 10..30 {
        machine.write(&format!("srv/{number}.toml"), text("old"), 0o640);
    }
    machine.write("srv/z.bin", vec![0xff; 500_000], 0o640);
    let old = machine.export("old.tar.gz");
    // Among the first 16 MiB, and no text at all.
    machine.write("srv/10.toml", text("new"), 0o640);
    machine.write("srv/z.bin", vec![0xfe; 500_000], 0o640);
    let first = machine.export("first.tar.gz");
    let report = machine
        .run(&["diff", "--json", "--text", &old, &first])
        .exits(1)
        .json();
    assert_eq!(report["error"]["kind"], "differs");
    assert!(report.get("left_undone").is_none(), "{report:#}");
    let text_of = |report: &serde_json::Value, at: usize| report["entries"][at]["text"].clone();
    assert!(
        text_of(&report, 0)
            .as_str()
            .is_some_and(|text| text.contains("+a = \"new\""))
    );
    // Beyond them.
    machine.write("srv/29.toml", text("new"), 0o640);
    let both = machine.export("both.tar.gz");
    let report = machine
        .run(&["diff", "--json", "--text", &old, &both])
        .exits(3)
        .json();
    assert_eq!(report["error"]["kind"], "partial");
    assert_eq!(report["left_undone"][0]["kind"], "text");
    let message = report["left_undone"][0]["message"].as_str().expect("words");
    assert!(
        message.starts_with("1 changed TOML files are not compared key by key"),
        "{message}"
    );
    assert_eq!(report["entries"][19]["state"], "changed");
    assert_eq!(
        (
            text_of(&report, 0).is_string(),
            text_of(&report, 19).is_null()
        ),
        (true, true)
    );
    let run = machine.run(&["diff", "--text", &old, &both]).exits(3);
    assert!(
        run.stderr.contains("1 changed TOML files"),
        "{}",
        run.stderr
    );
    // Without texts none is left out, and the machine has each in a file of its own.
    machine.run(&["diff", &old, &both]).exits(1);
}
