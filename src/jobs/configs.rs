//! The configurations of several services: files, and those in folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    config::{DEFAULT_CONFIG, absolute, read_text},
    error::{Failure, Kind},
};

/// The name of a configuration in a folder of its own.
const CONFIG: &str = "config.toml";

/// Returns the configurations that `words` name, in order: a file is itself; a folder is its files `*.toml` with a
/// section `[backup]`, and `*/config.toml`.
pub fn find(words: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let default = [PathBuf::from(DEFAULT_CONFIG)];
    let words = if words.is_empty() {
        &default[..]
    } else {
        words
    };
    let mut configs = Vec::new();
    for word in words {
        let path = absolute(word)?;
        let found = match path.is_dir() {
            true => in_folder(&path)?,
            false => vec![path],
        };
        for config in found {
            if !configs.contains(&config) {
                configs.push(config);
            }
        }
    }
    Ok(configs)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("cannot read {}", folder.display());
    let mut configs = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        let below = path.join(CONFIG);
        if path.is_dir() && below.exists() {
            configs.push(below);
        } else if is_toml && path.is_file() && is_configuration(&path) {
            configs.push(path);
        }
    }
    if configs.is_empty() {
        let message = format!("no configuration is in {}", folder.display());
        return Err(Failure::new(Kind::NotFound, message)
            .hint("a configuration is a file *.toml with a section [backup], or NAME/config.toml")
            .into());
    }
    configs.sort();
    Ok(configs)
}

/// Returns true if a file has a section `[backup]`, or cannot be read: that is said later.
fn is_configuration(path: &Path) -> bool {
    let Ok(Some(text)) = read_text(path) else {
        return true;
    };
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| line.starts_with("[backup") || line.starts_with("[[backup"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{
        create_folders,
        publish::{Existing, publish},
    };

    #[test]
    fn a_folder_is_its_configurations() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            create_folders(path.parent().expect("a folder")).expect("made");
            publish(&path, text.as_bytes(), Existing::Keep).expect("written");
            path
        };
        assert!(find(&[folder.path().to_owned()]).is_err());
        let b = write("b.toml", "[backup]\n");
        let a = write("a/config.toml", "");
        write("services.toml", "[[service]]\n");
        write("notes.txt", "[backup]\n");
        let found = find(&[b.clone(), folder.path().to_owned()]).expect("found");
        assert_eq!(found, [b, a]);
        assert_eq!(find(&[]).expect("found"), [PathBuf::from(DEFAULT_CONFIG)]);
    }
}
