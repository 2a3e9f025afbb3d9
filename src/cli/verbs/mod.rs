//! The verbs, one file each: its arguments, the call of its recipe in `ops`, and the call of its report in `render`.

mod agent;
mod backup;
mod check;
mod completions;
mod consent;
mod convert;
mod copy;
mod delete;
mod demo;
#[cfg(feature = "serve")]
mod demo_serve;
mod diff;
mod drill;
mod export;
mod extract;
mod filter;
mod flags;
mod guard;
mod history;
mod hooked;
mod import;
mod init;
mod inspect;
mod keep;
mod key;
mod list;
mod man;
mod notify;
mod policy;
mod protect;
mod prune;
mod rekey;
mod repo;
mod rollback;
mod schedule;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod serve_agent;
#[cfg(feature = "serve")]
mod serve_policy;
#[cfg(feature = "serve")]
mod serve_settings;
mod simulate;
mod stats;
mod status;
mod timer;
mod validate;
mod verify;
mod version;

use anyhow::Result;
use clap::Subcommand;

use super::app::App;
use crate::model::run_record::Job;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Export(export::ExportArguments),
    Backup(backup::BackupArguments),
    Import(import::ImportArguments),
    Rollback(rollback::RollbackArguments),
    Drill(drill::DrillArguments),
    Protect(protect::ProtectArguments),
    Verify(verify::VerifyArguments),
    Inspect(inspect::InspectArguments),
    Diff(diff::DiffArguments),
    Extract(extract::ExtractArguments),
    Copy(copy::CopyArguments),
    Convert(convert::ConvertArguments),
    Check(check::CheckArguments),
    List(list::ListArguments),
    Prune(prune::PruneArguments),
    Keep(keep::KeepArguments),
    Key(key::KeyArguments),
    Status(status::StatusArguments),
    Stats(stats::StatsArguments),
    History(history::HistoryArguments),
    Notify(notify::NotifyArguments),
    Delete(delete::DeleteArguments),
    Rekey(rekey::RekeyArguments),
    Repo(repo::RepoArguments),
    Schedule(schedule::ScheduleArguments),
    Timer(timer::TimerArguments),
    Agent(agent::AgentArguments),
    #[cfg(feature = "serve")]
    Serve(serve::ServeArguments),
    Validate(validate::ValidateArguments),
    Init(init::InitArguments),
    Demo(demo::DemoArguments),
    Version(version::VersionArguments),
    Completions(completions::CompletionsArguments),
    Man(man::ManArguments),
    #[command(hide = true)]
    Guard(guard::GuardArguments),
}

impl Verb {
    /// Returns true if it works on the state of this machine.
    pub fn needs_state(&self) -> bool {
        matches!(
            self,
            Verb::Export(_)
                | Verb::Backup(_)
                | Verb::Import(_)
                | Verb::Rollback(_)
                | Verb::Protect(_)
        ) || matches!(self, Verb::Diff(diff) if diff.other.is_none())
    }

    /// Returns true if it opens the archives that the user names, rather than looking at those that are there.
    pub fn opens_archives(&self) -> bool {
        matches!(
            self,
            Verb::Import(_)
                | Verb::Drill(_)
                | Verb::Verify(_)
                | Verb::Inspect(_)
                | Verb::Diff(_)
                | Verb::Extract(_)
                | Verb::Copy(_)
                | Verb::Key(_)
                | Verb::Rekey(_)
        )
    }

    /// Returns true if it works until a signal ends it.
    pub fn goes_on(&self) -> bool {
        #[cfg(feature = "serve")]
        if let Verb::Serve(serve) = self {
            return serve.serves();
        }
        #[cfg(feature = "serve")]
        if let Verb::Demo(demo) = self {
            return demo.serves();
        }
        matches!(self, Verb::Agent(_))
    }

    /// Returns true if it outlives the terminal that it was started in.
    pub fn outlives_terminal(&self) -> bool {
        self.goes_on() && !matches!(self, Verb::Demo(_))
    }

    /// Returns the job that it is if a schedule starts it.
    pub fn job(&self) -> Option<Job> {
        match self {
            Verb::Backup(_) => Some(Job::Backup),
            Verb::Prune(_) => Some(Job::Prune),
            Verb::Verify(_) => Some(Job::Verify),
            Verb::Status(_) => Some(Job::Status),
            Verb::Drill(_) => Some(Job::Drill),
            _ => None,
        }
    }

    /// Runs it, and returns the exit code.
    pub fn run(self, app: &App) -> Result<u8> {
        match self {
            Verb::Export(verb) => verb.run(app),
            Verb::Backup(verb) => verb.run(app),
            Verb::Import(verb) => verb.run(app),
            Verb::Rollback(verb) => verb.run(app),
            Verb::Drill(verb) => verb.run(app),
            Verb::Protect(verb) => verb.run(app),
            Verb::Verify(verb) => verb.run(app),
            Verb::Inspect(verb) => verb.run(app),
            Verb::Diff(verb) => verb.run(app),
            Verb::Extract(verb) => verb.run(app),
            Verb::Copy(verb) => verb.run(app),
            Verb::Convert(verb) => verb.run(app),
            Verb::Check(verb) => verb.run(app),
            Verb::List(verb) => verb.run(app),
            Verb::Prune(verb) => verb.run(app),
            Verb::Keep(verb) => verb.run(app),
            Verb::Key(verb) => verb.run(app),
            Verb::Status(verb) => verb.run(app),
            Verb::Stats(verb) => verb.run(app),
            Verb::History(verb) => verb.run(app),
            Verb::Notify(verb) => verb.run(app),
            Verb::Delete(verb) => verb.run(app),
            Verb::Rekey(verb) => verb.run(app),
            Verb::Repo(verb) => verb.run(app),
            Verb::Schedule(verb) => verb.run(app),
            Verb::Timer(verb) => verb.run(app),
            Verb::Agent(verb) => verb.run(app),
            #[cfg(feature = "serve")]
            Verb::Serve(verb) => verb.run(app),
            Verb::Validate(verb) => verb.run(app),
            Verb::Init(verb) => verb.run(app),
            Verb::Demo(verb) => verb.run(app),
            Verb::Version(verb) => verb.run(app),
            Verb::Completions(verb) => verb.run(app),
            Verb::Man(verb) => verb.run(app),
            Verb::Guard(verb) => verb.run(),
        }
    }
}
