//! Events of the agent.

use std::path::PathBuf;

use crate::model::job::Job;

/// An event of the agent. Times are those of the schedule's zone, as RFC 3339 writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// It follows the schedules of its configurations.
    Ready {
        /// The number of configurations.
        configurations: usize,
        /// The number of jobs.
        jobs: usize,
        /// The next start.
        next: Option<String>,
    },
    /// An enabled timer of systemd starts a job, so the agent does not.
    LeftOut {
        /// The configuration.
        config: PathBuf,
        /// The job.
        job: Job,
    },
    /// A configuration cannot be followed.
    Refused {
        /// The configuration.
        config: PathBuf,
        /// The reason.
        reason: String,
        /// True if the one that was read before stays in force.
        keeps_old: bool,
    },
    /// A job starts.
    Starts {
        /// The run.
        run: AgentRun,
        /// The moment of the timetable.
        moment: String,
        /// True if the moment was missed, and is made up for.
        is_late: bool,
    },
    /// A job cannot be started.
    NotStarted {
        /// The run.
        run: AgentRun,
        /// The reason.
        reason: String,
    },
    /// A job ended.
    Ended {
        /// The run.
        run: AgentRun,
        /// The exit code; 128 and the number of a signal after a signal.
        exit_code: i32,
        /// Its duration in seconds.
        seconds: u64,
        /// The next start of the job.
        next: Option<String>,
    },
    /// A job waits for others to end.
    Waits {
        /// The run.
        run: AgentRun,
    },
    /// A moment was missed and is not made up for.
    Passed {
        /// The run.
        run: AgentRun,
        /// The moment of the timetable.
        moment: String,
    },
    /// The agent ends, after the jobs that run.
    Ending {
        /// The number of jobs that run.
        running: usize,
    },
    /// A job did not end in time, and is interrupted.
    Interrupts {
        /// The run.
        run: AgentRun,
    },
    /// A job did not end after that, and is killed because the agent was asked to end once more.
    Kills {
        /// The run.
        run: AgentRun,
    },
}

/// A run of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRun {
    /// The name of the application.
    pub app: String,
    /// The job.
    pub job: Job,
    /// The configuration.
    pub config: PathBuf,
}
