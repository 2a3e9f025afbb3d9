//! Names of backups: `.bak` and numbered ones beside a target, and the folders of a mount point's old children.

use std::path::{Path, PathBuf};

/// Returns the path at which the old file stays: the target's with `.bak` at its end.
pub fn backup_path(target: &Path) -> PathBuf {
    numbered(target, 0)
}

/// Returns the name of the backup with this number: `.bak`, `.bak.1`, `.bak.2` and so on.
pub fn numbered(target: &Path, number: u32) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    match number {
        0 => name.push(".bak"),
        number => name.push(format!(".bak.{number}")),
    }
    PathBuf::from(name)
}

/// The folder, in a folder that is a mount point, in which the old children stay.
const WITHIN: &str = ".hookshot-bak";

/// Returns the folder in the mount point `volume` that has this number: `.hookshot-bak`, `.hookshot-bak.1` and so on.
pub fn within(volume: &Path, number: u32) -> PathBuf {
    match number {
        0 => volume.join(WITHIN),
        number => volume.join(format!("{WITHIN}.{number}")),
    }
}

/// Returns the mount point whose child has the backup `path`, if it is such a one.
pub fn volume_of(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    let rest = folder.file_name()?.to_str()?.strip_prefix(WITHIN)?;
    let number = rest.strip_prefix('.').unwrap_or("0");
    let is_one = rest.is_empty() || (number.parse::<u32>().is_ok() && rest.starts_with('.'));
    folder.parent().filter(|_| is_one)
}

/// Returns true if `path` is a name that the backup of `target` may have.
pub fn is_backup_of(path: &Path, target: &Path) -> bool {
    if volume_of(path).is_some() && volume_of(path) == target.parent() {
        return path.file_name() == target.file_name();
    }
    let (path, target) = (path.as_os_str(), target.as_os_str());
    let rest = path
        .as_encoded_bytes()
        .strip_prefix(target.as_encoded_bytes());
    match rest.and_then(|rest| rest.strip_prefix(b".bak")) {
        Some(b"") => true,
        Some([b'.', first @ b'1'..=b'9', more @ ..]) => {
            first.is_ascii_digit() && more.len() < 6 && more.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// Returns the path of which `path` is the backup.
pub fn unnumbered(path: &Path) -> Option<PathBuf> {
    let text = path.to_str()?;
    let end = text.rfind(".bak")?;
    let base = PathBuf::from(&text[..end]);
    is_backup_of(path, &base).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_backups_are_names_of_backups() {
        let is = |name: &str| is_backup_of(Path::new(name), Path::new("/a/x"));
        for good in [
            "/a/x.bak",
            "/a/x.bak.1",
            "/a/x.bak.9",
            "/a/x.bak.10",
            "/a/.hookshot-bak/x",
            "/a/.hookshot-bak.2/x",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in [
            "/a/x",
            "/a/x.bak.",
            "/a/x.bak.0",
            "/a/x.bak.01",
            "/a/x.bak.1a",
            "/a/x.bak.-1",
            "/a/x.bak/1",
            "/a/.hookshot-bak/y",
            "/a/.hookshot-bak.x/x",
            "/a/.hookshot-bakery/x",
            "/b/.hookshot-bak/x",
            "/a/x.bak.1/b",
            "/a/y.bak",
            "/a/x.bak.12345678",
        ] {
            assert!(!is(bad), "{bad}");
        }
    }
}
