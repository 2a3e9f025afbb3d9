//! Values that nobody may see: given as they are, or as where they are found (docs/destinations.md, "Secrets").

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use tracing::warn;

use crate::{
    config::{Settings, read_text},
    disk::{folder_of, open_regular},
    error::{Failure, Kind},
    source::command::{Step, output},
    store::{
        Environment, Secret,
        shape::{NOT_UTF8, Shape},
    },
    work::{session, shell::Line},
};

/// As much may a command print.
const MOST_BYTES: usize = 64 << 10;

/// Looks a value up: `file:PATH`, `credential:NAME`, `env:NAME`, `command:…`, or the value itself.
///
/// Errors name the place and never the value.
pub fn look_up(
    written: &Secret,
    key: &str,
    settings: &Settings,
    environment: &Environment,
    step: &Step<'_>,
) -> Result<Secret> {
    let value = find(written, key, settings, environment, step)?;
    let empty = || Failure::new(Kind::Usage, format!("`{key}` cannot be had: it is empty"));
    Ok(read(key, &value)?.ok_or_else(empty)?)
}

/// Reads a value: without what stands around it, and checked; `None` if it is empty.
pub fn read(key: &str, value: &str) -> Result<Option<Secret>, Failure> {
    let value = match key {
        // It may begin and end with anything but line breaks.
        "password" => line(value),
        "service_account_key" => match serde_json::from_str::<serde_json::Value>(value) {
            Err(_) if !value.trim().is_empty() => Err("is not JSON".to_owned()),
            _ => Shape::Lines.read(value),
        },
        _ => Shape::Key.read(value),
    };
    match value {
        Ok(value) => Ok(value.map(Secret::new)),
        Err(fault) => Err(Failure::new(Kind::Usage, format!("`{key}` {fault}"))),
    }
}

/// Finds a value, as it is.
pub fn find(
    written: &Secret,
    key: &str,
    settings: &Settings,
    environment: &Environment,
    step: &Step<'_>,
) -> Result<String> {
    let refuse = |why: String| Failure::new(Kind::Usage, format!("`{key}` cannot be had: {why}"));
    let variable = |name: &str| {
        let found = environment
            .variables
            .iter()
            .find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let from_file = |path: &Path| -> Result<String> {
        let text = read_text(path)?;
        Ok(text.ok_or_else(|| refuse(format!("there is no {}", path.display())))?)
    };
    let (kind, rest) = written.reveal().split_once(':').unwrap_or_default();
    Ok(match kind {
        "file" => {
            let path = folder_of(&settings.config).join(rest);
            private(&path).map_err(refuse)?;
            from_file(&path)?
        }
        "credential" => {
            let folder = variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                refuse("there is no $CREDENTIALS_DIRECTORY; systemd sets it for units with LoadCredential=".to_owned())
            })?;
            if rest.is_empty() || rest.contains('/') || rest.starts_with('.') {
                return Err(refuse("a credential's name has no slash".to_owned()).into());
            }
            from_file(&Path::new(folder).join(rest))?
        }
        "env" => variable(rest)
            .ok_or_else(|| refuse(format!("there is no variable {rest}")))?
            .to_owned(),
        "command" => output_of(rest, step)?.map_err(refuse)?,
        _ => {
            // The name of a key is in every log of its provider.
            if key != "access_key_id" {
                warn!(
                    key,
                    "A secret stands in the configuration itself; file:, credential:, env: or command: would keep it apart"
                );
            }
            written.reveal().to_owned()
        }
    })
}

fn line(value: &str) -> Result<Option<String>, String> {
    let value = value.trim_matches(['\n', '\r']);
    if value.contains(NOT_UTF8) {
        return Err("holds bytes that are not UTF-8".to_owned());
    }
    if value.contains(char::is_control) {
        return Err("holds a line break or a control character".to_owned());
    }
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// True if a secret can be looked up without running a command.
pub fn is_at_hand(written: &Secret) -> bool {
    !written.reveal().starts_with("command:")
}

/// Refuses a file that others can read.
fn private(path: &Path) -> Result<(), String> {
    let file = open_regular(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mode = file
        .metadata()
        .map(|metadata| metadata.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 == 0 => Ok(()),
        Ok(_) => Err(format!(
            "others can read {}; `chmod 600` it",
            path.display()
        )),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Returns the output of a command, or why there is none; an interruption is an error.
fn output_of(command: &str, step: &Step<'_>) -> Result<Result<String, String>> {
    let (status, said) = output(Line::new(command, None), MOST_BYTES + 1, step)?;
    if !status.success() {
        return Ok(Err(format!(
            "its command failed, {status}; {}",
            session::HINT
        )));
    }
    if said.len() > MOST_BYTES {
        return Ok(Err(format!(
            "its command prints more than {} KiB",
            MOST_BYTES >> 10
        )));
    }
    let text = String::from_utf8(said);
    Ok(text.map_err(|_| "its command prints no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Choices;

    #[test]
    fn values_are_found_where_they_are_said_to_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        crate::disk::publish::publish(&path, b"from-file\n", crate::disk::publish::Existing::Keep)
            .expect("written");
        let settings = Settings::load(&Choices {
            config: Some(folder.path().join("config.toml")),
            ..Choices::default()
        })
        .expect("settings");
        let environment = Environment {
            variables: vec![
                ("KEY".to_owned(), "from-env".to_owned()),
                (
                    "CREDENTIALS_DIRECTORY".to_owned(),
                    folder.path().display().to_string(),
                ),
            ],
        };
        let go = |_: u64| Ok(());
        let find =
            |written: &str| look_up(&Secret::new(written), "key", &settings, &environment, &go);
        for (written, value) in [
            ("file:key", "from-file"),
            ("credential:key", "from-file"),
            ("env:KEY", "from-env"),
            ("command:printf from-command", "from-command"),
            ("hunter2", "hunter2"),
            ("hunter:2", "hunter:2"),
        ] {
            assert_eq!(find(written).expect(written).reveal(), value);
        }
        for wrong in [
            "file:none",
            "credential:../key",
            "env:NONE",
            "command:exit 3",
            "command:true",
            "command:head -c 65537 /dev/zero | tr '\\0' x",
        ] {
            let error = find(wrong).expect_err(wrong);
            assert_eq!(Failure::of(&error).kind, Kind::Usage, "{error:#}");
        }
        let open = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&path, open).expect("changed");
        let error = format!("{:#}", find("file:key").expect_err("others can read it"));
        assert!(
            error.contains("chmod 600") && !error.contains("from-file"),
            "{error}"
        );
    }
}
