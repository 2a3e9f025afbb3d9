//! The verbs that the server runs: processes of this program, whose JSON is what the routes answer.
//!
//! A process of its own for each verb keeps the server small, ends by a signal, and goes on if the server is gone. The list of
//! verbs is closed: nothing that a request says becomes an option or a path.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufReader, Read},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    thread::Builder,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{
    agent::{Look, Request, Wanted},
    answer::told,
    database::Copy,
    policies::PolicyValues,
    task::Task,
};
use crate::{
    error::{Failure, Kind},
    jobs::scheduled::VARIABLE,
};

/// The verbs that run at once to answer requests.
const AT_ONCE: usize = 4;
/// The plans that are made at once: each may take long, and keeps no other verb waiting.
const PLANS_AT_ONCE: usize = 2;
/// The entries that are downloaded at once.
const DOWNLOADS_AT_ONCE: usize = 8;
/// The time after which a verb that only looks is given up.
const LONGEST_LOOK: Duration = Duration::from_secs(120);
/// The time after which a plan is given up.
const LONGEST_PLAN: Duration = Duration::from_secs(1800);
/// The most bytes of an answer: the manifest of some 190,000 entries has 60 MB.
const MOST_BYTES: u64 = 256 << 20;
/// The hidden first word of the command line that records the end of a verb.
pub const RECORDED_WORD: &str = "recorded";
/// The bytes of messages that are kept of a verb: its last ones.
pub const MOST_LOG_BYTES: usize = 64 << 10;

/// A verb that only looks. Archives are those of the index, never words of a request.
#[derive(Debug, Clone)]
pub enum Asked<'a> {
    /// The archives of all destinations.
    List,
    /// The health of all destinations.
    Status,
    /// The runs of jobs.
    History,
    /// The manifest of an archive.
    Inspect(&'a Copy),
    /// The differences between an archive and this machine's state.
    DiffHere(&'a Copy),
    /// The differences between two archives.
    Diff(&'a Copy, &'a Copy),
    /// The archives that the policy of a destination would remove, and the reasons.
    Prune(&'a str),
    /// The same under a policy that is not in force.
    Simulate(&'a str, &'a PolicyValues),
    /// The next runs of jobs.
    Schedule,
    /// The schedule and the retention in force.
    Policy,
    /// The plan of an import: an archive, and patterns of its entries.
    PlanImport(&'a str, &'a [String]),
    /// The plan of a rollback.
    PlanRollback,
}

impl Asked<'_> {
    /// Returns the name of the verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Asked::List => "list",
            Asked::Status => "status",
            Asked::History => "history",
            Asked::Inspect(_) => "inspect",
            Asked::DiffHere(_) | Asked::Diff(..) => "diff",
            Asked::Prune(_) | Asked::Simulate(..) => "prune",
            Asked::Policy => "policy",
            Asked::Schedule => "schedule",
            Asked::PlanImport(..) => "import",
            Asked::PlanRollback => "rollback",
        }
    }

    fn is_plan(&self) -> bool {
        matches!(self, Asked::PlanImport(..) | Asked::PlanRollback)
    }

    /// Returns the time after which it is given up: a plan reads the whole archive.
    fn limit(&self) -> Duration {
        match self.is_plan() {
            true => LONGEST_PLAN,
            false => LONGEST_LOOK,
        }
    }
}

impl From<&Asked<'_>> for Look {
    fn from(asked: &Asked<'_>) -> Look {
        match asked {
            Asked::List => Look::List,
            Asked::Status => Look::Status,
            Asked::History => Look::History,
            Asked::Schedule => Look::Schedule,
            Asked::Inspect(copy) => Look::Inspect {
                location: copy.location.clone(),
            },
            Asked::DiffHere(copy) => Look::Diff {
                locations: vec![copy.location.clone()],
            },
            Asked::Diff(one, other) => Look::Diff {
                locations: vec![one.location.clone(), other.location.clone()],
            },
            Asked::Prune(destination) => Look::Prune {
                destination: (*destination).to_owned(),
            },
            Asked::Simulate(destination, values) => Look::Simulate {
                destination: (*destination).to_owned(),
                values: (*values).clone(),
            },
            Asked::Policy => Look::Policy,
            Asked::PlanImport(location, entries) => Look::Import {
                location: (*location).to_owned(),
                entries: entries.to_vec(),
            },
            Asked::PlanRollback => Look::Rollback,
        }
    }
}

