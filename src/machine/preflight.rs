//! The obstacles to replacing the state: processes that have it open, and active work in it.

use std::path::Path;

use anyhow::Result;

use super::obstacle::{Obstacle, ObstacleKind};
use crate::{
    config::{Settings, sources::Source},
    disk::{
        exists,
        holder::{self, Holder, OpenMode},
        mounts::is_mounted,
        open_regular,
        range_lock::written_by,
        transaction::Form,
    },
    model::engine::Engine,
    source::{
        database::{Locking, Occupancy},
        engines::engine,
        files,
        redb::lock::DatabaseLock,
        service::{self, State},
    },
    work::shell::Line,
};
use crate::{
    context::Context,
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks},
};

/// The choice to override those reasons that force may override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Every reason counts.
    No,
    /// Active deployments and an unreadable old database do not.
    Yes,
    /// Nor does the version of the application, without a word: the state of just before comes back.
    Rollback,
}

/// Inspects a file that would be replaced, according to its form. Reasons go to `blocked`; the lock of a redb database
/// is held if the caller wants it and no other process has it.
pub fn target(
    context: &Context,
    path: &Path,
    form: Form,
    force: Force,
    locks: Locking,
    blocked: &mut Vec<Obstacle>,
) -> Result<Option<DatabaseLock>> {
    if form.is_folder() {
        return folder(path, blocked).map(|()| None);
    }
    let deleted = files::deleted_holders(path);
    if !deleted.is_empty() {
        blocked.push(Obstacle {
            kind: ObstacleKind::OpenDeleted,
            message: format!(
                "{} has {} open, deleted: it would go on with that file",
                holder::describe(&deleted),
                path.display()
            ),
            hint: "stop the service first (--guarded does, by [backup.import]); --force does not override this",
        });
    }
    if let Some(found) = form.engine() {
        return database(context, found, path, force, locks, blocked);
    }
    let open = holder::open_by(path).unwrap_or_default().into_iter();
    let writers = open.filter(|(_, mode)| *mode == OpenMode::Writes);
    let seen: Vec<Holder> = writers.map(|(holder, _)| holder).collect();
    // A process that /proc does not show may have locked the file to write it.
    let asked = |path| open_regular(path).and_then(|file| written_by(&file, (0, 0)));
    let unseen = || asked(path).ok().flatten().into_iter().collect();
    let holders = if seen.is_empty() { unseen() } else { seen };
    if !holders.is_empty() {
        blocked.push(holding(ObstacleKind::FileHeld, path, &holders));
    }
    Ok(None)
}

/// Looks at a folder that would be replaced as one.
fn folder(path: &Path, blocked: &mut Vec<Obstacle>) -> Result<()> {
    if !exists(path) {
        return Ok(());
    }
    let mut holders = holder::open_below(path)?;
    if holders.is_empty() {
        holders = holder::locked_below(path)?;
    }
    if !holders.is_empty() {
        blocked.push(holding(ObstacleKind::FileHeld, path, &holders));
    }
    Ok(())
}

fn holding(kind: ObstacleKind, path: &Path, holders: &[Holder]) -> Obstacle {
    Obstacle {
        kind,
        message: format!(
            "{} is open in {}",
            path.display(),
            holder::describe(holders)
        ),
        hint: "stop the service first (--guarded does, by [backup.import]); --force does not override this",
    }
}

/// Asks the command or the query of a source for active work, which it reports line by line.
pub fn activity(
    context: &Context,
    source: &Source,
    force: Force,
    blocked: &mut Vec<Obstacle>,
) -> Result<()> {
    if let Some(command) = &source.active_command {
        let found = service::lines(&context.runner, source.line(command), &context.step());
        context.stop.check()?;
        judge_activity(context, source, found, force, blocked);
    }
    if let Some(found) = source.kind.active_work(&context.source(&context.step())) {
        context.stop.check()?;
        judge_activity(context, source, found, force, blocked);
    }
    Ok(())
}

/// Refuses a source that has to lie on another mount than `/`, and does not: what is restored there is hidden as soon
/// as its disk is mounted.
pub fn mounted(context: &Context, source: &Source, force: Force, blocked: &mut Vec<Obstacle>) {
    let is_wrong = |path: &&Path| source.expected.mounted && !is_mounted(path);
    if let Some(path) = source.path().filter(is_wrong) {
        let message = format!(
            "nothing is mounted at {}, nor at a folder above it: what is restored there, of {}, would be hidden by the disk",
            path.display(),
            source.name
        );
        let hint = "mount it first, or restore below the mount point all the same with --force";
        overridable(
            context,
            ObstacleKind::NotMounted,
            message,
            hint,
            force,
            blocked,
        );
    }
}

