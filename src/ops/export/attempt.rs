//! One attempt of an export: the state is read and described, and packed unless the description is enough.

use std::time::Duration;

use anyhow::Result;

use super::{
    around::Around,
    earlier,
    gathered::{Gathered, describe},
    making::{Made, Making},
    place::{LocalPlace, Outputs},
    request::ExportRequest,
    stage::{HowToRead, look_back, stage},
};
use crate::{
    archive::writer::Level,
    catalog::{output::UploadSlot, outside::Inside},
    model::{
        archive_name::ArchiveName, change_counts::Changes, copy_form::CopyForm, digest::Digest,
        known_archive::sources_of, manifest::Manifest, state_digest::state_digest,
    },
};

/// One attempt to make the archive.
pub struct Attempt<'a> {
    pub request: &'a ExportRequest,
    pub name: &'a ArchiveName,
    pub level: Level,
    /// The form of the copies of databases.
    pub form: CopyForm,
    pub app_version: Option<String>,
    /// A file that was not modified for this long is read in place.
    pub quiet: Duration,
    pub goal: Goal,
}

/// The goal of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// An archive.
    Archive,
    /// An archive, unless the state has this digest.
    ArchiveUnless(Digest),
    /// The description of the state alone.
    Manifest,
}

/// The outcome of an attempt.
pub struct Attempted {
    /// The archive; `None` if none was to be made.
    pub made: Option<Made>,
    pub manifest: Manifest,
    pub gathered: Gathered,
    /// The difference from the archive before.
    pub changes: Option<Changes>,
}

/// Makes the archive of the present state, unless it has the digest at which none is made. Fails with
/// [`ContentChanged`] if a file of a directory is replaced or modified before it is packed.
pub fn once(around: &mut Around<'_>, attempt: Attempt<'_>) -> Result<Attempted> {
    let Attempt {
        request,
        name,
        level,
        form,
        app_version,
        quiet,
        goal,
    } = attempt;
    let (context, settings) = (around.context, around.settings);
    let Outputs { here, away, missed } = Outputs::find(context, settings, request)?;
    let prefix = &settings.schema.prefix;
    let earlier = earlier::earlier(here.first(), context, &request.reuse, level, prefix)?;
    let read;
    let newest = match &earlier {
        Some(earlier) => Some(earlier.manifest()),
        None => {
            read = earlier::newest_manifest(context, here.first(), &request.reuse, prefix);
            read.as_ref()
        }
    };
    let sources = match newest {
        Some(newest) => Some(sources_of(newest)),
        None => earlier::newest_sealed(here.first(), context, settings),
    };
    let reading = HowToRead { form, quiet };
    let mut gathered = stage(
        context,
        settings,
        request,
        reading,
        sources.as_ref(),
        around,
    )?;
    // Other destinations are asked when they have proven that they can be: nothing waits for one that cannot.
    let asked = away.first().filter(|_| sources.is_none()).cloned();
    let manifest = describe(
        context,
        settings,
        request,
        name,
        level,
        &mut gathered,
        app_version,
    )?;
    let is_torn = manifest.torn_count() > 0;
    let is_enough = match goal {
        Goal::Archive => false,
        Goal::ArchiveUnless(same) => !is_torn && same == state_digest(&manifest),
        Goal::Manifest => true,
    };
    if is_enough {
        gathered.contents.clear();
        gathered.listings.clear();
        return Ok(Attempted {
            made: None,
            manifest,
            gathered,
            changes: None,
        });
    }
    let mut changes = newest.and_then(|newest| Changes::between(newest, &manifest));
    let making = Making {
        context,
        name,
        manifest: &manifest,
        level: stream_level(level, &here, &away),
        contents: &gathered.contents,
        listings: &gathered.listings,
        earlier,
    };
    let mut made = making.make(here, away)?;
    let before = asked.and_then(|slot| earlier::archive_before(context, &slot, prefix, &manifest));
    if let Some(sources) = before.as_ref().and_then(Inside::sources) {
        look_back(
            settings,
            request,
            &manifest,
            &sources,
            &mut gathered.remarks,
        );
    }
    if let Some(Inside::Manifest(before)) = &before {
        changes = Changes::between(before, &manifest);
    }
    made.outputs.extend(missed);
    // The copies are in the archive now.
    gathered.contents.clear();
    gathered.listings.clear();
    Ok(Attempted {
        made: Some(made),
        manifest,
        gathered,
        changes,
    })
}

/// Returns the level of the stream between export and destinations. If each of them takes the stream apart and
/// compresses its blocks, nothing is compressed before that. The manifest has the level as configured: an archive that
/// is made of such a state later is compressed with it.
fn stream_level(level: Level, here: &[LocalPlace], away: &[UploadSlot]) -> Level {
    match here.is_empty() && away.iter().all(UploadSlot::shares_content) {
        true => Level::STORED,
        false => level,
    }
}
