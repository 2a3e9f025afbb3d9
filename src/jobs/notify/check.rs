//! The check of notifications without sending one: their secrets, addresses, proxies and certificates.

use anyhow::Result;

use super::{delivery::reason, way};
#[cfg(feature = "notify")]
use super::{email::MailWay, http::WebWay};
use crate::{
    config::{
        Settings,
        notify::{Notification, Way},
        secret::{self, Lookup},
    },
    context::Context,
    error::{Failure, Kind},
};

/// The results of the check.
#[derive(Debug, Default)]
pub struct Checked {
    /// Faults of the configuration.
    pub faults: Vec<String>,
    /// Faults that may exist in this process alone.
    pub warnings: Vec<String>,
}

/// Checks each notification that is enabled. Runs no command, and sends nothing.
pub fn look_over(context: &Context, settings: &Settings) -> Result<Checked> {
    settings.mask_secrets(&context.runner.masks);
    let mut checked = Checked::default();
    for notification in &settings.schema.notify {
        let section = format!("[[backup.notify]] {}", notification.name);
        if !notification.enabled {
            let warning = format!("{section}: it is disabled, and never sent");
            checked.warnings.push(warning);
            continue;
        }
        let step = context.step();
        let lookup = way::lookup(context, settings, notification, &step);
        match check(notification, &lookup) {
            Ok(unseen) => checked
                .warnings
                .extend(unseen.iter().map(|unseen| format!("{section}: {unseen}"))),
            Err(error) => {
                let failure = Failure::of(&error);
                if let Kind::Interrupted(_) = failure.kind {
                    return Err(error);
                }
                let fault = context.runner.masked(&reason(&failure));
                let config = settings.config.display();
                checked.faults.push(format!("{config}: {section}: {fault}"));
            }
        }
    }
    Ok(checked)
}

/// Checks one notification. Returns the secrets that cannot be read here.
fn check(notification: &Notification, lookup: &Lookup<'_>) -> Result<Vec<String>> {
    way::require_built(notification)?;
    let (mut is_complete, mut unseen) = (true, Vec::new());
    for written in notification.secrets() {
        if !written.is_at_hand() {
            is_complete = false;
        }
        // One that stands in the configuration itself is read below.
        if !written.is_at_hand() || !written.is_elsewhere() {
            continue;
        }
        match lookup.find(written) {
            Ok(value) => drop(secret::read(written, &value)?),
            Err(error) => {
                is_complete = false;
                unseen.push(format!("{error:#}"));
            }
        }
    }
    if is_complete {
        look_at_way(notification, lookup)?;
    }
    Ok(unseen)
}

#[cfg(feature = "notify")]
fn look_at_way(notification: &Notification, lookup: &Lookup<'_>) -> Result<()> {
    match &notification.way {
        Way::Web(web) => WebWay::resolve(web, lookup)?.look_over(lookup),
        Way::Email(email) => MailWay::resolve(email, lookup)?.look_over(),
        Way::Command(_) => Ok(()),
    }
}

#[cfg(not(feature = "notify"))]
fn look_at_way(notification: &Notification, _lookup: &Lookup<'_>) -> Result<()> {
    match &notification.way {
        Way::Web(_) | Way::Email(_) | Way::Command(_) => Ok(()),
    }
}