/// The answer of a verb.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code.
    pub exit_code: u8,
    /// Its report, or `{"error": ...}`.
    pub report: Value,
}

/// A verb at work. If its answer is not awaited any more, it is told to end, so that it leaves no scratch behind.
pub struct Working(pub Child);

impl Working {
    /// Starts a verb.
    pub fn start(command: &mut Command) -> Result<Working> {
        let child = command.spawn();
        Ok(Working(
            child.context("the process of the verb does not start")?,
        ))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // The number of a process that was waited for may be that of another one; then there is none.
        let number = self.0.id().and_then(|number| i32::try_from(number).ok());
        if let Some(number) = number {
            let _ = kill(Pid::from_raw(number), Signal::SIGTERM);
        }
    }
}

/// This program, for verbs.
pub struct Program {
    executable: PathBuf,
    /// The socket of the agent that runs them, if that is not this process.
    agent: Option<PathBuf>,
    permits: Semaphore,
    plans: Semaphore,
    /// Counts downloads.
    pub downloads: Arc<Semaphore>,
}

impl Program {
    /// Returns the program that this file has, whose verbs the agent at a socket runs, if there is one.
    pub fn new(executable: &Path, agent: Option<PathBuf>) -> Program {
        Program {
            executable: executable.to_owned(),
            agent,
            permits: Semaphore::new(AT_ONCE),
            plans: Semaphore::new(PLANS_AT_ONCE),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_AT_ONCE)),
        }
    }

    /// Returns true if an agent runs the verbs.
    pub fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// Returns the command of a verb that only looks.
    pub fn command(&self, config: &Path, look: Look) -> Result<Command> {
        let mut command = std::process::Command::new(&self.executable);
        command.arg0("hookshot");
        command.args(self.words(config, Wanted::Look(look))?);
        prepare(&mut command);
        Ok(Command::from(command))
    }

    /// Returns the words of a verb, or those by which the agent is asked for it.
    fn words(&self, config: &Path, wanted: Wanted) -> Result<Vec<OsString>> {
        let mut words = vec![OsString::from("--config"), config.into()];
        words.extend(wanted.form().iter().map(OsString::from));
        let Some(agent) = &self.agent else {
            words.extend(wanted.words());
            return Ok(words);
        };
        let config = config.display().to_string();
        let request = serde_json::to_string(&Request { config, wanted })?;
        words.extend(["serve", "ask", "--socket"].map(OsString::from));
        words.extend([agent.into(), "--".into(), request.into()]);
        Ok(words)
    }

    /// Returns the command of a verb that works: in a session of its own, with messages in JSON, and with a record of its end.
    pub fn recorded_command(&self, record: &Path, config: &Path, task: &Task) -> Result<Command> {
        let mut command = std::process::Command::new(&self.executable);
        command.arg0("hookshot").arg(RECORDED_WORD).arg(record);
        command.arg(&self.executable);
        command.args(self.words(config, Wanted::Task(task.clone()))?);
        prepare(&mut command);
        Ok(Command::from(command))
    }

    /// Asks a verb, and waits for its answer.
    pub async fn ask(&self, config: &Path, asked: &Asked<'_>) -> Result<Answer> {
        let parse = |report: &mut dyn Read| Ok(serde_json::from_reader(BufReader::new(report))?);
        let (status, report) = self.read(config, asked, parse).await?;
        Ok(Answer {
            exit_code: exit_code(status),
            report,
        })
    }

    /// Asks a verb, and passes its report to `read` while it comes: a large one is never in memory as a whole.
    pub async fn read<T: Send + 'static>(
        &self,
        config: &Path,
        asked: &Asked<'_>,
        read: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<(ExitStatus, T)> {
        let permits = match asked.is_plan() {
            true => &self.plans,
            false => &self.permits,
        };
        let _permit = permits.acquire().await?;
        let mut command = self.command(config, Look::from(asked))?;
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Working::start(&mut command)?;
        let stdout = child.0.stdout.take().context("no output")?;
        let mut stdout = File::from(stdout.into_owned_fd()?).take(MOST_BYTES);
        // A thread of its own: a verb that takes long keeps no password waiting.
        let (tell, told) = oneshot::channel();
        let thread = Builder::new().name("report".to_owned());
        thread.spawn(move || {
            let _ = tell.send(read(&mut stdout));
        })?;
        let work = async {
            let read = told.await?;
            // A verb whose reader had enough ends by itself.
            Ok::<_, anyhow::Error>((child.0.wait().await?, read))
        };
        let limit = asked.limit();
        let Ok(ended) = timeout(limit, work).await else {
            return Err(silent(asked.verb(), limit).into());
        };
        let (status, read) = ended?;
        let read = read.context("the verb gave no report: see the log of the server")?;
        Ok((status, read))
    }

    /// Returns the health of all destinations as Prometheus reads it.
    pub async fn metrics(&self, config: &Path) -> Result<String> {
        let _permit = self.permits.acquire().await?;
        let mut command = self.command(config, Look::Metrics)?;
        command.kill_on_drop(true);
        let Ok(output) = timeout(LONGEST_LOOK, command.output()).await else {
            return Err(silent("status", LONGEST_LOOK).into());
        };
        let output = output.context("the process of the verb does not start")?;
        // If something is not healthy, the metrics say so.
        if output.stdout.is_empty() {
            return Err(failure(output.status, &output.stderr).into());
        }
        String::from_utf8(output.stdout).context("the metrics are not text")
    }
}

