//! The units that are installed: found again by the section that only hookshot writes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::names::{SECTION, plain};
use crate::{
    config::{absolute, elsewhere::tidy},
    context::Context,
    disk::{create_readable_folders, publish::publish_readable, real, remove_file, sync_folder},
    error::{Failure, Kind},
    model::run_record::Job,
};

/// The folder of the links by which timers are enabled.
const WANTS: &str = "timers.target.wants";
/// The timers of earlier versions, which users copied.
const OLD: &str = "hookshot-export";

/// The manager that starts the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// That of the system.
    System,
    /// That of the user.
    User,
}

/// The folder of the units of a manager.
#[derive(Debug, Clone)]
pub struct UnitFolder {
    /// The manager.
    pub scope: Scope,
    /// Its path.
    pub path: PathBuf,
    /// The folder that stands for `/`.
    root: PathBuf,
}

/// A unit of hookshot that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledUnit {
    /// The name of its file.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The configuration that it reads, as the unit writes it.
    pub config: String,
    /// Its job.
    pub job: Job,
}

impl UnitFolder {
    /// Returns the folder of a manager, below `root` instead of `/` if that is named.
    pub fn of(context: &Context, scope: Scope, root: Option<&Path>) -> Result<UnitFolder> {
        let root = tidy(&absolute(root.unwrap_or(Path::new("/")))?);
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        let path = match scope {
            Scope::System => below("etc/systemd/system"),
            Scope::User => {
                let environment = &context.environment;
                let folder = environment.get("XDG_CONFIG_HOME").map(str::to_owned);
                let home = || {
                    environment
                        .get("HOME")
                        .map(|home| format!("{home}/.config"))
                };
                let message = "HOME is not set: the folder of the user's units is unknown";
                let folder = folder.or_else(home);
                let folder = folder.ok_or_else(|| Failure::new(Kind::Usage, message))?;
                below(&folder).join("systemd/user")
            }
        };
        Ok(UnitFolder { scope, path, root })
    }

    /// Returns the folder that stands for `/`, if it is not that of this machine.
    pub fn elsewhere(&self) -> Option<&Path> {
        (self.root != Path::new("/")).then_some(&self.root)
    }

    /// Returns the path on this machine of a path by which the units know it.
    pub fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the path by which the units know a path of this machine. What is not below the root keeps its path.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let path = tidy(path);
        match path.strip_prefix(&self.root) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => path,
        }
    }

    /// Returns the folder of the configuration of a user's programs.
    pub fn user_folder(&self) -> &Path {
        let folder = self.path.parent().and_then(Path::parent);
        folder.unwrap_or(&self.path)
    }

    /// Returns true if the manager runs, so that systemctl(1) can be asked.
    pub fn is_running(&self, context: &Context) -> bool {
        match self.scope {
            // The user's manager of this machine is not that of another root.
            Scope::User if self.elsewhere().is_some() => false,
            Scope::System => self.root.join("run/systemd/system").is_dir(),
            Scope::User => {
                let folder = context.environment.get("XDG_RUNTIME_DIR");
                folder.is_some_and(|folder| Path::new(folder).join("systemd").is_dir())
            }
        }
    }

    /// Returns every unit of hookshot.
    pub fn units(&self) -> Result<Vec<InstalledUnit>> {
        let reading = || format!("cannot read {}", self.path.display());
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(reading)?,
        };
        let mut units = Vec::new();
        for entry in entries {
            let name = entry.with_context(reading)?.file_name();
            let Some(name) = name.to_str().filter(|name| {
                name.starts_with("hookshot-")
                    && (name.ends_with(".service") || name.ends_with(".timer"))
            }) else {
                continue;
            };
            let Ok(text) = fs::read_to_string(self.path.join(name)) else {
                continue;
            };
            units.extend(marked(name, text));
        }
        units.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(units)
    }

    /// Returns the units of a configuration, by whatever path they name it. It need not be there any more.
    pub fn units_of(&self, config: &Path) -> Result<Vec<InstalledUnit>> {
        let config = self.inside(config);
        let (name, path) = (plain(&config.to_string_lossy()), real(&self.below(&config)));
        let mut units = self.units()?;
        units.retain(|unit| {
            let other = unit.config.replace("%%", "%");
            unit.config == name || real(&self.below(Path::new(&other))) == path
        });
        Ok(units)
    }

    /// Writes a unit, for everybody to read. Returns false if it is there already.
    pub fn write(&self, name: &str, text: &str) -> Result<bool> {
        let path = self.path.join(name);
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        create_readable_folders(&self.path)
            .with_context(|| format!("cannot create {}", self.path.display()))?;
        publish_readable(&path, text.as_bytes())?;
        Ok(true)
    }

    /// Removes a unit, and the link that enables it.
    pub fn remove(&self, name: &str) -> Result<()> {
        for path in [self.link(name), self.path.join(name)] {
            remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Enables a timer from the next start of the manager on, as `systemctl enable` does.
    pub fn enable(&self, timer: &str) -> Result<()> {
        let link = self.link(timer);
        let folder = self.path.join(WANTS);
        let linked = create_readable_folders(&folder)
            .and_then(|()| std::os::unix::fs::symlink(format!("../{timer}"), &link));
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked
                .and_then(|()| sync_folder(&folder))
                .with_context(|| format!("cannot create {}", link.display())),
        }
    }

    /// Returns true if a timer is enabled.
    pub fn is_enabled(&self, timer: &str) -> bool {
        self.link(timer).symlink_metadata().is_ok()
    }

    fn link(&self, timer: &str) -> PathBuf {
        self.path.join(WANTS).join(timer)
    }

    /// Returns the enabled timers of earlier versions.
    pub fn old_timers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join(WANTS))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| {
                let rest = name
                    .strip_prefix(OLD)
                    .and_then(|rest| rest.strip_suffix(".timer"));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
            })
            .collect();
        names.sort();
        names
    }
}

/// Returns the unit, if hookshot wrote the text.
fn marked(name: &str, text: String) -> Option<InstalledUnit> {
    let (_, mark) = text.split_once(SECTION)?;
    let value = |key: &str| mark.lines().find_map(|line| line.strip_prefix(key));
    let config = value("Config=")?.to_owned();
    let job = value("Job=")?;
    let (_, job) = Job::NAMES.into_iter().find(|(name, _)| *name == job)?;
    Some(InstalledUnit {
        name: name.to_owned(),
        config,
        job,
        text,
    })
}
