//! Events of the agent as log lines, and the report at its end.

use tracing::{error, info, warn};

use crate::{
    error::Kind,
    work::events::{AgentEvent, AgentRun},
};

/// Writes the log line of an event.
pub fn of_agent(event: AgentEvent) {
    match event {
        AgentEvent::Ready {
            configurations,
            jobs,
            next,
        } => {
            let next = next.unwrap_or_else(|| "never".to_owned());
            info!(configurations, jobs, %next, "The agent follows the schedule");
        }
        AgentEvent::LeftOut { config, job } => {
            let (config, job) = (config.display(), job.name());
            warn!(job, %config, "Left out: an enabled timer of systemd starts it (`hookshot timer status`)");
        }
        AgentEvent::Refused {
            config,
            reason,
            keeps_old,
        } => {
            let config = config.display();
            match keeps_old {
                true => {
                    error!(%config, "The configuration is bad, and the old one stays in force: {reason}")
                }
                false => {
                    error!(%config, "The configuration is bad, and its jobs are not started: {reason}")
                }
            }
        }
        AgentEvent::Starts {
            run,
            moment,
            is_late,
        } => {
            let (app, job, config) = parts(&run);
            match is_late {
                true => info!(app, job, %config, %moment, "Starts now, as its time was missed"),
                false => info!(app, job, %config, %moment, "Starts"),
            }
        }
        AgentEvent::NotStarted { run, reason } => {
            let (app, job, config) = parts(&run);
            error!(app, job, %config, "Does not start: {reason}");
        }
        AgentEvent::Ended {
            run,
            exit_code,
            seconds,
            next,
        } => ended(&run, exit_code, seconds, next),
        AgentEvent::Waits { run } => {
            let (app, job, config) = parts(&run);
            info!(app, job, %config, "Waits until another job has ended");
        }
        AgentEvent::Passed { run, moment } => {
            let (app, job, config) = parts(&run);
            warn!(app, job, %config, %moment, "Its time was missed, and is not made up for");
        }
        AgentEvent::Ending { running: 0 } => info!("The agent ends"),
        AgentEvent::Ending { running } => {
            info!(
                running,
                "The agent ends as soon as its jobs have ended, or interrupts them in 30 s"
            );
        }
        AgentEvent::Interrupts { run } => {
            let (app, job, config) = parts(&run);
            warn!(app, job, %config, "Interrupted: the agent ends");
        }
        AgentEvent::Kills { run } => {
            let (app, job, config) = parts(&run);
            error!(app, job, %config, "Killed: it did not end after the second signal; the next run removes its leftovers");
        }
    }
}

fn ended(run: &AgentRun, exit_code: i32, seconds: u64, next: Option<String>) {
    let (app, job, config) = parts(run);
    let next = next.unwrap_or_else(|| "never".to_owned());
    let is = |kind: Kind| exit_code == i32::from(kind.code());
    if exit_code == 0 {
        info!(app, job, %config, exit_code, seconds, %next, "Ended well");
    } else if is(Kind::Partial) {
        warn!(app, job, %config, exit_code, seconds, %next, "Ended with parts left undone");
    } else {
        error!(app, job, %config, exit_code, seconds, %next, "Failed");
    }
}

fn parts(run: &AgentRun) -> (&str, &'static str, std::path::Display<'_>) {
    (&run.app, run.job.name(), run.config.display())
}
