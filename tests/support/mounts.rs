//! File systems of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns true for root; else says that `what` is skipped. A complete run as root skips nothing.
pub fn is_root(what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("skipped: {what} needs root");
    }
    is_root
}

/// A file system at a folder, until this value goes.
pub struct Mounted(PathBuf);

impl Mounted {
    /// A small one in memory.
    pub fn tmpfs(folder: &Path, size: &str) -> Mounted {
        let options = format!("size={size},mode=0755");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder).expect("cannot mount a tmpfs");
        Mounted(folder.to_owned())
    }

    /// A fresh ext4 of 32 MiB with so many inodes, in the file `image`; says why where the machine has none.
    pub fn ext4(image: &Path, folder: &Path, inodes: u32) -> Result<Mounted, String> {
        let inodes = inodes.to_string();
        Mounted::made(image, folder, 32 << 20, "ext4", &["-F", "-N", &inodes])
    }

    /// A fresh one of a `kind` that shares blocks between files, in the file `image`; says why where the machine has
    /// none.
    pub fn image(kind: &str, image: &Path, folder: &Path) -> Result<Mounted, String> {
        Mounted::made(image, folder, 320 << 20, kind, &[])
    }

    fn made(
        image: &Path,
        folder: &Path,
        bytes: u64,
        kind: &str,
        options: &[&str],
    ) -> Result<Mounted, String> {
        // An earlier one may still be mounted elsewhere, in a mount namespace of another test.
        let _ = fs::remove_file(image);
        let file = fs::File::create_new(image).expect("a file");
        file.set_len(bytes).expect("room");
        let made = Command::new(format!("mkfs.{kind}"))
            .arg("-q")
            .args(options)
            .arg(image)
            .output();
        let made = made.map_err(|error| format!("mkfs.{kind}: {error}"))?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        mount(&["-o", "loop", &image.display().to_string()], folder)?;
        Ok(Mounted(folder.to_owned()))
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let run = Command::new("mount").args(arguments).arg(folder).output();
    let run = run.map_err(|error| format!("mount: {error}"))?;
    if run.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&run.stderr).into_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
