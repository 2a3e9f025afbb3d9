//! `verify`: proves archives good, and names every fault of those that are not.

mod deep;
mod outside;
mod torn;

use serde::Serialize;

pub use self::deep::{InspectedKind, Looked};
use self::{
    deep::Looking,
    torn::{ListedTorn, NotingTorn},
};
use super::inspect::{OutsideLink, outside_links};
use crate::{
    archive::{Verified, reader::Discard},
    catalog::{
        dates, input::ArchiveInput, known::KnownArchives, opening::is_sealed, repository::OtherFile,
    },
    context::Context,
    error::{Failure, Kind},
    model::archive_name::Ending,
    model::entry_name::EntryName,
    model::version::{Compatibility, compatibility, incompatible},
    store::is_cold,
    work::{events::ArchiveEvent, remark::RemarkKind, remarks::Remarks},
};

/// The depth of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Every byte.
    Bytes,
    /// Every byte, and what databases and configuration hold.
    Content,
}

/// The results of the verification.
#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// One for each archive, in the order in which they were named.
    pub archives: Vec<ArchiveReport>,
    /// Files of the folders that surely are not archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_files: Vec<OtherFile>,
    /// Remarks about what could not be checked.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// The worst that was found.
    #[serde(skip)]
    pub worst: Option<Failure>,
}

/// The results for one archive.
#[derive(Debug, Serialize)]
pub struct ArchiveReport {
    /// Its name.
    pub archive: String,
    /// The path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// True if the archive is good.
    pub good: bool,
    /// True if it could be read at all; if not, nothing is known of it.
    pub read: bool,
    /// `outside` if no key opens it, and its bytes are those that this machine proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<&'static str>,
    /// Everything that is wrong with it.
    pub faults: Vec<String>,
    /// Its root folder, if it is good.
    pub root: Option<String>,
    /// The number of its entries.
    pub files: Option<u64>,
    /// The bytes of its entries.
    pub content_bytes: Option<u64>,
    /// Its entries that are torn: their content is what the manifest says, and may be no state that the file ever had.
    /// Of those in listed directories, the first 10,000 are named.
    pub torn: Vec<String>,
    /// The number of torn entries that are not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn_more: Option<u64>,
    /// The links that lead out of its directories: it has them, and not what they lead to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<OutsideLink>,
    /// The inspected entries, if an inspection was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_into: Option<Vec<Looked>>,
}

impl VerifyReport {
    /// Returns the number of sealed archives that no key opened, and whose bytes are those that this machine proved.
    pub fn outside(&self) -> usize {
        let archives = self.archives.iter();
        archives.filter(|archive| archive.proven.is_some()).count()
    }

    /// Takes the stored bytes of sealed archives for enough: that no key opened them is a warning, and no failure.
    pub fn accept_outside(&mut self) {
        let outside = self.outside();
        if outside == 0 {
            return;
        }
        // It is the least that can be found.
        self.worst.take_if(|worst| worst.kind == Kind::Partial);
        let message = format!(
            "{outside} sealed archives have the bytes that this machine proved, and were not opened: no key is given"
        );
        self.remarks.warning(RemarkKind::Key, "", message);
    }
}

/// Reads every archive to its end, as [`verify_known`] does without records.
pub fn verify(
    context: &Context,
    locations: &[ArchiveInput],
    depth: VerifyDepth,
) -> Result<VerifyReport, Failure> {
    verify_known(context, None, locations, depth)
}

/// Reads every archive to its end. One that is sealed, and that no key opens, is compared with the record that this
/// machine has of it. If the newest of a place is requested and is damaged, the next older one is read as
/// well, until one is good. Each of them is reported.
pub fn verify_known(
    context: &Context,
    known: Option<&KnownArchives>,
    locations: &[ArchiveInput],
    depth: VerifyDepth,
) -> Result<VerifyReport, Failure> {
    let mut report = VerifyReport {
        archives: Vec::new(),
        other_files: Vec::new(),
        remarks: context.remarks(),
        worst: None,
    };
    let mut waiting: Vec<ArchiveInput> = locations.iter().rev().cloned().collect();
    while let Some(location) = waiting.pop() {
        context.stop.check()?;
        let (archive, failure) =
            match verify_archive(context, &location, depth, &mut report.remarks) {
                (archive, Some(failure)) if failure.kind == Kind::Key => {
                    verify_outside(context, known, &location, (archive, failure))
                }
                verified => verified,
            };
        if matches!(
            &failure,
            Some(Failure {
                kind: Kind::Interrupted(_),
                ..
            })
        ) {
            return Err(failure.unwrap_or_else(|| Failure::new(Kind::Failed, "interrupted")));
        }
        report.archives.push(archive);
        if matches!(&failure, Some(failure) if failure.kind == Kind::Refused || is_cold(failure)) {
            waiting.extend(location.older());
        }
        if let Some(failure) = failure
            && report
                .worst
                .as_ref()
                .is_none_or(|worst| rank(&failure) > rank(worst))
        {
            report.worst = Some(failure);
        }
    }
    Ok(report)
}

/// A damaged archive says more than one of another version, and that more than a missing one.
fn rank(failure: &Failure) -> u8 {
    match failure.kind {
        Kind::Refused => 4,
        Kind::Version => 3,
        Kind::NotFound => 1,
        Kind::Partial => 0,
        _ => 2,
    }
}

