//! The face: arguments in, reports out. The only layer that prints.

mod about;
mod appearance;
mod archive_verbs;
mod arguments;
#[cfg(feature = "sftp")]
mod askpass;
mod bar;
mod catalog_verbs;
mod check;
mod completions;
mod copy;
mod demo;
mod exit_codes;
mod export;
mod guard;
mod import;
mod log;
mod machine_verbs;
mod manual;
mod other_words;
mod output;
mod progress;
mod prune;
mod signals;

use std::{
    cell::OnceCell,
    ffi::OsString,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{CommandFactory as _, Parser as _};
use tracing::warn;

use self::{
    appearance::{Appearance, Surroundings},
    arguments::{Arguments, Verb},
    output::Output,
};
use crate::{
    catalog::{
        input::{ArchiveInput, is_of_word},
        target::Target,
    },
    config::{Choices, Settings},
    context::Context,
    disk::life::Signs,
    error::{Failure, Kind},
    machine::enter::{self, Entered, Need, StateAccess},
    store::Environment,
    work::{
        Threads,
        cancel::Stop,
        events::{Progress, Quiet},
        session::{self, SessionStarter},
        shell::{Masks, Runner},
    },
};

/// Returns the command line with every verb and option, from which documents are made.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Everything that the process knows of the world; its variables hold secrets, so it is never printed.
#[derive(Clone)]
pub struct World {
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// What the environment says of where the state lies.
    pub environment: Choices,
    /// Every variable of the environment; in values, U+FFFD stands for what is not UTF-8.
    pub variables: Vec<(String, String)>,
    /// The time.
    pub now: DateTime<Utc>,
    /// When the process began.
    pub begun: Instant,
    /// The folder for temporary files.
    pub scratch: PathBuf,
    /// False if the working folder was removed.
    pub has_folder: bool,
    /// This program.
    pub executable: PathBuf,
    /// Tells this run apart from any other on this machine.
    pub unique: String,
}

/// Everything that a verb works with.
struct App {
    choices: Choices,
    settings: OnceCell<Settings>,
    context: Context,
    output: Output,
    is_quiet: bool,
    begun: Instant,
}

impl App {
    /// The state, whole and locked.
    fn enter(&self, access: StateAccess) -> Result<Entered> {
        enter::enter(&self.choices, access)
    }

    /// Returns the settings by which words of the command line are resolved; they are loaded once.
    fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::load(&self.choices)?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// The archive that a word of the command line names. If the user has to type it, that is said.
    fn input(&self, text: &Path) -> Result<ArchiveInput> {
        let archive = Target::read(text)?.input(&self.context, || self.settings())?;
        if matches!(archive, ArchiveInput::Stdin) && std::io::stdin().is_terminal() {
            warn!(
                "Waiting for an archive on standard input, which is a terminal; Ctrl-C ends this. Send one with a pipe or a redirection: hookshot ... - < state.tar.gz"
            );
        }
        Ok(archive)
    }
}

/// Runs the command line and gives the exit code.
pub fn run(world: World) -> ExitCode {
    if let [_, word, program @ ..] = world.arguments.as_slice()
        && word == session::WORD
    {
        return ExitCode::from(session::become_program(program));
    }
    #[cfg(feature = "sftp")]
    if let Some(code) = askpass::answer(&world) {
        return ExitCode::from(code);
    }
    if let [_, word, asked @ ..] = world.arguments.as_slice()
        && word == completions::WORD
    {
        return complete(&world, asked);
    }
    let arguments = match Arguments::try_parse_from(&world.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&other_words::explained(error), &world.arguments),
    };
    let surroundings = Surroundings {
        variables: &world.variables,
        is_terminal: std::io::stderr().is_terminal(),
    };
    let appearance = Appearance::new(&arguments.global, surroundings);
    let format = log::start(&arguments.global, appearance, &world.environment);
    let output = Output::new(&arguments.global, appearance, format, &world);
    let scratch = world.scratch.clone();
    let code = match dispatch(arguments, appearance, output.clone(), world) {
        Ok(code) => code,
        Err(error) => {
            let failure = about_scratch(Failure::of(&error), &scratch);
            output.failure(&failure)
        }
    };
    progress::clear();
    ExitCode::from(code)
}

/// Returns true if a message is about the folder for temporary files, or what hookshot makes there.
fn names_scratch(message: &str, scratch: &Path) -> bool {
    let folder = scratch.display().to_string();
    let folder = folder.trim_end_matches('/');
    // What hookshot makes there, or the folder itself; not what else may lie below it.
    let is_meant = |rest: &str| {
        let ours = ["/.hookshot-", "/.tmp", "/hookshot-staging-"];
        !rest
            .starts_with(|next: char| next == '/' || next.is_alphanumeric() || "-_.".contains(next))
            || ours.iter().any(|ours| rest.starts_with(ours))
    };
    let mut places = message.match_indices(folder);
    places.any(|(at, _)| is_meant(&message[at + folder.len()..]))
}

