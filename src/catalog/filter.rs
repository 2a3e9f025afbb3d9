//! The selection of archives by their times and by what their manifests say.

use std::{collections::BTreeMap, num::NonZeroUsize, str::FromStr};

use anyhow::Result;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Timelike as _, Utc};

use super::{
    each::Hosts,
    input::{ArchiveInput, Candidates},
    outside::Inside,
    repository::{ArchiveListing, ListedArchive, Manifests, Naming, OtherFile, Repository},
    target::Target,
};
use crate::{
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{known_archive::Maker, quantity::TimeLimit},
    store::is_cold,
};

/// The number of manifests in a row that a destination may refuse before no further one is asked for.
const MOST_REFUSALS: usize = 3;

/// A selection of archives. The default selects all.
#[derive(Debug, Clone, Default)]
pub struct ArchiveFilter {
    /// The earliest time.
    pub since: Option<DateTime<Utc>>,
    /// The first time that is too late.
    pub until: Option<DateTime<Utc>>,
    /// Labels that the manifest has, all of them.
    pub tags: Vec<(String, String)>,
    /// The application that the manifest names.
    pub app: Option<String>,
    /// The machine that the manifest names.
    pub host: Option<String>,
    /// The most archives of each destination; the newest are selected.
    pub last: Option<NonZeroUsize>,
}

/// A moment as people write it: a day in UTC (`2027-01-31`), a time of RFC 3339, or an age (`7d`, `12h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Day(NaiveDate),
    /// A time.
    Time(DateTime<Utc>),
    /// As long ago.
    Age(TimeLimit),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        if let Some(day) = day.filter(|day| day.to_string() == text) {
            return Ok(Moment::Day(day));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Moment::Time(time.to_utc()));
        }
        // A number alone could be a year.
        let age = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let age = age.then(|| text.parse().ok()).flatten();
        age.map(Moment::Age).ok_or_else(|| {
            "a moment is a day such as `2027-01-31`, a time of RFC 3339, or an age such as `7d` or `12h`".to_owned()
        })
    }
}

impl Moment {
    /// Returns the time at which it begins.
    pub fn begins(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
            Moment::Time(time) => time,
            Moment::Age(age) => {
                let age = TimeDelta::from_std(age.duration()).ok();
                let then = age.and_then(|age| now.checked_sub_signed(age));
                then.unwrap_or(DateTime::<Utc>::MIN_UTC)
            }
        }
    }

    /// Returns the first time after it: a day ends with its last second.
    pub fn ends(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::Day(day) => {
                let next = day.checked_add_days(Days::new(1)).map(Moment::Day);
                next.map_or(DateTime::<Utc>::MAX_UTC, |next| next.begins(now))
            }
            Moment::Time(_) | Moment::Age(_) => {
                // Archives have times of whole seconds.
                let begins = self.begins(now).with_nanosecond(0);
                let ends =
                    begins.and_then(|begins| begins.checked_add_signed(TimeDelta::seconds(1)));
                ends.unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        }
    }
}

impl ArchiveFilter {
    /// Returns true if it selects every archive.
    pub fn is_everything(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.last.is_none() && !self.asks_manifest()
    }

    fn asks_manifest(&self) -> bool {
        !self.tags.is_empty() || self.app.is_some() || self.host.is_some()
    }

    /// Returns true if the archive is of the wanted time. One of which only the day is known may be of any time of it.
    fn is_in_time(&self, listed: &ListedArchive) -> bool {
        let first = listed.time;
        let last = match listed.naming == Naming::Day && listed.created.is_none() {
            true => first + TimeDelta::hours(24) - TimeDelta::seconds(1),
            false => first,
        };
        self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until)
    }

    fn fits(&self, tags: &BTreeMap<String, String>, maker: &Maker) -> bool {
        let has = |(key, value): &(String, String)| tags.get(key) == Some(value);
        let is = |wanted: &Option<String>, said: &Option<String>| {
            wanted.is_none() || wanted.as_deref() == said.as_deref()
        };
        self.tags.iter().all(has) && is(&self.app, &maker.app) && is(&self.host, &maker.host)
    }

    /// Leaves the selected archives of a listing, and returns the number of the others. An archive whose manifest
    /// cannot be read is one of the files of which it is not known.
    pub fn apply(
        &self,
        context: &Context,
        repository: &dyn Repository,
        listing: &mut ArchiveListing,
    ) -> Result<usize> {
        if self.is_everything() {
            return Ok(0);
        }
        let all = listing.archives.len();
        let (mut kept, mut unknown, mut refusals) = (Vec::new(), 0, 0);
        for listed in std::mem::take(&mut listing.archives) {
            if self.last.is_some_and(|last| kept.len() >= last.get()) {
                break;
            }
            if !self.is_in_time(&listed) {
                continue;
            }
            if self.asks_manifest() {
                context.stop.check()?;
                let read = repository.inside(context, &listed.stored);
                refusals = if read.is_ok() { 0 } else { refusals };
                let why = match read {
                    Ok(Inside::Closed(failure)) => Some(failure.message),
                    Ok(inside) => match inside.tags().zip(inside.maker()) {
                        Some((tags, maker)) if self.fits(tags, &maker) => None,
                        Some(_) => continue,
                        None => Some("its manifest cannot be read without all of it".to_owned()),
                    },
                    Err(error) => {
                        let failure = Failure::of(&error);
                        match failure.kind {
                            // It was removed since it was listed.
                            Kind::NotFound => continue,
                            Kind::Interrupted(_) => return Err(error),
                            _ if is_cold(&failure) => Some(failure.message),
                            _ => {
                                refusals += 1;
                                if refusals >= MOST_REFUSALS {
                                    return Err(error);
                                }
                                Some(failure.message)
                            }
                        }
                    }
                };
                if let Some(reason) = why {
                    unknown += 1;
                    listing.other_files.push(OtherFile {
                        name: listed.stored.name,
                        name_escaped: None,
                        reason,
                        is_foreign: false,
                        is_unread: true,
                    });
                    continue;
                }
            }
            kept.push(listed);
        }
        listing.archives = kept;
        Ok(all - listing.archives.len() - unknown)
    }
}

