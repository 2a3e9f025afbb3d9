//! Processes that hold a database while a test works on it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::example;

/// A process that holds a database until this value goes.
pub struct Holder {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Holder {
    pub fn start(how: &str, path: &Path) -> Holder {
        Holder::start_with(how, path, &[])
    }

    /// With further arguments.
    pub fn start_with(how: &str, path: &Path, further: &[&str]) -> Holder {
        let path = path.to_str().expect("UTF-8");
        Holder::start_as(&[&[how, path], further].concat())
    }

    /// With these arguments.
    pub fn start_as(arguments: &[&str]) -> Holder {
        let mut child = Command::new(example("holder"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the holder");
        let mut says = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        says.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Holder { child, says }
    }

    /// Lets go; what it says in the end.
    pub fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.says.read_to_string(&mut said).expect("text");
        said.trim_end().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("an end");
    }
}

/// Runs the holder to its end, and returns whether it succeeded and what it said.
pub fn run_holder(arguments: &[&str]) -> (bool, String) {
    let run = Command::new(example("holder")).args(arguments).output();
    let run = run.expect("the holder");
    let said = [run.stdout, run.stderr].concat();
    (
        run.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
