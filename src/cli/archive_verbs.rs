//! `hookshot verify`, `inspect`, `diff` and `extract`: the verbs that look into archives.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::DateTime;
use clap::Args;

use super::{
    App, about_scratch, names_scratch,
    output::{size, table},
    require_one_stdin,
};
use crate::{
    catalog::{input::ArchiveInput, tar_store::folder::archives_in},
    disk::publish::Existing,
    error::{Failure, Kind},
    machine::enter::StateAccess,
    model::entry_name::{EntryName, printable, printable_line},
    ops::{
        diff::{DiffSide, Text, diff},
        extract::{ExtractOutput, extract},
        inspect::{self, OutsideLink, inspect},
        verify::{self, VerifyDepth, verify},
    },
    work::stdout::ensure_open,
};

/// Prove archives good, changing nothing
///
/// Every byte is read and compared with the manifest. With --deep the databases are opened and checked as well, and the configuration is parsed, as an import does: for archives that something else than this hookshot has made.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot verify /var/backups/hookshot             # every archive in the folder\n  ssh backup cat state.tar.gz | hookshot verify -\n  hookshot verify --deep @offsite/latest            # opens its databases, too"
)]
pub struct Verify {
    /// Files, folders for all archives in them, URLs, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard input
    #[arg(required = true)]
    archives: Vec<PathBuf>,
    /// Look into databases and configuration, too, as an import does; takes room in TMPDIR for the databases
    #[arg(long)]
    deep: bool,
}

impl Verify {
    pub fn run(self, app: &App) -> Result<u8> {
        require_one_stdin(self.archives.iter())?;
        let (mut locations, mut other_files) = (Vec::new(), Vec::new());
        for path in &self.archives {
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
        let mut report = verify(&app.context, &locations, depth)?;
        for file in &other_files {
            let message = format!("{} is passed over: {}", file.name, file.reason);
            report.remarks.warning("other", "", message);
        }
        report.other_files = other_files;
        let scratch = &app.context.scratch;
        let Some(worst) = report.worst.clone() else {
            let failure = report.remarks.failure();
            return app
                .output
                .ended(&report, failure.as_ref(), || lines(&report, scratch));
        };
        let worst = about_scratch(worst, scratch);
        if app.output.is_json() {
            app.output.report_with(&report, Some(&worst), String::new)?;
        } else {
            // The faults stand in the lines; the failure counts them.
            let bad = report
                .archives
                .iter()
                .filter(|archive| !archive.good)
                .count();
            let unread = report
                .archives
                .iter()
                .filter(|archive| !archive.read)
                .count();
            let message = match (report.archives.len(), unread) {
                (1, _) => worst.message.clone(),
                (all, 0) => format!("{bad} of {all} archives cannot be trusted"),
                (all, unread) if unread == bad => {
                    format!("{unread} of {all} archives cannot be read")
                }
                (all, unread) => format!(
                    "{} of {all} archives cannot be trusted, {unread} cannot be read",
                    bad - unread
                ),
            };
            let failure = Failure {
                message,
                faults: Vec::new(),
                ..worst.clone()
            };
            app.output
                .report_with(&report, Some(&failure), || lines(&report, scratch))?;
        }
        Ok(worst.kind.code())
    }
}

fn lines(report: &verify::VerifyReport, scratch: &Path) -> String {
    let line = |archive: &verify::ArchiveReport| match (archive.good, archive.root.as_deref()) {
        (true, root) => {
            let torn = archive.torn.iter();
            let torn: String = torn
                .map(|entry| {
                    format!(
                        "  - torn, no consistent copy could be made of it: {}\n",
                        printable(entry)
                    )
                })
                .collect();
            let looked: String = archive
                .looked_into
                .iter()
                .flatten()
                .map(|looked| {
                    let check = looked.check.map(|check| format!(", {check}_check"));
                    let check = check.unwrap_or_default();
                    format!(
                        "  looked into {} ({}{check})\n",
                        printable(&looked.entry),
                        looked.kind
                    )
                })
                .collect();
            let links: String = link_lines(&archive.links)
                .map(|line| format!("  - link {line}\n"))
                .collect();
            format!(
                "{}: good, {} files of {}\n{looked}{torn}{links}",
                printable_line(&archive.archive),
                archive.files.unwrap_or_default(),
                printable(root.unwrap_or_default())
            )
        }
        (false, _) => {
            let faults: String = archive
                .faults
                .iter()
                .map(|fault| format!("  - {}\n", printable_line(fault)))
                .collect();
            let is_our_fault = |fault: &String| names_scratch(fault, scratch);
            match archive.read {
                true => format!("{}: NOT GOOD\n{faults}", printable_line(&archive.archive)),
                false if archive.faults.iter().any(is_our_fault) => format!(
                    "{}: not checked, because the temporary folder cannot take its databases\n{faults}",
                    printable_line(&archive.archive)
                ),
                false => format!(
                    "{}: cannot be read, so nothing is known of it\n{faults}",
                    printable_line(&archive.archive)
                ),
            }
        }
    };
    report.archives.iter().map(line).collect()
}

/// Returns a line for each link that leads out of a directory, up to a number that a screen can show.
fn link_lines(links: &[OutsideLink]) -> impl Iterator<Item = String> {
    const MOST_LINES: usize = 20;
    let line = |link: &OutsideLink| {
        format!(
            "{}/{} leads out of the directory, to {}: the archive has the link, not what it leads to",
            printable(&link.entry),
            printable(&link.path),
            printable(&link.target)
        )
    };
    let more = links.len().saturating_sub(MOST_LINES);
    let more = (more > 0).then(|| format!("and {more} more (--json lists all)"));
    links.iter().take(MOST_LINES).map(line).chain(more)
}

/// Show what an archive says of itself and what it holds
#[derive(Debug, Args)]
#[command(
    alias = "show",
    after_help = "Examples:\n  hookshot inspect state.tar.gz\n  hookshot inspect state.tar.gz --json | jq .manifest.tags"
)]
pub struct Inspect {
    /// A file, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard input
    archive: PathBuf,
}

