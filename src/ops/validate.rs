//! `validate`: is the configuration good?

mod cautions;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use serde::Serialize;

use self::cautions::Cautions;
use crate::{
    catalog::{destination::Destination, target::Target},
    config::{
        Choices, Settings,
        destinations::DestinationSettings,
        include::{Layers, Missing},
        parse_toml, read_text,
        schema::Schema,
        sources::{SECRETS, Source},
    },
    context::Context,
    disk::{
        dangling, folder_of, real,
        tree::{
            beneath::{NodeKind, Top},
            walk::{Met, walk},
        },
    },
    error::{Failure, Kind},
    machine::contents,
    model::{plan::Privacy, written::escaped},
    ops::{export::PresentState, references::unresolved, shown::ShownSetting},
    source::behavior::TextRule,
    store::Address,
};

/// The results of the validation.
#[derive(Debug, Serialize)]
pub struct ValidateReport {
    /// True if nothing is wrong.
    pub good: bool,
    /// The files that were inspected.
    pub files: Vec<String>,
    /// Those of them that are not UTF-8, percent-encoded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_escaped: Vec<String>,
    /// The faults.
    pub faults: Vec<String>,
    /// The warnings: settings that may be intended or not.
    pub warnings: Vec<String>,
    /// The sources that are not configuration files, and what they hold.
    pub sources: Vec<ValidatedSource>,
    /// The destinations of `to`, each with its address, as messages name them.
    pub destinations: Vec<String>,
    /// The parts of the configuration that are disabled.
    pub disabled: Vec<String>,
    /// Every setting in force, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Vec<ShownSetting>>,
    /// The state of this machine, if it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PresentState>,
}

/// The contents of a source.
#[derive(Debug, Serialize)]
pub struct ValidatedSource {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its path; nothing for a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_escaped: Option<String>,
    /// The number of files; nothing for a command, and for what is not there or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of a command: whether an import gives the entry to a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_import: Option<bool>,
}

/// Reads every configuration file and names everything that is wrong.
pub fn validate(context: &Context, choices: &Choices) -> Result<ValidateReport> {
    let mut report = ValidateReport {
        good: false,
        files: Vec::new(),
        files_escaped: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        sources: Vec::new(),
        destinations: Vec::new(),
        disabled: Vec::new(),
        settings: None,
        state: None,
    };
    let config = choices.config_path()?;
    report.files.push(config.display().to_string());
    report.files_escaped.extend(escaped(&config));
    match read_text(&config)? {
        None => report
            .faults
            .push(format!("{} does not exist", config.display())),
        Some(text) => {
            let place = |path| choices.elsewhere.said(path);
            let folder = folder_of(&config);
            let faults = match Layers::read(&text, &folder, &place, Missing::Refused)? {
                Ok(layers) => layers.schema().err().unwrap_or_default(),
                Err(faults) => faults,
            };
            report.faults.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", config.display())),
            );
        }
    }
    if report.faults.is_empty() {
        let settings = Settings::load(choices)?;
        included(&settings, &mut report);
        places(&settings, &mut report)?;
        let sources = settings.sources.iter();
        let held = sources.filter(|source| source.enabled && !contents::is_checked(source));
        report.sources = held
            .map(|source| held_by(&settings, source, &mut report.warnings))
            .collect::<Result<_>>()?;
        let mut found = Cautions::default();
        cautions::pipes(&settings, &context.runner.starter, &mut found);
        cautions::archives_in_sources(&settings, &mut found);
        cautions::of_encryption(context, &settings, &mut found);
        cautions::of_drills(choices, &settings, &mut found);
        cautions::one_machine(&settings, &mut found);
        report.warnings.extend(found.warnings);
        report.faults.extend(found.faults);
        destinations(context, &settings, &mut report)?;
        let unresolved = unresolved(context, &settings.config, &settings.schema);
        report.warnings.extend(unresolved);
        let to = Target::configured(&settings).err();
        report.faults.extend(to.map(|failure| failure.message));
        report.disabled = disabled(&settings.schema);
        report.destinations = shown_destinations(&settings);
    }
    report.good = report.faults.is_empty();
    Ok(report)
}

/// Returns the destinations of `to` that are enabled, each with its address.
fn shown_destinations(settings: &Settings) -> Vec<String> {
    let named = settings.schema.to.iter().filter_map(|name| {
        let destination = settings.schema.destinations.get(name)?;
        let folder = folder_of(&settings.config);
        let address = match &destination.address {
            Address::Folder(path) => folder.join(path).display().to_string(),
            address => address.to_string(),
        };
        destination.enabled.then(|| format!("@{name} ({address})"))
    });
    named.collect()
}

/// Returns the parts of the configuration that are disabled.
fn disabled(schema: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    if schema.retention.is_disabled {
        found.push("the policy of [backup.retention]".to_owned());
    }
    for (name, destination) in &schema.destinations {
        if !destination.enabled {
            found.push(format!("the destination @{name}"));
        }
        if destination
            .retention
            .is_some_and(|retention| retention.is_disabled)
        {
            found.push(format!("the policy of the destination @{name}"));
        }
    }
    let sources = schema.sources.iter().flatten();
    let sources = sources.filter(|source| !source.enabled);
    found.extend(sources.map(|source| format!("the source {}", source.name)));
    let notifications = schema.notify.iter().filter(|one| !one.enabled);
    found.extend(notifications.map(|one| format!("the notification {}", one.name)));
    if !schema.schedule.enabled {
        found.push("the schedule".to_owned());
    }
    for (number, hook) in (1..).zip(&schema.hooks) {
        if !hook.enabled {
            found.push(format!("hook {number} ({})", hook.stage.name()));
        }
    }
    found
}