/// Asks of each service of `sources`, and of that of the whole state, whether it runs, once each. Below another root
/// the state is not that of this machine's service.
pub fn services<'a>(
    context: &Context,
    settings: &'a Settings,
    sources: impl Iterator<Item = &'a Source>,
    force: Force,
    blocked: &mut Vec<Obstacle>,
    remarks: &mut Remarks,
) -> Result<()> {
    let whole = settings.schema.service.as_deref();
    let whole = whole.filter(|_| settings.elsewhere.root.is_none());
    let whole = whole.map(|service| (Line::new(service, None), ""));
    let each = sources.filter_map(|source| {
        let service = source.service.as_deref()?;
        Some((source.line(service), source.name.as_str()))
    });
    let mut asked = Vec::new();
    for (service, source) in whole.into_iter().chain(each) {
        if asked.contains(&service) {
            continue;
        }
        asked.push(service);
        let state = service::ask(&context.runner, service, &context.step())?;
        context.stop.check()?;
        match state {
            State::Resting => {}
            State::Running(how) => blocked.push(Obstacle {
                kind: ObstacleKind::Service,
                message: format!("the service runs: {how}"),
                hint: "stop the service first (--guarded does, by [backup.import]); --force does not override this",
            }),
            State::Missing => remarks.warning(
                RemarkKind::Service,
                source,
                format!(
                    "systemd has no unit {}: nothing tells whether the service runs",
                    service.text()
                ),
            ),
            State::Unknown(why) => overridable(
                context,
                ObstacleKind::ActivityUnknown,
                format!("cannot tell whether the service runs: {why}"),
                "correct `service`, or stop the service and replace its state with --force",
                force,
                blocked,
            ),
        }
    }
    Ok(())
}

fn judge_activity(
    context: &Context,
    source: &Source,
    found: Result<Vec<String>>,
    force: Force,
    blocked: &mut Vec<Obstacle>,
) {
    let (kind, message, hint) = match found {
        Ok(lines) if lines.is_empty() => return,
        Ok(lines) => (
            ObstacleKind::Active,
            format!(
                "{} is in use (use --force to override): {}",
                source.name,
                lines.join("; ")
            ),
            "wait until it is done, or replace it all the same with --force",
        ),
        Err(error) => (
            ObstacleKind::ActivityUnknown,
            format!("cannot tell whether {} is in use: {error:#}", source.name),
            "correct `active_command` or `active_query`, or replace it all the same with --force",
        ),
    };
    overridable(context, kind, message, hint, force, blocked);
}

/// Adds a reason that force overrides; with force it is only an event.
fn overridable(
    context: &Context,
    kind: ObstacleKind,
    message: String,
    hint: &'static str,
    force: Force,
    blocked: &mut Vec<Obstacle>,
) {
    match force {
        Force::Yes => context.tell(RestoreEvent::Overridden { message }),
        Force::Rollback => {}
        Force::No => blocked.push(Obstacle {
            kind,
            message,
            hint,
        }),
    }
}

/// Inspects the database that would be replaced. Reasons go to `blocked`; the lock is held if the caller wants it and
/// no other process has it.
fn database(
    context: &Context,
    found: Engine,
    path: &Path,
    force: Force,
    locks: Locking,
    blocked: &mut Vec<Obstacle>,
) -> Result<Option<DatabaseLock>> {
    let (lock, deployments) = match engine(found).occupancy(path, locks)? {
        Occupancy::Locked(holders) => {
            blocked.push(holding(ObstacleKind::DatabaseHeld, path, &holders));
            return Ok(None);
        }
        Occupancy::Open(holders) => {
            blocked.push(holding(ObstacleKind::FileHeld, path, &holders));
            return Ok(None);
        }
        Occupancy::Free { lock, deployments } => (lock, deployments),
    };
    let (kind, message, hint) = match deployments {
        Ok(active) if active.is_empty() => return Ok(lock),
        Ok(active) => (
            ObstacleKind::ActiveDeployments,
            format!(
                "active deployments present, cannot restore (use --force to override): {}",
                active.join("; ")
            ),
            "wait until they are done, or replace the state all the same with --force",
        ),
        Err(reason) => (
            ObstacleKind::DatabaseUnreadable,
            format!(
                "cannot tell whether deployments are active in {}: {reason}",
                path.display()
            ),
            "replace it all the same with --force; it stays as .bak",
        ),
    };
    overridable(context, kind, message, hint, force, blocked);
    Ok(lock)
}