impl Inspect {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = inspect(&app.context, &app.input(&self.archive)?)?;
        app.output.report(&report, || describe(&report))?;
        Ok(0)
    }
}

fn describe(report: &inspect::InspectReport) -> String {
    let manifest = &report.manifest;
    let text = |value: &serde_json::Value| {
        printable(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
                .as_str(),
        )
    };
    let mut out = format!(
        "archive   {}\nroot      {}\n",
        printable_line(&report.archive),
        printable(&report.root)
    );
    if !report.verified {
        out.push_str(
            "proven    no, only its manifest was read (`hookshot verify` reads all of it)\n",
        );
    }
    if let Some(created) = manifest["created_at"]
        .as_i64()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
    {
        out.push_str(&format!(
            "created   {}\n",
            created.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        ));
    }
    for (key, label) in [
        ("hookshot_version", "hookshot"),
        ("version", "format"),
        ("hostname", "host"),
        ("app", "app"),
        ("app_version", "version"),
    ] {
        if !manifest[key].is_null() {
            out.push_str(&format!("{label:9} {}\n", text(&manifest[key])));
        }
    }
    for (key, value) in manifest["tags"].as_object().into_iter().flatten() {
        out.push_str(&format!("tag       {}={}\n", printable(key), text(value)));
    }
    let files = || manifest["files"].as_object().into_iter().flatten();
    for (name, _) in files().filter(|(_, file)| file["torn"] == true) {
        out.push_str(&format!(
            "torn      {}, no consistent copy could be made of it\n",
            printable(name)
        ));
    }
    for line in link_lines(&report.links) {
        out.push_str(&format!("link      {line}\n"));
    }
    let row = |(name, file): (&String, &serde_json::Value)| {
        let mode = printable(file["mode"].as_str().unwrap_or("-"));
        let owner = file["user"]
            .as_str()
            .map_or_else(|| "-".to_owned(), printable);
        let digest = printable(file["checksum"].as_str().unwrap_or_default());
        vec![
            printable(name),
            size(file["size"].as_u64().unwrap_or_default()),
            mode,
            owner,
            digest,
        ]
    };
    out.push('\n');
    out.push_str(&table(
        &["ENTRY", "SIZE", "MODE", "OWNER", "SHA-256"],
        files().map(row),
    ));
    out
}

