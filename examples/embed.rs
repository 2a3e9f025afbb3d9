//! A program that backs up the state of its own service with the verbs of hookshot.
//!
//! `cargo run --example embed`
//!
//! In a temporary folder it makes a service with a folder of notes. It exports them twice, verifies the newest archive,
//! imports it below another root, lists the archives, and removes the older one. At last it cancels an export.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it shows what it does, and is a program of its own"
)]

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};
use hookshot::verbs::{
    self, ArchiveInput, ArchiveOutput, Choices, Context, Elsewhere, Event, Events, ExportRequest,
    Failure, ImportRequest, Kind, ListRequest, PruneMode, PruneRequest, Receiver, SealedFor,
    Settings, VerifyDepth,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().canonicalize()?;
    let (archives, root) = (folder.join("archives"), folder.join("root"));
    let notes = folder.join("notes");
    for new in [&archives, &root, &notes] {
        fs::create_dir(new)?;
    }
    fs::write(notes.join("first"), "a note\n")?;
    let config = folder.join("config.toml");
    fs::write(&config, configuration(&notes))?;
    let choices = Choices {
        config: Some(config),
        ..Choices::default()
    };
    let settings = Settings::load(&choices)?;
    let now = SystemTime::now();

    // Each run has a context of its own.
    let yesterday = context(now - DAY, &folder)?;
    let to = || vec![ArchiveOutput::Path(archives.clone(), SealedFor::Shared)];
    let report = verbs::export(&yesterday, &choices, ExportRequest::new(to()))?;
    println!("exported {} entries yesterday", report.files);
    fs::write(notes.join("second"), "another note\n")?;
    let report = verbs::export(&context(now, &folder)?, &choices, ExportRequest::new(to()))?;
    ensure!(report.failure().is_none(), "something is left undone");
    println!("exported {} entries today", report.files);

    let archive = verbs::input(&context(now, &folder)?, &settings, &report.archive)?;
    verify(&context(now, &folder)?, &archive)?;

    let elsewhere = Choices {
        elsewhere: Elsewhere::below(&root)?,
        ..choices.clone()
    };
    let report = verbs::import(
        &context(now, &folder)?,
        &elsewhere,
        &ImportRequest::new(archive),
    )?;
    if let Some(failure) = report.failure() {
        return Err(failure.into());
    }
    let restored = root.join(notes.strip_prefix("/")?).join("second");
    println!("imported: {}", fs::read_to_string(restored)?.trim_end());

    let request = ListRequest::new(vec![archives.clone().into()]);
    let report = verbs::list(&context(now, &folder)?, &settings, &request)?;
    println!("listed {} archives", report.archives.len());
    let request = PruneRequest {
        destination: Some(archives.clone().into()),
        mode: PruneMode::Apply,
        ..PruneRequest::default()
    };
    let report = verbs::prune(&context(now, &folder)?, &settings, &request)?;
    for destination in report.destinations {
        println!("removed {}", destination.removed);
    }

    // Another thread may cancel it at any moment.
    let cancelled = context(now + DAY, &folder)?;
    cancelled.stop.cancel();
    let Err(error) = verbs::export(&cancelled, &choices, ExportRequest::new(to())) else {
        anyhow::bail!("the export was not cancelled");
    };
    let failure = Failure::of(&error);
    ensure!(
        matches!(failure.kind, Kind::Interrupted(_)),
        "it failed: {failure}"
    );
    println!("cancelled, with exit code {}", failure.kind.code());
    Ok(())
}

/// Returns the configuration of the service.
fn configuration(notes: &Path) -> String {
    format!(
        "[backup]\ninclude_config = false\nprefix = \"notes\"\n\n[backup.retention]\nkeep_last = 1\n\n\
         [[backup.sources]]\nname = \"notes\"\nkind = \"directory\"\npath = \"{}\"\n",
        notes.display()
    )
}

/// Returns the context of one run.
fn context(now: SystemTime, folder: &Path) -> Result<Context> {
    Ok(Context {
        events: Events::new(Stages),
        ..Context::new(now.into(), folder.to_owned())?
    })
}

/// Verifies an archive with the content of its databases.
fn verify(context: &Context, archive: &ArchiveInput) -> Result<()> {
    let report = verbs::verify(context, std::slice::from_ref(archive), VerifyDepth::Content)?;
    if let Some(failure) = report.worst {
        return Err(failure.into());
    }
    println!("verified {} archive", report.archives.len());
    Ok(())
}

/// A receiver of events that names each stage of the work, and repeats warnings.
struct Stages;

impl Receiver for Stages {
    fn receive(&self, event: Event) {
        match event {
            Event::Stage { what, .. } => println!("    {what}"),
            Event::Warning(remark) => println!("    warning: {}", remark.message),
            _ => {}
        }
    }
}
