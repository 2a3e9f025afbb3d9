//! Programs of the machine that tests run beside hookshot, and paths as their arguments.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a program, which must succeed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(
        status.expect("it runs").success(),
        "{program} {arguments:?}"
    );
}

/// Returns a path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Unpacks an archive with GNU tar into a new folder, and returns the root folder of the archive in it.
pub fn unpack(archive: &str, to: &Path) -> PathBuf {
    fs::create_dir_all(to).expect("a folder");
    run("tar", &["-xpzf", archive, "-C", &text(to)]);
    let mut roots = to.read_dir().expect("readable");
    let root = roots.next().expect("a root folder").expect("readable");
    assert!(roots.next().is_none());
    root.path()
}

/// Returns the content of a file of gzip(1).
pub fn gunzipped(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(path).output();
    let output = output.expect("gzip");
    assert!(output.status.success());
    output.stdout
}