/// Show what differs between an archive and this machine's state, or between two archives
///
/// Here is this machine, or the first of two archives; there is the other. Exits with 0 when nothing differs and
/// with 1 when something does.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot diff state.tar.gz\n  hookshot diff state.tar.gz --text                  # keys of configuration, never secrets\n  hookshot diff monday.tar.gz tuesday.tar.gz"
)]
pub struct Diff {
    /// A file, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard input
    archive: PathBuf,
    /// A second archive, instead of this machine's state
    pub other: Option<PathBuf>,
    /// Show which keys of configuration files differ; values that may be secrets are masked
    #[arg(long)]
    text: bool,
}

impl Diff {
    pub fn run(self, app: &App) -> Result<u8> {
        require_one_stdin([&self.archive].into_iter().chain(&self.other))?;
        let archive = app.input(&self.archive)?;
        let text = if self.text { Text::Shown } else { Text::Hidden };
        let report = match &self.other {
            Some(other) => diff(
                &app.context,
                &archive,
                &DiffSide::Archive(&app.input(other)?),
                text,
            )?,
            None => {
                let entered = app.enter(StateAccess::Read)?;
                diff(
                    &app.context,
                    &archive,
                    &DiffSide::Machine(&entered.settings),
                    text,
                )?
            }
        };
        let count = report
            .entries
            .iter()
            .filter(|entry| entry.state != "unchanged")
            .count();
        let differs =
            (count > 0).then(|| Failure::new(Kind::Differs, format!("{count} entries differ")));
        // For people the table says it, and it is not an error.
        let failure = differs.as_ref().filter(|_| app.output.is_json());
        app.output.report_with(&report, failure, || {
            let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), size);
            let row = |entry: &crate::ops::diff::EntryDiff| {
                vec![
                    printable(&entry.entry),
                    entry.state.replace('_', " "),
                    bytes(entry.here_bytes),
                    bytes(entry.there_bytes),
                ]
            };
            let mut out = table(
                &["ENTRY", "STATE", "HERE", "THERE"],
                report.entries.iter().map(row),
            );
            for text in report
                .entries
                .iter()
                .filter_map(|entry| entry.text.as_ref())
            {
                out.push('\n');
                out.push_str(text);
            }
            out
        })?;
        Ok(differs.map_or(0, |differs| differs.kind.code()))
    }
}

/// Take single entries or directories out of an archive
///
/// The whole archive is proven before anything appears; of one above 16 MiB, the entries that are taken out. Files keep mode and time, secrets are never wider than 0600. A directory comes as a whole, with its folders and the links that stay inside it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot extract state.tar.gz state.redb -o /tmp/look\n  hookshot extract state.tar.gz config.toml -o - | less\n  hookshot extract state.tar.gz data -o /tmp/look"
)]
pub struct Extract {
    /// A file, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard input
    archive: PathBuf,
    /// Names of entries, as `hookshot inspect` shows them, or of directories
    #[arg(required = true)]
    entries: Vec<EntryName>,
    /// A folder, or `-` for standard output
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,
}

impl Extract {
    pub fn run(self, app: &App) -> Result<u8> {
        let output = if self.output.as_os_str() == "-" {
            ExtractOutput::Stdout
        } else {
            ExtractOutput::Folder(self.output)
        };
        if output == ExtractOutput::Stdout && app.output.is_json() {
            let failure = Failure::new(
                Kind::Usage,
                "standard output cannot be both the entries and JSON",
            );
            return Err(failure
                .hint("extract to a folder, or leave out --json")
                .into());
        }
        if output == ExtractOutput::Stdout {
            ensure_open().context("cannot write to standard output")?;
        }
        let existing = if self.overwrite {
            Existing::Replace
        } else {
            Existing::Keep
        };
        let report = extract(
            &app.context,
            &app.input(&self.archive)?,
            &self.entries,
            &output,
            existing,
        )?;
        let failure = report.remarks.failure();
        if output != ExtractOutput::Stdout {
            let line = |entry: &crate::ops::extract::Extracted| {
                format!(
                    "{} ({})\n",
                    printable_line(entry.path.as_deref().unwrap_or_default()),
                    size(entry.size_bytes)
                )
            };
            app.output.ended(&report, failure.as_ref(), || {
                report.entries.iter().map(line).collect()
            })?;
        }
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }
}