/// Counts what a source holds. What cannot be read is a warning.
fn held_by(
    settings: &Settings,
    source: &Source,
    warnings: &mut Vec<String>,
) -> Result<ValidatedSource> {
    let mut held = ValidatedSource {
        name: source.name.to_string(),
        kind: source.kind.name(),
        path: source.path().map(|path| path.display().to_string()),
        path_escaped: source.path().and_then(escaped),
        files: None,
        bytes: None,
        has_import: None,
    };
    if source.kind.is_command() {
        held.has_import = Some(source.kind.import_command().is_some());
    } else if let Some(path) = source.path().filter(|_| source.is_directory()) {
        let Ok(top) = Top::open(path) else {
            return Ok(held);
        };
        let (mut files, mut bytes, mut unread) = (0, 0, None);
        walk(&top, &settings.rules(source)?, &mut |relative, met| {
            match met {
                Met::Leaf(leaf) if leaf.what != NodeKind::Link => {
                    files += 1;
                    bytes += leaf.look().map_or(0, |look| look.size);
                }
                Met::Failed(reason) => {
                    unread.get_or_insert_with(|| format!("{}: {reason}", top.shown(relative)));
                }
                _ => {}
            }
            Ok(())
        })?;
        warnings.extend(unread.map(|unread| format!("cannot look at {unread}")));
        (held.files, held.bytes) = (Some(files), Some(bytes));
    } else {
        let metadata = source.path().and_then(|path| path.metadata().ok());
        let file = metadata.filter(|metadata| metadata.is_file());
        held.files = file.as_ref().map(|_| 1);
        held.bytes = file.map(|file| file.len());
    }
    Ok(held)
}

/// Names the included files. Warns of those that no source has: an archive does not hold them.
fn included(settings: &Settings, report: &mut ValidateReport) {
    for path in &settings.included {
        let shown = path.display();
        report.files.push(shown.to_string());
        report.files_escaped.extend(escaped(path));
        let is_it = |source: &Source| source.path().is_some_and(|there| real(there) == real(path));
        if !settings.sources.iter().any(is_it) {
            report.warnings.push(format!(
                "no archive holds the included file {shown}: make it a source, or keep it elsewhere"
            ));
        }
    }
}

fn places(settings: &Settings, report: &mut ValidateReport) -> Result<()> {
    for glob in settings.globs.iter().filter(|glob| glob.template.enabled) {
        if settings.matching(glob).next().is_none() {
            let path = glob.template.path().unwrap_or(Path::new("")).display();
            report.warnings.push(format!("nothing matches {path}"));
        }
    }
    for source in settings.sources.iter().filter(|source| source.enabled) {
        let Some(path) = source.path() else {
            continue;
        };
        let shown = path.display();
        let is_toml = match source.kind.text_rule() {
            // Looked at already.
            TextRule::Configuration => continue,
            TextRule::Toml => true,
            TextRule::Anything => false,
        };
        if is_toml {
            match read_text(path)? {
                None => report.faults.push(format!("{shown} does not exist")),
                Some(text) => report.faults.extend(
                    parse_toml(&text)
                        .err()
                        .map(|fault| format!("{shown}: {fault}")),
                ),
            }
        } else if source.kind.engine().is_some() {
            if !path.is_file() {
                let warning = missing("the database", path);
                report.warnings.push(warning);
            }
            continue;
        } else if source.is_directory() {
            if !path.is_dir() {
                report.warnings.push(missing("the folder", path));
            }
            continue;
        } else {
            match path.metadata() {
                Err(_) if source.name.as_str() == SECRETS => {
                    report
                        .warnings
                        .push(format!("the secrets file {shown} does not exist"));
                    continue;
                }
                Err(_) => {
                    report.warnings.push(missing("the file", path));
                    continue;
                }
                Ok(metadata) if source.privacy == Privacy::Private => {
                    let mode = metadata.permissions().mode() & 0o777;
                    if mode & 0o007 != 0 {
                        report.warnings.push(format!(
                            "{shown} is open to others (mode {mode:04o}); chmod o= it"
                        ));
                    }
                }
                Ok(_) => {}
            }
        }
        report.files.push(shown.to_string());
        report.files_escaped.extend(escaped(path));
    }
    Ok(())
}

/// Looks at what is known of each destination before the first request.
fn destinations(context: &Context, settings: &Settings, report: &mut ValidateReport) -> Result<()> {
    let enabled = |(_, written): &(&String, &DestinationSettings)| written.enabled;
    for (name, written) in settings.schema.destinations.iter().filter(enabled) {
        let section = format!("[backup.destinations.{name}]");
        match Destination::look_over(context, settings, written) {
            Ok(unseen) => {
                let warnings = unseen.iter().map(|unseen| format!("{section}: {unseen}"));
                report.warnings.extend(warnings);
            }
            Err(error) => {
                let failure = Failure::of(&error);
                if let Kind::Interrupted(_) = failure.kind {
                    return Err(error);
                }
                let faults = match failure.faults.is_empty() {
                    true => vec![failure.message],
                    false => failure.faults,
                };
                let config = settings.config.display();
                let faults = faults
                    .iter()
                    .map(|fault| format!("{config}: {section}: {fault}"));
                report.faults.extend(faults);
            }
        }
    }
    Ok(())
}

/// Says that nothing is at a path, or that a link there leads to nothing.
fn missing(what: &str, path: &Path) -> String {
    match dangling(path) {
        Some(failure) => failure.message,
        None => format!("{what} {} does not exist", path.display()),
    }
}
