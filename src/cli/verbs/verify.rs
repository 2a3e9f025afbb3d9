//! `hookshot verify`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::filter::FilterArguments;
use crate::{
    catalog::{
        filter::filtered_inputs, input::ArchiveInput, known::KnownArchives, repository::OtherFile,
        tar_store::folder::archives_in, target::Target,
    },
    cli::{
        app::{App, require_one_stdin},
        render,
    },
    ops::verify::{VerifyDepth, verify_known},
    work::remark::RemarkKind,
};

/// Verify archives, and change nothing
///
/// Every byte is read and compared with the manifest. With --deep the databases are also opened and checked, and the
/// configuration is parsed, as an import does. Use it for archives that another program made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot verify /var/backups/hookshot             # every archive in the folder\n  \
        ssh backup cat state.tar.gz | hookshot verify -\n  \
        hookshot verify --deep @offsite/latest            # opens its databases, too\n  \
        hookshot verify @offsite --since 7d               # every archive of the last week")]
pub struct VerifyArguments {
    /// Files, unpacked archives, folders for all archives in them, URLs, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or
    /// `-` for standard input
    #[arg(required = true)]
    archives: Vec<PathBuf>,
    /// Check databases and configuration, too, as an import does; needs room in TMPDIR for the databases
    #[arg(long)]
    deep: bool,
    /// If no key is given, be content with sealed archives whose stored bytes are those that this machine proved
    #[arg(long)]
    without_key: bool,
    #[command(flatten)]
    filter: FilterArguments,
}

impl VerifyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        require_one_stdin(self.archives.iter())?;
        let (mut locations, mut other_files, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        let filter = self.filter.filter(&app.context);
        for path in &self.archives {
            if !filter.is_everything() {
                let hosts = self.filter.hosts(false);
                let target = Target::read(path)?;
                let settings = app.settings()?;
                let found = filtered_inputs(&app.context, settings, &target, hosts, &filter)?;
                locations.extend(found.archives);
                unknown.extend(found.other_files);
                continue;
            }
            match app.input(path)? {
                ArchiveInput::File(folder) if folder.is_dir() => {
                    let found = archives_in(&app.context, &folder)?;
                    locations.extend(found.archives.into_iter().map(ArchiveInput::File));
                    other_files.extend(found.other_files);
                }
                location => locations.push(location),
            }
        }
        let depth = if self.deep {
            VerifyDepth::Content
        } else {
            VerifyDepth::Bytes
        };
        // Without a configuration nothing is known.
        let settings = app.settings().ok();
        let known = settings.map(|settings| KnownArchives::of(&app.context, settings));
        let mut report = verify_known(&app.context, known.as_ref(), &locations, depth)?;
        if self.without_key {
            report.accept_outside();
        }
        app.outside.set(report.outside());
        let skipped = |file: &OtherFile| format!("{} is skipped: {}", file.name, file.reason);
        for file in &other_files {
            let remarks = &mut report.remarks;
            remarks.warning(RemarkKind::Other, "", skipped(file));
        }
        for file in &unknown {
            let remarks = &mut report.remarks;
            remarks.undone(RemarkKind::Other, "", skipped(file));
        }
        other_files.extend(unknown);
        report.other_files = other_files;
        render::verify::show(&app.printer, &report, &app.context.scratch)
    }
}
