//! `notify --test`: sends a made-up record, to see that notifications arrive.

use anyhow::Result;
use serde::Serialize;

use super::delivery::{NotificationOutcome, require_built, send_to};
use crate::{
    config::{Settings, notify::Notification},
    context::Context,
    error::{Failure, Kind},
    model::{
        occasion::Occasion,
        run_record::{DestinationRecord, Job, RunRecord, RunResult},
    },
    work::run_id::new_run_id,
};

/// The reason why a disabled notification is not tried.
const DISABLED: &str = "it is disabled (`enabled = false`)";

/// The results of the trial.
#[derive(Debug, Serialize)]
pub struct NotifyReport {
    /// The outcome of each notification.
    pub notifications: Vec<NotificationOutcome>,
    /// The failure if one was not sent.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// Sends a made-up record to the notification `name`, or to all. Those that are disabled are named, and not tried.
pub fn try_out(context: &Context, settings: &Settings, name: Option<&str>) -> Result<NotifyReport> {
    let all = settings.schema.notify.iter();
    let named = all.filter(|one| name.is_none_or(|name| one.name == name));
    let named: Vec<&Notification> = named.collect();
    if named.is_empty() {
        return Err(nothing(settings, name).into());
    }
    require_built(settings)?;
    let enabled = named.iter().copied().filter(|one| one.enabled);
    let enabled: Vec<&Notification> = enabled.collect();
    if enabled.is_empty() && name.is_none() {
        let message = "every notification is disabled";
        return Err(Failure::new(Kind::Usage, message)
            .hint("remove `enabled = false` from one under [[backup.notify]]")
            .into());
    }
    let record = made_up(context, settings);
    let sent = send_to(context, settings, &enabled, Occasion::Test, &record);
    let mut sent = sent.into_iter();
    context.stop.check()?;
    let outcomes = named.iter().filter_map(|one| match one.enabled {
        true => sent.next(),
        false => Some(NotificationOutcome {
            name: one.name.clone(),
            occasion: Occasion::Test.name(),
            sent: false,
            error: Some(DISABLED.to_owned()),
        }),
    });
    let notifications: Vec<NotificationOutcome> = outcomes.collect();
    let tried = match name {
        Some(_) => &named,
        None => &enabled,
    };
    let is_tried = |one: &&NotificationOutcome| tried.iter().any(|tried| tried.name == one.name);
    let failed = notifications
        .iter()
        .filter(is_tried)
        .filter(|one| !one.sent);
    let failed: Vec<&str> = failed.map(|one| one.name.as_str()).collect();
    let failure = (!failed.is_empty()).then(|| {
        let message = match failed[..] {
            [one] => format!("the notification {one} was not sent"),
            _ => format!(
                "{} of {} notifications were not sent: {}",
                failed.len(),
                tried.len(),
                failed.join(", ")
            ),
        };
        Failure::new(Kind::Failed, message)
    });
    Ok(NotifyReport {
        notifications,
        failure,
    })
}

fn nothing(settings: &Settings, name: Option<&str>) -> Failure {
    let all = &settings.schema.notify;
    match name {
        Some(name) if !all.is_empty() => {
            let known: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            let message = format!("no notification is called {name}");
            Failure::new(Kind::NotFound, message).hint(format!("there are {}", known.join(", ")))
        }
        _ => {
            let message = format!("{} names no notification", settings.config.display());
            Failure::new(Kind::Usage, message)
                .hint("they stand under [[backup.notify]] (docs/unattended.md)")
        }
    }
}

/// Returns the record of a run that never was: a good one, so that no monitor alarms.
fn made_up(context: &Context, settings: &Settings) -> RunRecord {
    let schema = &settings.schema;
    let archive = format!(
        "{}-{}.tar.gz",
        schema.prefix,
        context.now.format("%Y%m%d-%H%M%S")
    );
    let held = schema.to.iter().map(|name| DestinationRecord {
        name: name.clone(),
        good: true,
        proof: Some("checksum".to_owned()),
        ..DestinationRecord::default()
    });
    RunRecord {
        duration_seconds: Some(12.3),
        result: RunResult::Success,
        exit_code: Some(0),
        archive: Some(archive),
        size_bytes: Some(1_234_567),
        destinations: held.collect(),
        host: context.hostname.clone(),
        app: Some(schema.app.clone()),
        ..RunRecord::begun(new_run_id(), Job::Backup, context.now)
    }
}
