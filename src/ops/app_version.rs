//! The version of the application that is exported: what the configuration says, or what a command prints.

use anyhow::{Context as _, Result};

use super::{Context, preflight::Blocked};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::{entry_name::printable, manifest::Manifest, version::VersionRule},
    source::{command, shell::Line},
};

/// The version of the application on this machine, as far as somebody says it.
pub fn here(context: &Context, settings: &Settings) -> Result<Option<String>> {
    let schema = &settings.schema;
    let Some(command) = schema
        .app_version_command
        .as_ref()
        .filter(|_| schema.app_version.is_none())
    else {
        return Ok(schema.app_version.clone());
    };
    let lines = command::lines(Line::new(command, None), &context.step())
        .context("cannot ask for the version")?;
    let version = lines.into_iter().next().ok_or_else(|| {
        Failure::new(Kind::Usage, "`app_version_command` prints no version")
            .hint("run it by hand, as the user that hookshot runs as")
    })?;
    Ok(Some(version))
}

/// The reason why an archive of another version of the application is not imported, if there is one.
pub fn obstacle(
    context: &Context,
    settings: &Settings,
    manifest: &Manifest,
) -> Result<Option<Blocked>> {
    let rule = settings.schema.version_rule;
    if rule == VersionRule::Any {
        return Ok(None);
    }
    let (app, archived) = (&settings.schema.app, &manifest.app_version);
    let here = here(context, settings)?;
    let message = match (archived, &here) {
        (Some(archived), Some(here)) if rule.accepts(archived, here) => return Ok(None),
        (Some(archived), Some(here)) => format!(
            "version incompatibility: the archive is of {app} {}, and this machine has {here}",
            printable(archived)
        ),
        (None, _) => format!("the archive does not say of which version of {app} it is"),
        (_, None) => format!("nothing says which version of {app} this machine has"),
    };
    Ok(Some(Blocked {
        kind: "app_version",
        message,
        failure: Kind::Version,
        hint: "install the version of the archive, or set `version_rule` under [backup]",
    }))
}
