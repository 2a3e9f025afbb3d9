//! The connections of the agent: the user and the number of requests are checked here.

use std::{
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use rustix::{net::sockopt, process::geteuid};
use serde_json::json;
use tracing::{info, warn};

use super::{
    gate::GATED_WORD,
    listening::{self, Place, listen},
    passing::{Said, receive, say},
    permit,
    request::{Request, Wanted},
    work::{Looks, work},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    work::wake::Wake,
};

/// The verbs at once; further requests are refused.
const AT_ONCE: usize = 24;
/// The time for a request, and for a line to a relay that reads slowly.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
/// The time to wait for files if there are none for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The work of the agent.
pub struct AgentRequest<'a> {
    /// The socket.
    pub place: Place,
    /// The user of the server; without it, only the agent's own user may ask.
    pub user: Option<String>,
    /// The configurations whose verbs it runs.
    pub configs: Vec<PathBuf>,
    /// This program.
    pub program: PathBuf,
    /// Ends the work when a signal comes.
    pub wake: &'a mut Wake,
}

/// The parts that all connections share.
struct Agent {
    context: Context,
    configs: Vec<PathBuf>,
    program: PathBuf,
    users: Vec<u32>,
    at_work: AtomicUsize,
    looks: Looks,
}

/// Runs verbs for a server until a signal comes. Tasks go on then, and looks end.
pub fn run_agent(context: &Context, request: AgentRequest<'_>) -> Result<()> {
    let user = request.user.as_deref().map(listening::user).transpose()?;
    let listening = listen(&request.place, user.as_ref())?;
    let mut users = vec![0, geteuid().as_raw()];
    users.extend(user.map(|user| user.uid.as_raw()));
    let agent = Arc::new(Agent {
        context: context.clone(),
        configs: request.configs,
        program: request.program,
        users,
        at_work: AtomicUsize::new(0),
        looks: Looks::default(),
    });
    info!("The agent waits for requests");
    let listener = listening.listener.try_clone()?;
    let accepting = agent.clone();
    let accepted = thread::Builder::new().spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => accepting.clone().meet(stream),
                // Without files for connections, those that are there have to end first.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    })?;
    while context.stop.check().is_ok() && !accepted.is_finished() {
        request.wake.sleep(Duration::from_secs(24 * 3600))?;
    }
    agent.looks.end();
    Ok(())
}

impl Agent {
    /// Answers a connection on a thread of its own, if its user may ask.
    fn meet(self: Arc<Agent>, mut stream: UnixStream) {
        let user = match sockopt::socket_peercred(stream.as_fd()) {
            Ok(peer) => peer.uid.as_raw(),
            Err(_) => return,
        };
        if !self.users.contains(&user) {
            warn!("A request of the user {user} is refused: it is not the server's");
            return;
        }
        let is_set = stream.set_read_timeout(Some(LONGEST_REQUEST)).is_ok()
            && stream.set_write_timeout(Some(LONGEST_REQUEST)).is_ok();
        if !is_set {
            return;
        }
        if self.at_work.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
            self.at_work.fetch_sub(1, Ordering::Relaxed);
            let failure = Failure::new(Kind::Blocked, "the agent has too much to do");
            let _ = say(&mut stream, &refused(&failure.hint("try again later")));
            return;
        }
        let agent = self.clone();
        let started = thread::Builder::new().spawn(move || {
            agent.answer(&mut stream, user);
            agent.at_work.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            self.at_work.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn answer(&self, stream: &mut UnixStream, user: u32) {
        if let Err(error) = self.serve(stream, user) {
            let failure = Failure::of(&error);
            warn!(
                "A request of the user {user} is refused: {}",
                failure.message
            );
            let _ = say(stream, &refused(&failure));
        }
    }

    fn serve(&self, stream: &mut UnixStream, user: u32) -> Result<()> {
        let (request, outputs) = receive(stream).map_err(|error| {
            Failure::new(
                Kind::Usage,
                format!("the request cannot be read: {error:#}"),
            )
        })?;
        let Request { config, wanted } = &request;
        let config = self
            .configs
            .iter()
            .find(|known| known.as_os_str() == config.as_str());
        let config = config.ok_or_else(|| {
            let message = format!("{:?} is not a configuration of the agent", request.config);
            Failure::new(Kind::Forbidden, message)
        })?;
        permit::require(config, wanted)?;
        let mut command = self.context.environment.starter.command(&self.program);
        if let Wanted::Task(_) = wanted {
            command.arg(GATED_WORD).arg(&self.program);
        }
        command.arg("--config").arg(config).args(wanted.form());
        command.args(wanted.words());
        let code = work(&self.looks, stream, command, outputs, wanted)?;
        info!(
            "{} of {} for the user {user}: exit code {code}",
            wanted.verb(),
            config.display()
        );
        Ok(())
    }
}

/// Returns the line that tells a failure, as verbs write it.
fn refused(failure: &Failure) -> Said {
    Said::Refused(json!({
        "kind": failure.kind.name(),
        "message": failure.message,
        "hint": failure.hint,
        "faults": failure.faults,
    }))
}
