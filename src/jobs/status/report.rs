//! The report of `status`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::next::NextRun;
use crate::{
    error::Failure,
    jobs::runs::ShownRun,
    model::{health::Problem, run_record::RunRecord},
};

/// The health of the destinations, and of the runs of the configuration.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// True if nothing is wrong.
    pub healthy: bool,
    /// The application.
    pub app: String,
    /// The version of this hookshot.
    pub version: String,
    /// The time of this look.
    pub time: String,
    /// The destinations, each with its problems. With all hosts, there is one row for each prefix.
    pub destinations: Vec<DestinationStatus>,
    /// The problems of the runs.
    #[serde(flatten)]
    pub said: Said,
    /// The run that is at work.
    pub running: Option<RunRecord>,
    /// The last backup that ended or was killed.
    pub last_run: Option<ShownRun>,
    /// The last drill that ended or was killed.
    pub last_drill: Option<ShownRun>,
    /// The next job to start.
    pub next_run: Option<NextRun>,
    /// The next start of each job.
    pub next_runs: Vec<NextRun>,
    /// The same time.
    #[serde(skip)]
    pub now: DateTime<Utc>,
    /// The failure that says that something is wrong.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// Problems and remarks, in sentences and for programs.
#[derive(Debug, Default, Serialize)]
pub struct Said {
    /// The sentences about what is wrong.
    pub problems: Vec<String>,
    /// The sentences about what is worth a look, and not wrong.
    pub remarks: Vec<String>,
    /// Both, with the word for their kind and the advice.
    pub details: Vec<Detail>,
}

/// A problem or a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The word for its kind.
    pub kind: &'static str,
    /// The sentence.
    pub message: String,
    /// The advice.
    pub hint: String,
    /// False for a remark.
    pub unhealthy: bool,
}

impl Said {
    /// Writes problems and remarks.
    pub fn of(problems: &[Problem], remarks: &[Problem]) -> Said {
        let detail = |unhealthy: bool| {
            move |problem: &Problem| Detail {
                kind: problem.kind(),
                message: problem.to_string(),
                hint: problem.hint(),
                unhealthy,
            }
        };
        let words = |problems: &[Problem]| problems.iter().map(Problem::to_string).collect();
        Said {
            problems: words(problems),
            remarks: words(remarks),
            details: (problems.iter().map(detail(true)))
                .chain(remarks.iter().map(detail(false)))
                .collect(),
        }
    }
}

/// The health of one destination, of the archives of one prefix.
#[derive(Debug, Serialize)]
pub struct DestinationStatus {
    /// Its name in the configuration, or its address.
    pub name: String,
    /// The destination as messages name it.
    pub destination: String,
    /// The prefix of the archives.
    pub prefix: String,
    /// True if nothing is wrong.
    pub healthy: bool,
    /// The newest good archive.
    pub newest: Option<NewestArchive>,
    /// The number of archives; `None` if the destination cannot be read.
    pub archives: Option<usize>,
    /// Their bytes.
    pub size_bytes: Option<u64>,
    /// Its problems and remarks.
    #[serde(flatten)]
    pub said: Said,
    /// The largest age of the newest good archive.
    pub max_age_seconds: u64,
    /// The time since which nothing has changed, if the last run found that.
    pub unchanged_since: Option<String>,
    /// The time at which a run found that.
    pub checked_at: Option<String>,
    /// The newest archives, the newest first.
    pub trend: Vec<Trend>,
    /// The free space, if the destination tells it.
    pub room_bytes: Option<u64>,
    /// The private keys of this machine that open the newest archive; null without such a key, and if it is not sealed.
    pub opened_by: Option<Vec<String>>,
    /// The last proof that an archive arrived.
    pub last_proof: Option<LastProof>,
    /// The time of the last drill that was good.
    pub last_drill: Option<String>,
    /// The last time at which it was known to hold the present state.
    #[serde(skip)]
    pub fresh_at: Option<DateTime<Utc>>,
    /// The time of [`DestinationStatus::last_drill`].
    #[serde(skip)]
    pub drilled_at: Option<DateTime<Utc>>,
    /// True if the history has a drill of it, good or not.
    #[serde(skip)]
    pub is_drilled: bool,
}

/// The newest good archive of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewestArchive {
    /// Its name.
    pub name: String,
    /// The time of its snapshot.
    pub time: String,
    /// Its age.
    pub age_seconds: i64,
    /// Its stored size.
    pub size_bytes: u64,
    /// The bytes of its entries, if its manifest tells them.
    pub content_bytes: Option<u64>,
}

/// The sizes of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// The name of the archive.
    pub name: String,
    /// The time of its snapshot.
    pub time: String,
    /// Its stored size.
    pub size_bytes: u64,
    /// The bytes of its entries, if its manifest was read.
    pub content_bytes: Option<u64>,
}

/// The last proof that a destination holds an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastProof {
    /// The begin of the run.
    pub time: String,
    /// The archive.
    pub archive: Option<String>,
    /// The proof: `checksum` or `read-back`.
    pub proof: String,
}
