//! The checks before an upgrade: what would block the way back is an obstacle now, while nothing has changed.

use anyhow::Result;

use crate::{
    catalog::destination,
    config::{Choices, Settings},
    context::Context,
    crypt::{Recipients, header::Form},
    disk::survey,
    error::{Failure, Kind},
    jobs::backup::Place,
    machine::{
        enter::{StateAccess, enter},
        form::form_for,
        obstacle::Obstacle,
        places,
        preflight::{self, Force},
        rehearsal::Rehearsal,
        report::ApplyReport,
    },
    source::database::Locking,
    work::events::GuardEvent,
};

/// The advice if a service that nothing stops would block the way back.
const UNSTOPPED: &str = "write `stop` and `start` under [backup.import], so that a rollback can stop the service; \
    or stop it for the upgrade";

/// Fails if processes that a rollback cannot end have the state open, or if a rollback cannot write its journal.
pub fn require_way_back(context: &Context, choices: &Choices) -> Result<()> {
    let entered = enter(choices, StateAccess::Read, &context.events)?;
    let settings = &entered.settings;
    let force = Force::Rollback;
    let mut blocked = places::of_the_journal(settings);
    let mut remarks = context.remarks();
    let sources = settings.sources.iter().filter(|source| source.enabled);
    preflight::services(
        context,
        settings,
        sources.clone(),
        force,
        &mut blocked,
        &mut remarks,
    )?;
    for source in sources {
        let resolved = source.path().map(|path| match source.is_directory() {
            true => survey::resolve_folder(path),
            false => survey::resolve(path),
        });
        // The export says what is wrong with a path.
        if let Some(Ok(target)) = resolved {
            let form = form_for(&source.kind);
            preflight::target(context, &target, form, force, Locking::Asked, &mut blocked)?;
        }
    }
    match refusal(context, settings, blocked) {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// Returns the failure of what blocks a rollback. What ends with the service does not, if a rollback can stop it.
pub fn refusal(
    context: &Context,
    settings: &Settings,
    mut blocked: Vec<Obstacle>,
) -> Option<Failure> {
    match settings.schema.import.control {
        Some(_) => blocked.retain(|obstacle| !obstacle.kind.ends_with_service()),
        None => {
            let held = blocked.iter_mut();
            held.filter(|obstacle| obstacle.kind.ends_with_service())
                .for_each(|obstacle| obstacle.hint = UNSTOPPED);
        }
    }
    let report = ApplyReport::new(context, Rehearsal::DryRun, &[], blocked);
    let mut refusal = report.refusal()?;
    refusal.message = format!("a rollback would be blocked: {}", refusal.message);
    Some(refusal)
}

/// Returns those of `places` whose archives a key of this run opens; tells why the others do not serve. Fails without any.
pub fn openable(context: &Context, settings: &Settings, places: &[Place]) -> Result<Vec<Place>> {
    let mut openable = Vec::new();
    let mut closed = None;
    for place in places {
        let recipients = match place.is_named() {
            true => place
                .open(context, settings)
                .and_then(|destination| destination.recipients(context, settings)),
            false => destination::recipients(context, settings, &settings.schema.encryption),
        };
        let opened = recipients.and_then(|recipients| match recipients {
            Some(recipients) => opens(context, &recipients),
            None => Ok(()),
        });
        match opened {
            Ok(()) => openable.push(place.clone()),
            Err(error) => {
                let failure = Failure::of(&error);
                context.tell(GuardEvent::NoWayBackFrom {
                    destination: place.name.clone(),
                    reason: failure.message.clone(),
                });
                closed = closed.or(Some(failure));
            }
        }
    }
    let Some(failure) = closed.filter(|_| openable.is_empty()) else {
        return Ok(openable);
    };
    let message = format!("a rollback could not open its archive: {}", failure.message);
    let failure = Failure { message, ..failure };
    Err(match failure.kind {
        Kind::Key => failure.hint(
            "name the private key with --identity or `identity_file` under [backup.encryption]",
        ),
        _ => failure,
    }
    .into())
}

/// Fails if no key of this run opens what is sealed for `recipients`.
fn opens(context: &Context, recipients: &Recipients) -> Result<()> {
    let (sealing, _) = recipients.seal(Vec::new())?;
    let sealed = sealing.finish()?;
    let ring = context.keys.ring()?;
    ring.open("an archive for them", Form::Binary, sealed.as_slice())
        .map(drop)
}