/// Gives a verb no input, and none of the variables that are for the server alone.
pub fn prepare(command: &mut std::process::Command) {
    command.stdin(Stdio::null());
    // A variable of the server would make JSON of everything; `--json` says what is JSON.
    command.env_remove(VARIABLE).env_remove("HOOKSHOT_JSON");
    // The service manager listens to the server alone.
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(1)
}

/// Returns the failure of a verb that took too long.
pub fn silent(verb: &str, limit: Duration) -> Failure {
    let limit = limit.as_secs();
    let message = format!("`hookshot {verb}` gave no answer within {limit} s");
    Failure::new(Kind::Unreachable, message).hint("run it on the machine to see why")
}

/// Returns the failure that a verb wrote to its log, in JSON, before it ended.
pub fn failure(status: ExitStatus, messages: &[u8]) -> Failure {
    let lines = messages.rsplit(|byte| *byte == b'\n');
    let records = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut errors = records.filter(|record| record["level"] == "ERROR");
    let told = errors.find_map(|record| told(&record));
    told.unwrap_or_else(|| {
        let message = format!("the verb ended with exit code {}", exit_code(status));
        Failure::new(Kind::Failed, message).hint("the log of the server says more")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_failure_of_a_verb_is_the_last_error_of_its_log() {
        let status = ExitStatus::from_raw(10 << 8);
        let log = b"{\"level\":\"INFO\",\"message\":\"x\"}\nnot json\n\
            {\"level\":\"ERROR\",\"message\":\"no such entry\",\"kind\":\"not_found\",\"hint\":\"look\"}\n";
        let told = failure(status, log);
        assert_eq!(
            (told.kind, told.message.as_str()),
            (Kind::NotFound, "no such entry")
        );
        assert_eq!(told.hint.as_deref(), Some("look"));
        let silent = failure(status, b"");
        assert_eq!(silent.message, "the verb ended with exit code 10");
    }
}