/// Returns the report on an archive that no key opens, if this machine has a record of it; else what was found.
fn verify_outside(
    context: &Context,
    known: Option<&KnownArchives>,
    location: &ArchiveInput,
    found: (ArchiveReport, Failure),
) -> (ArchiveReport, Option<Failure>) {
    let (archive, failure) = found;
    // A key that was named and does not fit, or cannot be loaded, is the answer.
    if context.keys.ring().is_ok_and(|ring| !ring.is_empty()) || context.keys.ring().is_err() {
        return (archive, Some(failure));
    }
    match outside::compare(context, known, location) {
        Ok(None) => (archive, Some(failure)),
        Ok(Some(content)) => {
            let archive = ArchiveReport {
                good: true,
                read: true,
                faults: Vec::new(),
                proven: Some("outside"),
                root: content.root,
                files: Some(content.files),
                content_bytes: Some(content.content_bytes),
                ..archive
            };
            (archive, Some(outside::unopened(&location.shown())))
        }
        Err(error) => {
            let failure = Failure::of(&error);
            let read = failure.kind == Kind::Refused;
            let faults = vec![failure.message.clone()];
            let archive = ArchiveReport {
                read,
                ..bad(location, faults)
            };
            (archive, Some(failure))
        }
    }
}

fn verify_archive(
    context: &Context,
    location: &ArchiveInput,
    depth: VerifyDepth,
    remarks: &mut Remarks,
) -> (ArchiveReport, Option<Failure>) {
    let mut read = || -> anyhow::Result<_> {
        match depth {
            VerifyDepth::Bytes => {
                let mut noting = NotingTorn::new(Discard);
                let verified = location.read(context, "verifying", &mut noting)?;
                let links = outside_links(&verified)?;
                Ok((verified, links, noting.finish().1, None))
            }
            VerifyDepth::Content => {
                let looking = Looking::new(context, location.shown())?;
                let mut noting = NotingTorn::new(looking);
                let verified = location.read(context, "verifying", &mut noting)?;
                let links = outside_links(&verified)?;
                let (looking, torn) = noting.finish();
                let looked = looking.look(remarks)?;
                Ok((verified, links, torn, Some(looked)))
            }
        }
    };
    match read() {
        Ok((verified, links, torn, looked)) => {
            let manifest = verified.manifest();
            if compatibility(&manifest.hookshot_version, &context.version)
                == Compatibility::Incompatible
            {
                context.tell(ArchiveEvent::OtherVersion {
                    archive: location.shown(),
                    reason: incompatible(&manifest.hookshot_version, &context.version),
                });
            }
            let odd = dates::odd(location.file_name(), manifest.created_at, context.now);
            if let Some(odd) = odd {
                let message = format!("{}: {odd}", location.shown());
                remarks.warning(RemarkKind::Date, "", message);
            }
            let (looked_into, faults) = looked.unzip();
            if is_misnamed(location) {
                let message = format!(
                    "{} is not sealed, although its name says so: rename it, or seal it with `hookshot copy`",
                    location.shown()
                );
                remarks.warning(RemarkKind::Recipients, "", message);
            }
            let faults = faults.unwrap_or_default();
            let failure = refusal(location, &faults);
            let archive = ArchiveReport {
                looked_into,
                ..described(location, &verified, links, torn, faults)
            };
            (archive, failure)
        }
        Err(error) => {
            let failure = Failure::of(&error);
            let faults = if failure.faults.is_empty() {
                vec![failure.message.clone()]
            } else {
                failure.faults.clone()
            };
            let read = matches!(failure.kind, Kind::Refused | Kind::Version);
            let archive = ArchiveReport {
                read,
                ..bad(location, faults)
            };
            (archive, Some(failure))
        }
    }
}

/// Returns true if the name of an archive says that it is sealed, and its bytes do not.
fn is_misnamed(location: &ArchiveInput) -> bool {
    let name = location.file_name();
    if name.and_then(Ending::of_file) != Some(Ending::Sealed) {
        return false;
    }
    let source = location.bytes().ok().flatten();
    source.is_some_and(|source| matches!(is_sealed(&location.shown(), &*source), Ok(false)))
}

/// An archive that was read to its end, with what is wrong with its content.
fn described(
    location: &ArchiveInput,
    verified: &Verified,
    links: Vec<OutsideLink>,
    listed: ListedTorn,
    faults: Vec<String>,
) -> ArchiveReport {
    let manifest = verified.manifest();
    if !faults.is_empty() {
        return bad(location, faults);
    }
    let torn = manifest.torn().map(|(name, _)| name);
    let mut torn: Vec<&EntryName> = torn.chain(&listed.named).collect();
    torn.sort();
    ArchiveReport {
        archive: location.shown(),
        archive_escaped: location.escaped(),
        good: true,
        read: true,
        proven: None,
        faults,
        root: Some(verified.root().to_owned()),
        files: Some(manifest.count()),
        content_bytes: Some(manifest.total_bytes()),
        torn: torn.into_iter().map(ToString::to_string).collect(),
        torn_more: Some(listed.more).filter(|more| *more > 0),
        links,
        looked_into: None,
    }
}

fn bad(location: &ArchiveInput, faults: Vec<String>) -> ArchiveReport {
    ArchiveReport {
        archive: location.shown(),
        archive_escaped: location.escaped(),
        good: false,
        read: true,
        proven: None,
        faults,
        root: None,
        files: None,
        content_bytes: None,
        torn: Vec::new(),
        torn_more: None,
        links: Vec::new(),
        looked_into: None,
    }
}

/// The failure of an archive whose bytes are what they should be, and whose content is not.
fn refusal(location: &ArchiveInput, faults: &[String]) -> Option<Failure> {
    let first = faults.first()?;
    let message = format!("{}: {first}", location.shown());
    let hint = "every byte is what the manifest says: the archive was made of something that was not good; use another \
        one, or take the rest out with `hookshot extract`";
    let failure = Failure::new(Kind::Refused, message).hint(hint);
    Some(failure.faults(faults.to_vec()))
}
