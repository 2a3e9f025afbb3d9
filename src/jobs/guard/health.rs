//! Asks the service for its health until it is good, and stays so, or the time is over.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    config::import::HealthCheck,
    context::Context,
    error::Failure,
    model::user_command::UserCommand,
    store::Secret,
    work::{
        events::GuardEvent,
        shell::{Around, Line},
    },
};
#[cfg(feature = "notify")]
use crate::{
    error::Kind,
    store::web::{Reads, WebAddress, WebClient, WebRequest},
};

/// The longest time that a server has for one answer.
#[cfg(feature = "notify")]
const MOST_ANSWER: Duration = Duration::from_secs(10);
/// The shortest time that a try has.
const LEAST_TRY: Duration = Duration::from_millis(250);
/// The pause after the first try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while a healthy service is watched.
const WATCHING_PAUSE: Duration = Duration::from_millis(500);
/// The time after which a request to stop is seen.
const TICK: Duration = Duration::from_millis(50);

/// The verdict on the health of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is healthy.
    Healthy,
    /// It is not; the last reason.
    Unhealthy(String),
}

/// The time that a service has.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To become healthy.
    pub timeout: Duration,
    /// To stay healthy.
    pub healthy_for: Duration,
}

/// A question for the health of a service, ready to be asked.
pub struct Health<'a> {
    context: &'a Context,
    variables: &'a [(&'a str, String)],
    question: Question<'a>,
}

enum Question<'a> {
    Command(&'a UserCommand),
    #[cfg(feature = "notify")]
    Server(Box<(WebClient, WebRequest)>),
}

