//! The content of config.toml, with every fault named and no value ever repeated: it may be a secret.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use toml::{Table, Value};

use super::{
    delivery::{self, Delivery},
    destinations::{self, DestinationSettings},
    drill::{self, DrillSettings},
    encryption::{self, EncryptionSettings},
    foreign,
    health::{self, HealthSettings},
    hooks::{self, COMMAND_TIMEOUT, Hook},
    import::{self, ImportSettings},
    notify::{self, Notification},
    reader::{self, Completeness, Section},
    retention::{self, Retention},
    schedule::{self, AgentSettings, Schedule, TimerSettings},
    serve::{self, ServeSettings},
    sources::Source,
    sources_section,
    text::parse_toml,
};
use crate::{
    archive::writer::Level,
    model::{
        archive_name::{DEFAULT_PREFIX, is_prefix},
        method::Method,
        version::VersionRule,
    },
};

/// The content of the file; what it does not say has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `[storage] data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `[secrets] file`.
    pub secrets_file: Option<PathBuf>,
    /// `[logging] level`.
    pub log_level: Option<String>,
    /// `[logging] format`.
    pub log_format: Option<String>,
    /// `[backup] app`: the name of what is exported.
    pub app: String,
    /// `[backup] app_version`.
    pub app_version: Option<String>,
    /// `[backup] app_version_command`: prints it.
    pub app_version_command: Option<String>,
    /// `[backup] version_rule`: the versions of it that an import accepts.
    pub version_rule: VersionRule,
    /// `[backup] service`: the systemd unit, or the command, that tells whether the service runs.
    pub service: Option<String>,
    /// `[backup] prefix`: the beginning of the names of archives.
    pub prefix: String,
    /// `[backup] level`: the level of compression.
    pub level: Level,
    /// `[backup] snapshot`: the method by which the database is copied.
    pub snapshot: Method,
    /// `[backup] compact`: true if its copy is made as small as redb can make it.
    pub compact: bool,
    /// `[backup.tags]`: labels of every archive.
    pub tags: BTreeMap<String, String>,
    /// `[backup.destinations.NAME]`: the destinations of archives.
    pub destinations: BTreeMap<String, DestinationSettings>,
    /// `[backup.encryption]`: the recipients of archives, and the keys that open them.
    pub encryption: EncryptionSettings,
    /// `[backup.retention]`: the policy of destinations without one of their own.
    pub retention: Retention,
    /// `[[backup.sources]]`: the parts of the state; `None` if it is that of a hookshot service.
    pub sources: Option<Vec<Source>>,
    /// `[backup] include_config`: true if the configuration file is archived.
    pub include_config: bool,
    /// `[backup] to`: the destinations that exports and backups go to unless something else is said.
    pub to: Vec<String>,
    /// `[backup] exclude`: patterns of what every directory leaves out; those of the directory come after them.
    pub exclude: Vec<String>,
    /// `[backup] prepare`: a command that an export runs before anything else.
    pub prepare: Option<String>,
    /// `[backup] cleanup`: a command that it runs at its end, whatever became of it.
    pub cleanup: Option<String>,
    /// `[backup] prepare_timeout`: the time limit of each command around an export.
    pub prepare_timeout: Duration,
    /// `[[backup.hooks]]`: commands around jobs.
    pub hooks: Vec<Hook>,
    /// `[backup.import]`: how the service is stopped, started and asked for its health.
    pub import: ImportSettings,
    /// `[[backup.notify]]`: messages about runs.
    pub notify: Vec<Notification>,
    /// `[backup.schedule]`: when jobs start.
    pub schedule: Schedule,
    /// `[backup.timer]`: the units of systemd that start them.
    pub timer: TimerSettings,
    /// `[backup.agent]`: the agent that starts them.
    pub agent: AgentSettings,
    /// `[backup.serve]`: the server of pages and of the REST API.
    pub serve: ServeSettings,
    /// `[[serve.configs]]`: further configurations that the server looks after.
    pub served: Vec<PathBuf>,
    /// `[backup] deliver_within` and `max_unchanged`.
    pub delivery: Delivery,
    /// `[backup] max_age` and `prometheus_file`: the limits of health.
    pub health: HealthSettings,
    /// `[backup.drill]`: rehearsed restores.
    pub drill: DrillSettings,
    /// `[backup] include`: files of what several services share.
    pub include: Vec<String>,
    /// True if there is a section `[backup]` at all.
    pub has_backup: bool,
}

/// The keys of the service that hookshot reads.
#[derive(Default)]
struct Service {
    data_dir: Option<PathBuf>,
    secrets_file: Option<PathBuf>,
    log_level: Option<String>,
    log_format: Option<String>,
}

/// Returns every key that the configuration may have, each with its section: `backup.destinations.NAME` for any NAME.
pub fn keys() -> Vec<(String, &'static str)> {
    reader::survey(read)
}

