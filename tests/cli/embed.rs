//! A program with the verbs in it: examples/embed.rs.

use std::{path::Path, process::Command};

#[test]
fn the_example_of_an_embedding_program_works() {
    let program = Path::new(env!("CARGO_BIN_EXE_hookshot")).with_file_name("examples/embed");
    let run = Command::new(program).output().expect("the example");
    let said = String::from_utf8(run.stdout).expect("text");
    assert!(run.status.success(), "{said}{:?}", run.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        lines,
        [
            "exported 1 entries yesterday",
            "exported 2 entries today",
            "verified 1 archive",
            "imported: another note",
            "listed 2 archives",
            "removed 1",
            "cancelled, with exit code 143",
        ]
    );
}
