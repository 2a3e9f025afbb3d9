//! Secret values of the configuration: given as they are, or by a reference to where they are found
//! (docs/destinations.md, "Secrets").

use std::{
    cell::Cell,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::text::read_text;
use crate::{
    disk::{folder_of, open_regular},
    error::{Failure, Kind},
    model::{secret_forms::of_header, secret_url::secret_parts},
    store::{
        Environment, Secret,
        shape::{NOT_UTF8, Shape},
    },
    work::{
        cancel::Advance,
        session,
        shell::{Line, Masks, Runner},
    },
};

/// The largest output of a command, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// The time after which the log says which command is waited for.
const SILENCE: Duration = Duration::from_secs(3);

/// The kinds of references, with their colon.
const REFERENCES: [&str; 4] = ["file:", "credential:", "env:", "command:"];

/// The surroundings in which references are resolved.
pub struct Lookup<'a> {
    /// The configuration file; paths are relative to its folder.
    pub config: &'a Path,
    /// The variables of the environment.
    pub environment: &'a Environment,
    /// Runs commands, and learns the secrets to mask.
    pub runner: &'a Runner,
    /// The time limit of a command.
    pub limit: Duration,
    /// Ends a command if the run is cancelled.
    pub advance: &'a Advance<'a>,
}

/// A secret as the configuration has it: the value itself, or a reference to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenSecret {
    /// Its key in the configuration.
    pub key: &'static str,
    /// The form of its value.
    pub form: SecretForm,
    /// Its text in the configuration.
    pub text: Secret,
}

/// The form of a secret's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// A key, a token, or a URL with a password.
    Key,
    /// A URL with a key in its path or its query, or with a login.
    Url,
    /// The value of a header of HTTP.
    Header,
    /// The name of a key, which is in every log of its provider.
    KeyName,
    /// One line of any characters.
    Line,
    /// JSON.
    Json,
    /// The text itself, which is neither secret nor a reference.
    Plain,
}

impl WrittenSecret {
    /// Returns true if it can be resolved without running a command.
    pub fn is_at_hand(&self) -> bool {
        self.form == SecretForm::Plain || !self.text.reveal().starts_with("command:")
    }

    /// Returns true if the configuration refers to another place.
    pub fn is_elsewhere(&self) -> bool {
        self.form != SecretForm::Plain && is_reference(self.text.reveal())
    }

    /// Adds the value to `masks`, and the parts of it that are secrets by themselves.
    pub(super) fn mask(&self, value: &str, masks: &Masks) {
        if !self.is_confidential() {
            return;
        }
        masks.add(value);
        let parts = match self.form {
            SecretForm::Url => secret_parts(value),
            SecretForm::Header => of_header(value),
            _ => Vec::new(),
        };
        parts.iter().for_each(|part| masks.add(part));
    }

    /// Returns false for the name of a key, and for a text that holds no secret.
    fn is_confidential(&self) -> bool {
        !matches!(self.form, SecretForm::KeyName | SecretForm::Plain)
    }
}

/// Returns true if a value refers to another place.
pub fn is_reference(written: &str) -> bool {
    REFERENCES.iter().any(|kind| written.starts_with(kind))
}

/// Reads a value: without what stands around it, and checked; `None` if it is empty.
pub fn read(written: &WrittenSecret, value: &str) -> Result<Option<Secret>, Failure> {
    let value = match written.form {
        SecretForm::Plain => Ok(Some(value.to_owned())),
        // It may begin and end with anything but line breaks.
        SecretForm::Line | SecretForm::Header => line(value),
        SecretForm::Json => match serde_json::from_str::<serde_json::Value>(value) {
            Err(_) if !value.trim().is_empty() => Err("is not JSON".to_owned()),
            _ => Shape::Lines.read(value),
        },
        SecretForm::Key | SecretForm::Url | SecretForm::KeyName => Shape::Key.read(value),
    };
    let refuse = |fault| Failure::new(Kind::Usage, format!("`{}` {fault}", written.key));
    Ok(value.map_err(refuse)?.map(Secret::new))
}

/// Reads a value as [`read`] does. An empty one is refused.
pub fn read_required(written: &WrittenSecret, value: &str) -> Result<Secret, Failure> {
    read(written, value)?.ok_or_else(|| refused(written, "it is empty"))
}