/// Archives of a destination that a filter selects.
pub struct FilteredInputs {
    /// The archives, the newest first; at least one, or else a file in `other_files`.
    pub archives: Vec<ArchiveInput>,
    /// Files of which it is not known if they are such archives.
    pub other_files: Vec<OtherFile>,
}

/// Returns the archives of the destination that `target` names which `filter` selects.
pub fn filtered_inputs(
    context: &Context,
    settings: &Settings,
    target: &Target,
    hosts: Hosts,
    filter: &ArchiveFilter,
) -> Result<FilteredInputs> {
    let Some(destination) = target.place(context, settings)? else {
        return Err(one_archive(&target.shown()).into());
    };
    let repository = destination.repository;
    // Without filters, every archive of a folder is meant.
    let prefix = match target {
        Target::Path(_) | Target::Standard => None,
        Target::Named(_) | Target::Url(_) => hosts.prefix(settings),
    };
    let mut listing = repository.list(prefix, Manifests::OfAll)?;
    let filtered = filter.apply(context, &*repository, &mut listing)?;
    if listing.archives.is_empty() && listing.other_files.is_empty() {
        return Err(nothing_fits(&repository.shown(), filtered).into());
    }
    let archives = listing.archives.into_iter().map(|listed| {
        let names = vec![listed.stored.name];
        ArchiveInput::Stored(Candidates::new(repository.clone(), names))
    });
    Ok(FilteredInputs {
        archives: archives.collect(),
        other_files: listing.other_files,
    })
}

/// Returns the failure of a selection that none of `all` archives fits.
pub fn nothing_fits(place: &str, all: usize) -> Failure {
    let message = match all {
        0 => format!("{place} has no archive that filters could select"),
        1 => format!("the one archive of {place} does not fit the filters"),
        _ => format!("none of the {all} archives of {place} fits the filters"),
    };
    let hint = format!("`hookshot list {place}` shows what is there");
    Failure::new(Kind::NotFound, message).hint(hint)
}

/// Returns the failure of filters beside a word that names one archive.
pub fn one_archive(name: &str) -> Failure {
    let message =
        format!("filters select among the archives of a destination, and {name} is one archive");
    Failure::new(Kind::Usage, message)
        .hint("leave the filters out, or name the destination without an archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_times_and_ages() {
        let now = "2027-03-10T12:00:00Z".parse().expect("a time");
        let begins = |text: &str| {
            let moment: Moment = text.parse().expect(text);
            moment.begins(now).to_rfc3339()
        };
        assert_eq!(begins("2027-01-31"), "2027-01-31T00:00:00+00:00");
        assert_eq!(
            begins("2027-01-31T02:00:00+02:00"),
            "2027-01-31T00:00:00+00:00"
        );
        assert_eq!(begins("7d"), "2027-03-03T12:00:00+00:00");
        assert_eq!(begins("1d12h"), "2027-03-09T00:00:00+00:00");
        for wrong in ["", "2027", "7", "yesterday", "2027-1-31", "-7d", "7 days"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
        let ends = |text: &str| {
            let moment: Moment = text.parse().expect(text);
            moment.ends(now).to_rfc3339()
        };
        assert_eq!(ends("2027-01-31T03:00:00.5Z"), "2027-01-31T03:00:01+00:00");
        let day: Moment = "2027-01-31".parse().expect("a day");
        assert_eq!(day.ends(now).to_rfc3339(), "2027-02-01T00:00:00+00:00");
        let long: Moment = "99999999999d".parse().expect("an age");
        assert!(long.begins(now) < DateTime::<Utc>::UNIX_EPOCH);
    }
}