impl Schema {
    /// Reads the text of a configuration file, or names every fault in it. What it leaves to the files that it includes
    /// is not missed.
    pub fn parse(text: &str) -> Result<Schema, Vec<String>> {
        let table = parse_toml(text).map_err(|fault| vec![fault])?;
        read_table(&table)
    }

    /// Returns the keys under `[backup]` that say something else here than in `other`; `None` if all say the same.
    pub fn backup_differences(&self, other: &Schema) -> Option<Vec<&'static str>> {
        let keys = self.compared(other).into_iter();
        let keys = keys.filter(|(_, is_same)| !is_same);
        let differing: Vec<&str> = keys.map(|(key, _)| key).collect();
        // A section that says nothing is as good as none.
        (!differing.is_empty()).then_some(differing)
    }

    /// Compares every key under `[backup]`. A field that this does not name does not compile.
    fn compared(&self, other: &Schema) -> Vec<(&'static str, bool)> {
        macro_rules! compared {
            (but $($left_out:ident),*; $($key:ident),* $(,)?) => {{
                let Schema { $($left_out: _,)* $($key),* } = self;
                vec![$((stringify!($key), *$key == other.$key)),*]
            }};
        }
        let (here, there) = (&self.health, &other.health);
        let mut compared = compared![
            but data_dir, secrets_file, log_level, log_format, has_backup, served, delivery, health;
            app,
            app_version,
            app_version_command,
            version_rule,
            service,
            prefix,
            level,
            snapshot,
            compact,
            tags,
            destinations,
            encryption,
            retention,
            sources,
            include_config,
            to,
            exclude,
            prepare,
            cleanup,
            prepare_timeout,
            hooks,
            import,
            notify,
            schedule,
            timer,
            agent,
            serve,
            drill,
            include,
        ];
        compared.extend([
            ("max_age", here.max_age == there.max_age),
            (
                "prometheus_file",
                here.prometheus_file == there.prometheus_file,
            ),
        ]);
        let (here, there) = (self.delivery, other.delivery);
        compared.push(("deliver_within", here.within == there.within));
        compared.push(("max_unchanged", here.max_unchanged == there.max_unchanged));
        compared
    }
}