impl Lookup<'_> {
    /// Resolves a value: `file:PATH`, `credential:NAME`, `env:NAME`, `command:...`, or the value itself.
    ///
    /// Errors name the place and never the value.
    pub fn resolve(&self, written: &WrittenSecret) -> Result<Secret> {
        let value = self.find(written)?;
        Ok(read_required(written, &value)?)
    }

    /// Returns the value of a secret without the blanks around it, if a file or a command tells it: restic reads passwords
    /// so.
    pub fn resolve_trimmed(&self, written: &WrittenSecret) -> Result<Secret> {
        let value = self.find(written)?;
        let text = written.text.reveal();
        let is_told = ["file:", "command:", "credential:"]
            .iter()
            .any(|kind| text.starts_with(kind));
        match is_told {
            true => Ok(read_required(written, value.trim())?),
            false => Ok(read_required(written, &value)?),
        }
    }

    /// Returns the path of a file that the configuration names, relative to its folder.
    pub fn path(&self, written: Option<&Path>) -> Option<PathBuf> {
        Some(folder_of(self.config).join(written?))
    }

    /// Returns a value as it is found, unchecked.
    pub fn find(&self, written: &WrittenSecret) -> Result<Zeroizing<String>> {
        let text = written.text.reveal();
        if written.form == SecretForm::Plain {
            return Ok(Zeroizing::new(text.to_owned()));
        }
        let variable = |wanted: &str| {
            let mut variables = self.environment.variables.iter();
            let found = variables.find(|(known, _)| known == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let from_file = |path: &Path| -> Result<String> {
            let missing = || refused(written, format!("{} does not exist", path.display()));
            Ok(read_text(path)?.ok_or_else(missing)?)
        };
        let (kind, rest) = text.split_once(':').unwrap_or_default();
        let value = match kind {
            "file" => {
                let path = folder_of(self.config).join(rest);
                private(&path).map_err(|why| refused(written, why))?;
                from_file(&path)?
            }
            "credential" => {
                let folder = variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    refused(written, "$CREDENTIALS_DIRECTORY is not set; systemd sets it for units with LoadCredential=")
                })?;
                if rest.is_empty() || rest.contains('/') || rest.starts_with('.') {
                    return Err(refused(written, "a credential's name has no slash").into());
                }
                from_file(&Path::new(folder).join(rest))?
            }
            "env" => variable(rest)
                .ok_or_else(|| refused(written, format!("the variable {rest} is not set")))?
                .to_owned(),
            "command" => self
                .output_of(written, rest)?
                .map_err(|why| refused(written, why))?,
            _ => {
                let place = format!("{} {}", self.config.display(), written.key);
                if written.is_confidential() && self.environment.said.is_new(place) {
                    warn!(
                        file = %self.config.display(),
                        key = written.key,
                        "A secret stands in the configuration itself; file:, credential:, env: or command: would keep it apart"
                    );
                }
                text.to_owned()
            }
        };
        let value = Zeroizing::new(value);
        written.mask(&value, &self.runner.masks);
        Ok(value)
    }

    /// Returns the output of a command, or the reason if there is none; an interruption is an error.
    fn output_of(&self, written: &WrittenSecret, command: &str) -> Result<Result<String, String>> {
        let (line, begun, is_said) = (Line::new(command, None), Instant::now(), Cell::new(false));
        let advance = |bytes: u64| {
            if begun.elapsed() >= SILENCE && !is_said.replace(true) {
                info!("Waiting for the command of `{}`", written.key);
            }
            (self.advance)(bytes)
        };
        let output = self
            .runner
            .secret(line, self.limit, MOST_BYTES + 1, &advance)?;
        Ok(match output {
            Err(why) => Err(format!("{why}; {}", session::HINT)),
            Ok(bytes) if bytes.len() > MOST_BYTES => Err(format!(
                "its command prints more than {} KiB",
                MOST_BYTES >> 10
            )),
            Ok(bytes) => {
                String::from_utf8(bytes).map_err(|_| "its command prints no text".to_owned())
            }
        })
    }
}

fn refused(written: &WrittenSecret, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("`{}` cannot be read: {why}", written.key),
    )
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

/// Refuses a file that others can read.
pub fn private(path: &Path) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_are_said_to_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        crate::disk::publish::publish(&path, b"from-file\n", crate::disk::publish::Existing::Keep)
            .expect("written");
        let environment = Environment {
            variables: vec![
                ("KEY".to_owned(), "from-env".to_owned()),
                (
                    "CREDENTIALS_DIRECTORY".to_owned(),
                    folder.path().display().to_string(),
                ),
            ],
            ..Environment::default()
        };
        let go = |_: u64| Ok(());
        let config = folder.path().join("config.toml");
        let lookup = Lookup {
            config: &config,
            environment: &environment,
            runner: &Runner::default(),
            limit: Duration::from_secs(60),
            advance: &go,
        };
        let find = |written: &str| {
            lookup.resolve(&WrittenSecret {
                key: "account_key",
                form: SecretForm::Key,
                text: Secret::new(written),
            })
        };
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
