//! The verdict on an archive, with its reasons, and its words.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{
    archive::{Archive, Mark, Standing, moment},
    calendar::Bucket,
    policy::{Count, Rule},
    span::Span,
};

/// An archive and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The archive.
    pub archive: Archive,
    /// The verdict.
    pub verdict: Verdict,
}

/// A verdict: keep or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The archive stays, for each of these reasons; never without one.
    Keep(Vec<Reason>),
    /// The archive is removed.
    Remove(Removal),
}

/// A reason to keep an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The policy has no rules, so nothing is removed.
    NoPolicy,
    /// It is dated in the future because of a wrong clock, here or on the machine that made it. No rule considers it.
    Future,
    /// It is dated more than a day after its arrival. No rule considers it.
    Ahead,
    /// A user marked it.
    Marked(Mark),
    /// One of the newest.
    Last {
        /// Counted from the newest, which is 1.
        position: usize,
        /// The number of archives that the rule keeps.
        count: Count,
    },
    /// The newest of its hour, day, week, month or year; one with a torn database only if the bucket has no other one.
    Newest(Bucket),
    /// The oldest, while the rule has counts left.
    Oldest(Rule),
    /// Newer than the time of the newest archive minus a span.
    Within(Span),
    /// The newest archive that is known to be good, whatever the rules say.
    NewestGood,
    /// The newest archive that may be good, newer than every one that is known to be good.
    NewestUnproven,
    /// The newest archive; it is sealed, no key opens it, and it is newer than every one that is known to be good.
    NewestSealed,
    /// The newest archive, although a database in it is torn.
    NewestTorn,
    /// Damaged or incomplete, and no archive that counts is as new.
    NothingBetter(Standing),
}

/// The reason to remove an archive, and the archive that took its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The cause.
    pub cause: Cause,
    /// The time at which its mark ended, if it had one.
    pub mark_ended: Option<DateTime<Utc>>,
    /// The name of the archive that took its place; that archive is kept and counts.
    pub replacement: String,
    /// The standing of that archive; it counts.
    pub replacement_standing: Standing,
}

/// A cause for removing an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its bucket keeps a newer archive. The bucket is that of the finest rule in which a bucket of the archive keeps
    /// one.
    Outdone(Bucket),
    /// No rule reaches back to it; the next newer archive that is kept took its place.
    BeyondRules,
    /// It is damaged or incomplete, and an archive that counts is as new. The archive that its bucket keeps took its
    /// place, else the next newer one that is kept.
    Bad(Standing),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoPolicy => f.write_str("no policy"),
            Reason::Future => f.write_str("dated in the future"),
            Reason::Ahead => f.write_str("dated after it was written"),
            Reason::Marked(mark) => write!(f, "marked: keep {mark}"),
            Reason::Last { position, count } => write!(f, "last {position} of {count}"),
            Reason::Newest(bucket) => write!(f, "{bucket}"),
            Reason::Oldest(rule) => write!(f, "oldest, {rule} counts remain"),
            Reason::Within(span) => write!(f, "within {span}"),
            Reason::NewestGood => f.write_str("newest good archive"),
            Reason::NewestUnproven => f.write_str("newest archive, unproven"),
            Reason::NewestSealed => f.write_str("newest archive, sealed"),
            Reason::NewestTorn => f.write_str("newest archive, with a torn database"),
            Reason::NothingBetter(standing) => {
                write!(f, "{standing}, but no good archive is as new")
            }
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Outdone(bucket) => write!(f, "{bucket}: replaced by {}", self.replacement)?,
            Cause::BeyondRules => write!(f, "beyond every rule: replaced by {}", self.replacement)?,
            Cause::Bad(standing) => write!(f, "{standing}: replaced by {}", self.replacement)?,
        }
        if self.replacement_standing != Standing::Good {
            write!(f, " ({})", self.replacement_standing)?;
        }
        if let Some(end) = self.mark_ended {
            write!(f, "; its mark ended {}", moment(end))?;
        }
        Ok(())
    }
}