/// Returns the files that a configuration includes. A fault of the list itself is found when it is read.
pub(super) fn included_by(table: &Table) -> Vec<&str> {
    let backup = table.get("backup").and_then(Value::as_table);
    let names = backup.and_then(|backup| backup.get("include")?.as_array());
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Reads one file. What it leaves to the files that it includes is not missed.
pub(super) fn read_table(table: &Table) -> Result<Schema, Vec<String>> {
    let completeness = match included_by(table).is_empty() {
        true => Completeness::Whole,
        false => Completeness::Part,
    };
    reader::read_table(table, completeness, read)
}

pub(super) fn read(root: &Section<'_>) -> Schema {
    // Every other section is the service's.
    root.share();
    let mut service = Service::default();
    root.section("storage", |section| {
        section.share();
        service.data_dir = section.path("data_dir");
    });
    root.section("secrets", |section| {
        section.share();
        service.secrets_file = section.path("file");
    });
    root.section("logging", |section| {
        section.share();
        // The service may know more levels and formats than hookshot: those are its own affair.
        let text = |key| section.value(key)?.as_str().map(str::to_owned);
        service.log_level = text("level");
        service.log_format = text("format");
    });
    let Service {
        data_dir,
        secrets_file,
        log_level,
        log_format,
    } = service;
    let has_backup = root.value("backup").is_some();
    let served = serve::read_configs(root);
    Schema {
        data_dir,
        secrets_file,
        log_level,
        log_format,
        has_backup,
        served,
        ..root.section_or_empty("backup", backup)
    }
}

/// Reads `[backup]`.
fn backup(section: &Section<'_>) -> Schema {
    section.foreign(&foreign::OF_BACKUP);
    let retention = section.section("retention", retention::read);
    let destinations = destinations::read(section);
    let to = destinations::read_to(section, &destinations);
    let exclude = section.list("exclude");
    section.check_patterns(&[], &exclude);
    let level = format!("a number from 0 to {}", Level::MAX);
    let level = section.number("level", &level, |level| Level::new(*level).is_some());
    let prepare_timeout = section.limit("prepare_timeout");
    Schema {
        data_dir: None,
        secrets_file: None,
        log_level: None,
        log_format: None,
        has_backup: true,
        served: Vec::new(),
        app: app(section),
        app_version: section.text("app_version"),
        app_version_command: section.text("app_version_command"),
        version_rule: section
            .word("version_rule", &VersionRule::NAMES)
            .unwrap_or(VersionRule::Any),
        service: section.text("service"),
        prefix: prefix(section),
        level: level.and_then(Level::new).unwrap_or(Level::DEFAULT),
        snapshot: section
            .word("snapshot", &Method::NAMES)
            .unwrap_or(Method::Auto),
        compact: section.flag("compact").unwrap_or(false),
        tags: section.strings("tags"),
        sources: sources_section::read(section),
        include_config: section.flag("include_config").unwrap_or(true),
        destinations,
        encryption: (section.section("encryption", encryption::read)).unwrap_or_default(),
        retention: retention.unwrap_or_default(),
        to,
        exclude,
        prepare: section.text("prepare"),
        cleanup: section.text("cleanup"),
        prepare_timeout: prepare_timeout.unwrap_or(COMMAND_TIMEOUT),
        hooks: hooks::read(section),
        import: (section.section("import", import::read)).unwrap_or_default(),
        notify: notify::read(section),
        schedule: (section.section("schedule", schedule::read)).unwrap_or_default(),
        timer: (section.section("timer", schedule::read_timer)).unwrap_or_default(),
        agent: (section.section("agent", schedule::read_agent)).unwrap_or_default(),
        serve: (section.section("serve", serve::read)).unwrap_or_default(),
        delivery: delivery::read(section),
        health: health::read(section),
        drill: (section.section("drill", drill::read)).unwrap_or_default(),
        include: section.list("include"),
    }
}

fn app(section: &Section<'_>) -> String {
    let app = section.text("app");
    if app
        .as_ref()
        .is_some_and(|app| app.contains(char::is_control))
    {
        section.fault("app", "holds a line break or a control character");
    }
    app.unwrap_or_else(|| "hookshot".to_owned())
}

fn prefix(section: &Section<'_>) -> String {
    let prefix = section.text("prefix");
    let prefix = prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
    if !is_prefix(&prefix) {
        section.fault(
            "prefix",
            "may have letters, digits, `.`, `_` and `-`, at most 100",
        );
    }
    prefix
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_under_backup_that_is_read_is_compared() {
        let schema = Schema::parse("").expect("good");
        let compared: BTreeSet<&str> = schema.compared(&schema).iter().map(|one| one.0).collect();
        let keys = keys();
        let read = keys.iter().filter(|(section, _)| section == "backup");
        assert_eq!(compared, read.map(|(_, key)| *key).collect());
        let other = Schema::parse("[backup]\nservice = \"x.service\"\n").expect("good");
        assert_eq!(other.backup_differences(&schema), Some(vec!["service"]));
    }

    #[test]
    fn the_sections_of_the_service_are_let_be() {
        let schema = Schema::parse(
            "[server]\nlisten = \"x\"\n[storage]\ndata_dir = \"/srv\"\nother = 1\n[logging]\nformat = \"pretty\"\n",
        );
        assert_eq!(schema.expect("good").data_dir, Some(PathBuf::from("/srv")));
        assert_eq!(Schema::parse("").expect("good").prefix, DEFAULT_PREFIX);
    }

    #[test]
    fn only_what_stands_under_backup_makes_a_difference_there() {
        let schema = |text: &str| Schema::parse(text).expect("good");
        let here = schema("[storage]\ndata_dir = \"/a\"\n[backup]\nprefix = \"x\"\n");
        assert!(here.has_backup && !schema("[storage]\n").has_backup);
        let same = "[storage]\ndata_dir = \"/b\"\n[logging]\nlevel = \"debug\"\n[backup]\nprefix = 'x'\nlevel = 5\n";
        let same = Schema {
            level: here.level,
            ..schema(same)
        };
        assert_eq!(here.backup_differences(&same), None);
        let other = "[backup]\nto = [\"y\"]\n[backup.destinations.y]\nurl = \"/y\"\n";
        assert_eq!(
            here.backup_differences(&schema(other)),
            Some(vec!["prefix", "destinations", "to"])
        );
    }

    #[test]
    fn an_app_is_one_line() {
        for app in ["a\\nb", "a\\u0007b", "a\\u0000b"] {
            let faults = Schema::parse(&format!("[backup]\napp = \"{app}\"\n"));
            let faults = faults.expect_err("bad");
            assert!(faults[0].contains("`app` under [backup] holds a line break"));
        }
    }

    #[test]
    fn every_fault_is_named_with_the_nearest_right_key() {
        let faults = Schema::parse(
            "storage = 1\n[backup]\nprefx = \"a\"\nlevel = 13\nprefix = \"a/b\"\n\
            tags = { a = 1 }\n",
        )
        .expect_err("bad");
        let all = faults.join("\n");
        for says in [
            "`storage` must be a section",
            "unknown key `prefx` under [backup]; did you mean `prefix`?",
            "`level`",
            "`prefix` under",
            "`a` under [backup.tags]",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert_eq!(faults.len(), 5);
    }
}
