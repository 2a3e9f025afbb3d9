//! The things outside of hookshot that a configuration needs: commands, the network, credentials, variables.
//!
//! They decide how tight the sandbox of a unit can be. The text is searched as a whole, so that a section that a later
//! version adds is not forgotten.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use toml::{Table, Value};

use super::{
    schema::Schema,
    settings::Settings,
    text::{parse_toml, read_text},
};
use crate::{disk::folder_of, model::run_record::Job, source::service::is_unit, store::Address};

/// Keys of which a text, or a list of words, is a command.
const COMMANDS: [&str; 12] = [
    "run",
    "command",
    "export",
    "import",
    "prepare",
    "cleanup",
    "app_version_command",
    "active_command",
    "stop",
    "start",
    "probe",
    "health",
];
/// Sections whose commands and addresses are for restores alone: a drill is the only job with a schedule that uses them.
const OF_RESTORES: [&str; 2] = ["backup.import", "backup.drill"];
/// Sections in which no key is a command of the user.
const PLAIN: [&str; 3] = ["tags", "retention", "schedule"];

/// The things outside of hookshot that a configuration needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The keys with commands, as messages name them.
    pub commands: BTreeSet<String>,
    /// The keys for which the network is needed.
    pub network: BTreeSet<String>,
    /// Those of `commands` and `network` that restores alone use.
    of_restores: BTreeSet<String>,
    /// The names of systemd's credentials.
    pub credentials: BTreeSet<String>,
    /// The variables of the environment that hold secrets.
    pub variables: BTreeSet<String>,
    /// True if restic's variables give the password of a repository.
    pub restic: bool,
    /// Files that a job writes beside archives.
    pub files: BTreeSet<PathBuf>,
}

impl Needs {
    /// Reads the needs of a configuration, with those of the files that it includes.
    pub fn read(settings: &Settings) -> Result<Needs> {
        let text = read_text(&settings.config)?.unwrap_or_default();
        let folder = folder_of(&settings.config);
        let mut needs = Needs::of(&settings.schema, &text, &folder);
        let table = parse_toml(&text).unwrap_or_default();
        let backup = table.get("backup").and_then(Value::as_table);
        let included = backup.and_then(|backup| backup.get("include")?.as_array());
        for name in included.into_iter().flatten().filter_map(Value::as_str) {
            let path = folder.join(name);
            if let Some(text) = read_text(&path)? {
                needs.add(&text, &folder_of(&path));
            }
        }
        Ok(needs)
    }

    /// Returns the keys with commands that a job may run.
    pub fn commands_of(&self, job: Job) -> BTreeSet<String> {
        self.of_job(&self.commands, job)
    }

    /// Returns the keys for which a job needs the network.
    pub fn network_of(&self, job: Job) -> BTreeSet<String> {
        self.of_job(&self.network, job)
    }

    fn of_job(&self, keys: &BTreeSet<String>, job: Job) -> BTreeSet<String> {
        match job {
            Job::Drill | Job::Protect => keys.clone(),
            Job::Backup | Job::Prune | Job::Verify | Job::Status => {
                keys.difference(&self.of_restores).cloned().collect()
            }
        }
    }

    /// Returns the needs of the text of a configuration in `folder`; `schema` is its content.
    fn of(schema: &Schema, text: &str, folder: &Path) -> Needs {
        let mut needs = Needs::default();
        needs.add(text, folder);
        for (name, destination) in &schema.destinations {
            let asks_restic =
                destination.address.is_repository() && destination.repository.password.is_none();
            needs.restic |= destination.enabled && asks_restic;
            let is_folder = matches!(destination.address.place(), Address::Folder(_));
            if destination.enabled && !is_folder {
                needs
                    .network
                    .insert(format!("[backup.destinations.{name}]"));
            }
        }
        needs
    }