/// Says in the hint that the folder for temporary files is meant, if the failure is about it.
fn about_scratch(failure: Failure, scratch: &Path) -> Failure {
    let folder = scratch.display().to_string();
    let folder = folder.trim_end_matches('/');
    let may_be = matches!(failure.kind, Kind::Failed | Kind::Space | Kind::NotFound);
    // Another folder takes no more open files than this one.
    let is_of_process = failure
        .hint
        .as_ref()
        .is_some_and(|hint| hint.contains("ulimit -n"));
    if !may_be || is_of_process || is_of_word(&failure) || !names_scratch(&failure.message, scratch)
    {
        return failure;
    }
    failure.hint(format!(
        "temporary files go to {folder}, as TMPDIR says (/tmp if it says nothing): it must be there, writable, and have room for the largest database; or set TMPDIR to another folder"
    ))
}

/// Refuses a second `-` among the archives: standard input is read once.
fn require_one_stdin<'a>(words: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    if words.filter(|word| word.as_os_str() == "-").count() < 2 {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Usage,
        "`-` is standard input, which gives one archive: it is named twice",
    )
    .hint("name it once, and the other archive by its path")
    .into())
}

/// Answers the script of a shell that completes a line.
fn complete(world: &World, asked: &[OsString]) -> ExitCode {
    let asked: Vec<String> = asked
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let home = world.variables.iter().find(|(name, _)| name == "HOME");
    let home = home.map(|(_, home)| home.as_str());
    let context = || {
        let progress = Arc::new(Quiet);
        context(
            world.clone(),
            Threads::available(),
            Stop::default(),
            progress,
        )
        .ok()
    };
    let text = completions::answer(&asked, &world.environment, home, &context);
    match output::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What verbs know of the world.
fn context(
    world: World,
    threads: Threads,
    stop: Stop,
    progress: Arc<dyn Progress>,
) -> Result<Context> {
    let starter = SessionStarter::new(world.executable.clone());
    let environment = Environment {
        variables: world.variables,
        starter: starter.clone(),
    };
    let runner = Runner {
        starter,
        masks: Masks::default(),
    };
    environment.mask_secrets(&runner.masks);
    Ok(Context {
        now: world.now,
        hostname: nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok()),
        version: semver::Version::parse(env!("CARGO_PKG_VERSION"))?,
        scratch: world.scratch,
        program: world.executable,
        unique: world.unique,
        signs: Signs::default(),
        environment,
        privileged: nix::unistd::geteuid().is_root(),
        threads,
        stop,
        runner,
        progress,
    })
}

/// Refuses to work on a state where nothing tells who has it open.
fn has_processes() -> Result<()> {
    if Path::new("/proc/self/fd").exists() {
        return Ok(());
    }
    let message =
        "/proc is not mounted: without it nothing tells which processes have the state open";
    Err(Failure::new(Kind::Failed, message)
        .hint("mount it first: mount -t proc proc /proc (in a chroot, or in the container)")
        .into())
}

fn dispatch(
    arguments: Arguments,
    appearance: Appearance,
    output: Output,
    world: World,
) -> Result<u8> {
    let stop = Stop::default();
    let asked = signals::watch(&stop)?;
    if let Verb::Guard(verb) = arguments.verb {
        return verb.run();
    }
    let choices = arguments.global.choices(&world.environment);
    let begun = world.begun;
    let threads = arguments.global.threads();
    let progress = progress::start(appearance, asked);
    let app = App {
        choices,
        settings: OnceCell::new(),
        context: context(world, threads, stop, progress)?,
        output,
        is_quiet: arguments.global.quiet,
        begun,
    };
    if arguments.verb.needs_state() {
        has_processes()?;
    }
    // Verbs that need the state end unfinished work themselves, and fail where they cannot; here it is only tried.
    if !arguments.verb.needs_state() {
        enter::recover(&app.choices.config_path()?, Need::Nothing)?;
    }
    match arguments.verb {
        Verb::Export(verb) => verb.run(&app),
        Verb::Import(verb) => verb.run(&app),
        Verb::Rollback(verb) => verb.run(&app),
        Verb::Verify(verb) => verb.run(&app),
        Verb::Inspect(verb) => verb.run(&app),
        Verb::Diff(verb) => verb.run(&app),
        Verb::Extract(verb) => verb.run(&app),
        Verb::Copy(verb) => verb.run(&app),
        Verb::Check(verb) => verb.run(&app),
        Verb::List(verb) => verb.run(&app),
        Verb::Prune(verb) => verb.run(&app),
        Verb::Keep(verb) => verb.run(&app),
        Verb::Validate(verb) => verb.run(&app),
        Verb::Init(verb) => verb.run(&app),
        Verb::Demo(verb) => verb.run(&app),
        Verb::Version(verb) => verb.run(&app),
        Verb::Completions(verb) => verb.run(&app),
        Verb::Man(verb) => verb.run(&app),
        Verb::Guard(verb) => verb.run(),
    }
}
