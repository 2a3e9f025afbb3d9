//! What goes into an archive: the copy of the database, the files, and the manifest that describes them.

use anyhow::Result;
use tracing::{info, warn};

use super::{
    super::{Context, contents, entries::Role},
    Request, Secrets,
};
use crate::{
    archive::writer::Level,
    config::Settings,
    error::{Failure, Kind},
    model::{archive_name::ArchiveName, manifest::Manifest, version::FormatVersion},
    source::{
        files::{self, Content, Staged},
        redb::snapshot::{self, Caller, Compaction, Wish},
    },
};

/// Copies the database and reads the files: everything that the archive will hold, with its digest.
pub fn stage(context: &Context, settings: &Settings, request: &Request) -> Result<Vec<Staged>> {
    let database = settings.database();
    context.begin(
        "copying the database",
        database.metadata().ok().map(|metadata| metadata.len()),
    );
    let caller = Caller {
        step: &context.step(),
        scratch: &context.scratch,
        program: &context.program,
    };
    let wish = Wish {
        method: request.snapshot.unwrap_or(settings.schema.snapshot),
        timeout: request.snapshot_timeout,
        compaction: if settings.schema.compact {
            Compaction::Compact
        } else {
            Compaction::Keep
        },
    };
    let snapshot = snapshot::take(&database, &Role::Database.name(), wish, &caller)?;
    info!("Added database to backup");
    match &snapshot.active {
        Ok(active) if active.is_empty() => {}
        Ok(active) => {
            warn!(deployments = %active.describe().join("; "), "The archive holds deployments that are at work")
        }
        Err(reason) => info!(%reason, "The database does not tell whether deployments are at work"),
    }
    let mut staged = vec![snapshot.staged];
    for (role, message) in [
        (Role::Config, "Added system config to backup"),
        (Role::Services, "Added services config to backup"),
    ] {
        context.stop.check()?;
        let path = role.path(settings);
        let file = files::stage(&path, role.name())?;
        if let Content::Bytes(bytes) = &file.content {
            contents::require(role, bytes, &path)?;
        } else {
            let message = format!(
                "{} is larger than 1 MiB, which no configuration is",
                path.display()
            );
            return Err(Failure::new(Kind::Usage, message)
                .hint("is this the right file?")
                .into());
        }
        staged.push(file);
        info!("{message}");
    }
    match request.secrets {
        Secrets::Excluded => info!("Left the secrets file out, as asked"),
        Secrets::Included if settings.secrets.symlink_metadata().is_ok() => {
            staged.push(files::stage(&settings.secrets, Role::Secrets.name())?);
            info!("Added secrets file to backup");
        }
        Secrets::Included => {
            warn!(looked_at = %settings.secrets.display(), "No secrets file found, the archive has none (--secrets FILE, HOOKSHOT_SECRETS or [secrets] file name it)");
        }
    }
    Ok(staged)
}

/// The manifest of the archive that will hold what is staged.
pub fn describe(
    context: &Context,
    settings: &Settings,
    request: &Request,
    name: &ArchiveName,
    level: Level,
    staged: &[Staged],
) -> Manifest {
    let mut tags = settings.schema.tags.clone();
    tags.extend(request.tags.clone());
    Manifest {
        version: FormatVersion::CURRENT,
        created_at: context.now.timestamp(),
        hookshot_version: context.version.clone(),
        files: staged
            .iter()
            .map(|staged| (staged.name.clone(), staged.record.clone()))
            .collect(),
        root: Some(name.to_string()),
        hostname: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        app_version: settings.schema.app_version.clone(),
        compression: Some(level.name()),
        tags,
        trees: std::collections::BTreeMap::new(),
    }
}
