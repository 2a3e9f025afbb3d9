//! The version of the application that is exported: what the configuration says, or what a command prints.

use anyhow::Result;

use super::obstacle::{Obstacle, ObstacleKind};
use crate::{
    config::Settings,
    model::{
        entry_name::printable,
        version::{Numbered, VersionRule},
    },
    work::shell::{BROKEN_PIPE, CommandAnswer, Line},
};
use crate::{
    context::Context,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Returns the version for the manifest. An unknown one is a warning: the archive is good without it.
pub fn for_archive(
    context: &Context,
    settings: &Settings,
    remarks: &mut Remarks,
) -> Result<Option<String>> {
    let needs_number = !matches!(settings.schema.version_rule, VersionRule::Any);
    let is_asked = settings.schema.app_version.is_none();
    match here(context, settings)? {
        Err(why) => {
            let message = format!("{why}: the archive does not say of which version it is");
            remarks.warning(RemarkKind::AppVersion, "", message);
            Ok(None)
        }
        Ok(version) => {
            if let Some(text) = &version
                && Numbered::find(text).is_none()
                && (needs_number || is_asked)
            {
                let key = match is_asked {
                    true => "`app_version_command` under [backup] prints",
                    false => "`app_version` under [backup] is",
                };
                let message = format!(
                    "{key} {:?}, in which no version number was found: `version_rule` can only tell whether the text is the same",
                    printable(text)
                );
                remarks.warning(RemarkKind::AppVersion, "", message);
            }
            Ok(version)
        }
    }
}

/// Returns the version of the application on this machine, if the configuration tells; or else why it is not known.
fn here(context: &Context, settings: &Settings) -> Result<Result<Option<String>, String>> {
    let schema = &settings.schema;
    let Some(command) = schema
        .app_version_command
        .as_ref()
        .filter(|_| schema.app_version.is_none())
    else {
        return Ok(Ok(schema.app_version.clone()));
    };
    let step = context.step();
    let answer = context.runner.ask(Line::new(command, None), &step);
    context.stop.check()?;
    let version = match answer {
        Ok(answer) => version_of(&answer),
        Err(error) => Err(format!("failed: {error:#}")),
    };
    Ok(version
        .map(Some)
        .map_err(|why| format!("`app_version_command` under [backup] {why}")))
}

/// Returns the version in an answer: the line that has the first number, or else the first line.
fn version_of(answer: &CommandAnswer) -> Result<String, String> {
    let numbered = Numbered::find(&answer.text).map(|found| printable(found.line));
    let version = numbered.or_else(|| answer.lines().into_iter().next());
    match (answer.status.code(), version) {
        (Some(0), Some(version)) => Ok(version),
        (Some(0), None) => Err("prints nothing".to_owned()),
        // `head` has closed the pipe as soon as it had its line.
        (Some(BROKEN_PIPE), Some(version)) => Ok(version),
        _ => Err(format!("failed, {}", answer.status)),
    }
}

/// Returns the reason why an archive of another version of the application is not imported, if there is one. `archived`
/// is the version in its manifest.
pub fn obstacle(
    context: &Context,
    settings: &Settings,
    archived: Option<&String>,
) -> Result<Option<Obstacle>> {
    const ANOTHER: &str =
        "install the version of the archive, or set `version_rule` under [backup]";
    const UNKNOWN: &str = "run `app_version_command` by hand, as the user that hookshot runs as; `version_rule = \
        \"any\"` imports whatever the version";
    let rule = settings.schema.version_rule;
    // Below another root it is not this machine's application that will read it.
    if rule == VersionRule::Any || settings.elsewhere.root.is_some() {
        return Ok(None);
    }
    let app = &settings.schema.app;
    let (message, hint) = match (archived, here(context, settings)?) {
        (Some(archived), Ok(Some(here))) if rule.accepts(archived, &here) => return Ok(None),
        (Some(archived), Ok(Some(here))) => {
            let has_number = |text: &str| Numbered::find(text).is_some();
            let why = match has_number(archived) && has_number(&here) {
                true => "",
                false => " (no version number was found in it)",
            };
            let here = context.runner.masked(&printable(&here));
            let archived = printable(archived);
            let message = format!(
                "version incompatibility: the archive is of {app} {archived}, and this machine has {here}{why}"
            );
            (message, ANOTHER)
        }
        (None, _) => (
            format!("the archive does not say of which version of {app} it is"),
            ANOTHER,
        ),
        (_, Ok(None)) => (
            format!(
                "nothing says which version of {app} this machine has: `version_rule` needs `app_version` or \
                `app_version_command` under [backup]"
            ),
            ANOTHER,
        ),
        (_, Err(why)) => (
            format!("cannot tell which version of {app} this machine has: {why}"),
            UNKNOWN,
        ),
    };
    Ok(Some(Obstacle {
        kind: ObstacleKind::AppVersion,
        message,
        hint,
    }))
}