impl<'a> Health<'a> {
    /// Prepares the question. Commands get `variables`. Nothing is asked yet.
    ///
    /// Errors: [`Kind::Usage`](crate::error::Kind::Usage) for a URL that cannot be asked, or that this program cannot ask.
    pub fn new(
        context: &'a Context,
        check: &'a HealthCheck,
        variables: &'a [(&'a str, String)],
    ) -> Result<Health<'a>> {
        let question = match check {
            HealthCheck::Command(command) => Question::Command(command),
            HealthCheck::Url(url) => server(context, url)?,
        };
        Ok(Health {
            context,
            variables,
            question,
        })
    }

    /// Returns the command or the server, for messages.
    pub fn shown(&self) -> String {
        match &self.question {
            Question::Command(command) => self.context.runner.shown(Line::of(command)),
            #[cfg(feature = "notify")]
            Question::Server(server) => server.1.address.shown(),
        }
    }

    /// Asks until the service is healthy and stays so, or until its time is over. Fails if the run is cancelled.
    pub fn wait(&self, patience: Patience) -> Result<Verdict> {
        let context = self.context;
        let what = self.shown();
        context.tell(GuardEvent::AsksHealth { what });
        let deadline = Instant::now() + patience.timeout;
        let (mut pause, mut healthy_since, mut said) = (FIRST_PAUSE, None::<Instant>, None);
        loop {
            context.stop.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = match healthy_since {
                Some(_) => left.max(patience.healthy_for),
                None => left,
            };
            match self.ask(limit.max(LEAST_TRY))? {
                None => {
                    let since = *healthy_since.get_or_insert_with(Instant::now);
                    let rest = patience.healthy_for.saturating_sub(since.elapsed());
                    if rest.is_zero() {
                        context.tell(GuardEvent::Healthy);
                        return Ok(Verdict::Healthy);
                    }
                    self.rest(rest.min(WATCHING_PAUSE))?;
                }
                Some(reason) => {
                    let reason = match healthy_since.take() {
                        Some(_) => format!("it was healthy for a moment only: {reason}"),
                        None => reason,
                    };
                    if Instant::now() >= deadline {
                        let told = reason.clone();
                        context.tell(GuardEvent::Unhealthy { reason: told });
                        return Ok(Verdict::Unhealthy(reason));
                    }
                    if said.as_ref() != Some(&reason) {
                        let told = reason.clone();
                        context.tell(GuardEvent::NotYet { reason: told });
                    }
                    said = Some(reason);
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.rest(pause.min(left))?;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Asks once, for at most `limit`. Returns the reason if the service is not healthy. Fails if the run is cancelled.
    pub fn ask(&self, limit: Duration) -> Result<Option<String>> {
        match &self.question {
            Question::Command(command) => self.run(command, limit),
            #[cfg(feature = "notify")]
            Question::Server(server) => Ok(request(&server.0, &server.1, limit)),
        }
    }

    fn run(&self, command: &UserCommand, limit: Duration) -> Result<Option<String>> {
        let context = self.context;
        let around = Around {
            mark: &context.unique,
            limit,
            variables: self.variables,
        };
        let mut last = None;
        let mut say = |line: &str| {
            if !line.trim().is_empty() {
                last = Some(line.trim().to_owned());
            }
        };
        let advance = context.step();
        let end = context
            .runner
            .around(Line::of(command), around, &mut say, &advance);
        context.stop.check()?;
        let shown = context.runner.shown(Line::of(command));
        let fault = match end {
            Ok(end) => end.fault(limit),
            Err(error) => Some(format!("{error:#}")),
        };
        Ok(fault.map(|fault| match last {
            Some(last) => format!("`{shown}` failed: {fault}: {last}"),
            None => format!("`{shown}` failed: {fault}"),
        }))
    }

    fn rest(&self, pause: Duration) -> Result<()> {
        let end = Instant::now() + pause;
        loop {
            self.context.stop.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(TICK));
        }
    }
}

#[cfg(feature = "notify")]
fn server<'a>(context: &Context, url: &Secret) -> Result<Question<'a>> {
    let refuse = |fault| Failure::new(Kind::Usage, format!("the URL of the health check {fault}"));
    let address = WebAddress::parse(url.reveal()).map_err(refuse)?;
    for part in address.secrets() {
        context.runner.masks.add(&part);
    }
    let client = WebClient::new(&address, None, None, &context.environment, MOST_ANSWER)?;
    let request = WebRequest {
        address,
        headers: Vec::new(),
        body: None,
        reads: Reads::Refusals,
    };
    Ok(Question::Server(Box::new((client, request))))
}

#[cfg(not(feature = "notify"))]
fn server<'a>(_: &Context, _: &Secret) -> Result<Question<'a>> {
    Err(Failure::without("notify", "a health check by a URL").into())
}

/// Asks a server once. Returns the reason if its answer is not a success; a redirect is none.
#[cfg(feature = "notify")]
fn request(client: &WebClient, request: &WebRequest, limit: Duration) -> Option<String> {
    let answer = match client.send(request, limit.min(MOST_ANSWER)) {
        Ok(answer) => answer,
        Err(fault) => return Some(fault.what),
    };
    if let Some(fault) = client.proxy_fault(&answer) {
        return Some(fault.what);
    }
    let (status, shown) = (answer.status, client.answering());
    match (status, answer.leads_to) {
        (200..300, _) => None,
        (_, Some(to)) => Some(format!(
            "{shown} answers with status {status} and leads to {to}, which is not followed"
        )),
        _ => Some(format!("{shown} answers with status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use chrono::DateTime;

    use super::*;
    use crate::{config::import::HealthCheck, error::Kind};

    const NOW: Patience = Patience {
        timeout: Duration::from_millis(600),
        healthy_for: Duration::ZERO,
    };

    fn verdict(folder: &Path, command: &str, patience: Patience) -> Result<Verdict> {
        let context = Context::new(DateTime::UNIX_EPOCH, folder.to_owned()).expect("facts");
        let check = HealthCheck::parse(command).expect("a check");
        let variables = [("FOLDER", folder.display().to_string())];
        Health::new(&context, &check, &variables)?.wait(patience)
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_service_that_is_healthy_at_once_is_asked_once() {
        let folder = folder();
        let found = verdict(folder.path(), "echo x >> $FOLDER/asked", NOW).expect("asked");
        assert_eq!(found, Verdict::Healthy);
        let asked = fs::read_to_string(folder.path().join("asked")).expect("it");
        assert_eq!(asked, "x\n");
    }

    #[test]
    fn a_service_that_comes_up_late_is_waited_for() {
        let folder = folder();
        let command = "echo x >> $FOLDER/asked; test $(wc -l < $FOLDER/asked) -ge 3";
        let patience = Patience {
            timeout: Duration::from_secs(60),
            ..NOW
        };
        let found = verdict(folder.path(), command, patience).expect("asked");
        assert_eq!(found, Verdict::Healthy);
    }

    #[test]
    fn a_service_that_does_not_come_up_is_told_with_the_last_reason() {
        let folder = folder();
        let found = verdict(folder.path(), "echo no database; exit 3", NOW).expect("asked");
        let Verdict::Unhealthy(reason) = found else {
            panic!("{found:?}");
        };
        assert!(
            reason.ends_with("it ended with exit status: 3: no database"),
            "{reason}"
        );
        let found = verdict(folder.path(), "exec sleep 600", NOW).expect("asked");
        assert!(matches!(found, Verdict::Unhealthy(_)), "{found:?}");
    }

    #[test]
    fn a_service_that_is_healthy_for_a_moment_is_not_healthy() {
        let folder = folder();
        let command = "echo x >> $FOLDER/asked; test $(wc -l < $FOLDER/asked) -le 2";
        let patience = Patience {
            healthy_for: Duration::from_secs(60),
            ..NOW
        };
        let found = verdict(folder.path(), command, patience).expect("asked");
        assert!(matches!(found, Verdict::Unhealthy(_)), "{found:?}");
    }

    #[test]
    fn a_cancelled_run_asks_no_more() {
        let folder = folder();
        let context = Context::new(DateTime::UNIX_EPOCH, folder.path().to_owned()).expect("facts");
        let check = HealthCheck::parse("exit 1").expect("a check");
        let health = Health::new(&context, &check, &[]).expect("ready");
        context.stop.cancel();
        let patience = Patience {
            timeout: Duration::from_secs(3600),
            ..NOW
        };
        let error = health.wait(patience).expect_err("cancelled");
        assert_eq!(Failure::of(&error).kind, Kind::Interrupted(15));
    }
}