    /// Adds the needs that a file in `folder` names.
    fn add(&mut self, text: &str, folder: &Path) {
        let table = parse_toml(text).unwrap_or_default();
        if let Some(Value::Table(backup)) = table.get("backup") {
            self.search("backup", backup);
        }
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|file| folder.join(file)).collect();
    }

    fn search(&mut self, section: &str, table: &Table) {
        if table.get("enabled") == Some(&Value::Boolean(false)) {
            return;
        }
        if section == "backup.notify"
            && table.get("kind").and_then(Value::as_str) != Some("command")
        {
            self.network.insert("[[backup.notify]]".to_owned());
        }
        for (key, value) in table {
            let shown = format!("`{key}` under [{section}]");
            if OF_RESTORES.contains(&section) {
                self.of_restores.insert(shown.clone());
            }
            match value {
                Value::Table(below) if !PLAIN.contains(&key.as_str()) => {
                    self.search(&format!("{section}.{key}"), below);
                }
                Value::Array(values) => {
                    let below = values.iter().filter_map(Value::as_table);
                    below.for_each(|below| self.search(&format!("{section}.{key}"), below));
                    if COMMANDS.contains(&key.as_str()) && values.iter().any(Value::is_str) {
                        self.commands.insert(shown);
                    }
                }
                Value::String(text) => self.text(key, shown, text.trim()),
                _ => {}
            }
        }
    }

    fn text(&mut self, key: &str, shown: String, text: &str) {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        if let Some(name) = text.strip_prefix("credential:") {
            self.credentials.insert(name.trim().to_owned());
        } else if let Some(name) = text.strip_prefix("env:") {
            self.variables.insert(name.trim().to_owned());
        } else if text.starts_with("command:") {
            self.commands.insert(shown);
        } else if key == "prometheus_file" {
            self.files.insert(PathBuf::from(text));
        } else if key == "health" && is_url {
            self.network.insert(shown);
        } else if COMMANDS.contains(&key) || key == "service" && !is_unit(text) {
            self.commands.insert(shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(text: &str) -> Needs {
        Needs::of(&Schema::parse("").expect("good"), text, Path::new("/etc"))
    }

    fn commands(text: &str) -> Vec<String> {
        needs(text).commands.into_iter().collect()
    }

    #[test]
    fn every_command_of_a_configuration_is_found() {
        for (text, key) in [
            (
                "[[backup.hooks]]\nstage = \"before\"\nrun = \"x\"\n",
                "`run` under [backup.hooks]",
            ),
            (
                "[[backup.hooks]]\nrun = [\"x\", \"y\"]\n",
                "`run` under [backup.hooks]",
            ),
            ("[backup]\nprepare = \"x\"\n", "`prepare` under [backup]"),
            (
                "[backup]\nservice = \"pgrep app\"\n",
                "`service` under [backup]",
            ),
            (
                "[backup.import]\nstop = \"systemctl stop x\"\n",
                "`stop` under [backup.import]",
            ),
            (
                "[[backup.sources]]\nkind = \"command\"\nexport = \"x\"\n",
                "`export` under [backup.sources]",
            ),
            (
                "[backup.drill]\nprobe = \"x\"\n",
                "`probe` under [backup.drill]",
            ),
            (
                "[backup.destinations.a]\npassword = \"command:pass x\"\n",
                "`password` under [backup.destinations.a]",
            ),
            (
                "[[backup.notify]]\nkind = \"command\"\nrun = \"x\"\n",
                "`run` under [backup.notify]",
            ),
        ] {
            assert_eq!(commands(text), [key], "{text}");
        }
        for text in [
            "[other]\nrun = \"x\"\n",
            "[backup]\nservice = \"app.service\"\nto = [\"run\"]\n",
            "[backup.tags]\nrun = \"x\"\n",
            "[backup.import]\nhealth = \"http://127.0.0.1/\"\n",
            "[[backup.hooks]]\nrun = \"x\"\nenabled = false\n",
        ] {
            assert_eq!(commands(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn commands_of_restores_are_those_of_drills_alone() {
        let needs = needs(
            "[backup.import]\nstop = \"x\"\nhealth = \"http://127.0.0.1/\"\n[backup.drill]\nprobe = \"x\"\n\
            [[backup.hooks]]\nrun = \"x\"\n",
        );
        let hook = "`run` under [backup.hooks]".to_owned();
        for job in [Job::Backup, Job::Prune, Job::Verify, Job::Status] {
            assert_eq!(needs.commands_of(job), BTreeSet::from([hook.clone()]));
            assert_eq!(needs.network_of(job), BTreeSet::new());
        }
        assert_eq!(needs.commands_of(Job::Drill).len(), 3);
        assert_eq!(needs.network_of(Job::Drill).len(), 1);
    }

    #[test]
    fn network_credentials_and_variables_are_found() {
        let text = "[backup]\nprometheus_file = \"/srv/a.prom\"\n[backup.destinations.a]\nurl = \"sftp://host/a\"\n\
            password = \"credential:sftp\"\n[[backup.notify]]\nkind = \"ntfy\"\nurl = \"env:NTFY\"\n";
        let needs = needs(text);
        assert_eq!(
            needs.network.into_iter().collect::<Vec<_>>(),
            ["[[backup.notify]]"]
        );
        assert_eq!(needs.credentials.into_iter().collect::<Vec<_>>(), ["sftp"]);
        assert_eq!(needs.variables.into_iter().collect::<Vec<_>>(), ["NTFY"]);
        assert_eq!(needs.files.len(), 1);
        let text =
            "[backup.destinations.a]\nurl = \"s3://a/b\"\n[backup.destinations.b]\nurl = \"/b\"\n";
        let needs = Needs::of(&Schema::parse(text).expect("good"), text, Path::new("/etc"));
        assert_eq!(
            needs.network.into_iter().collect::<Vec<_>>(),
            ["[backup.destinations.a]"]
        );
    }
}
