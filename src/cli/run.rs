//! A run: reads the command line, runs its verb, and returns the exit code.

use std::{
    cell::{Cell, OnceCell, RefCell},
    ffi::OsString,
    io::IsTerminal as _,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Result;
use clap::Parser as _;

#[cfg(feature = "sftp")]
use super::askpass;
use super::{
    app::App,
    command_line::{CommandLine, command},
    complete, log, other_words,
    render::{events::LogLines, explain::about_scratch, printer::Printer},
    signals::{self, Hangup},
    terminal::{
        appearance::{Appearance, Surroundings},
        passphrase,
        screen::Screen,
        streams::print,
    },
    usage, variables,
    verbs::Verb,
    world::World,
};
use crate::{
    catalog::keys::{Asking, keys, names_a_file},
    error::{Failure, Kind},
    jobs::{guard::remind, scheduled::ScheduledRun},
    machine::enter::{self, Need},
    work::{Threads, cancel::Stop, events::Events, session, wake::Wake},
};

/// Runs the command line and returns the exit code.
pub fn run(world: World) -> ExitCode {
    if let [_, word, program @ ..] = world.arguments.as_slice()
        && word == session::WORD
    {
        return ExitCode::from(session::become_program(program));
    }
    #[cfg(feature = "serve")]
    if let [_, word, recorded @ ..] = world.arguments.as_slice()
        && word == crate::serve::RECORDED_WORD
    {
        return ExitCode::from(signals::outlived(|| crate::serve::run_recorded(recorded)));
    }
    #[cfg(feature = "serve")]
    if let [_, word, gated @ ..] = world.arguments.as_slice()
        && word == crate::serve::GATED_WORD
    {
        return ExitCode::from(crate::serve::become_gated(gated));
    }
    #[cfg(feature = "sftp")]
    if let Some(code) = askpass::answer(&world) {
        return ExitCode::from(code);
    }
    if let [_, word, asked @ ..] = world.arguments.as_slice()
        && word == complete::WORD
    {
        return answer(&world, asked);
    }
    let mut arguments = match CommandLine::try_parse_from(&world.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let wants_json = variables::wants_json(&world.variables);
            let error = other_words::explained(error);
            return usage::show(&error, &world.arguments, wants_json);
        }
    };
    let completed = arguments.global.complete(&world.variables);
    let surroundings = Surroundings {
        variables: &world.variables,
        is_terminal: std::io::stderr().is_terminal(),
    };
    let appearance = Appearance::new(&arguments.global, surroundings);
    let screen = Screen::new(appearance);
    let format = log::start(&arguments.global, &screen, &world.environment);
    let printer = Printer::new(&arguments.global, screen.clone(), format, world.has_folder);
    if let Err(failure) = completed {
        return ExitCode::from(printer.failure(&failure));
    }
    let scratch = world.scratch.clone();
    let code = match dispatch(arguments, screen.clone(), printer.clone(), world) {
        Ok(code) => code,
        Err(error) => {
            let failure = about_scratch(Failure::of(&error), &scratch);
            printer.failure(&failure)
        }
    };
    screen.clear();
    ExitCode::from(code)
}

/// Answers the script of a shell that completes a line.
fn answer(world: &World, asked: &[OsString]) -> ExitCode {
    let asked: Vec<String> = asked
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let context = || {
        let world = world.clone();
        world
            .context(Threads::available(), Stop::default(), Events::default())
            .ok()
    };
    let text = complete::answer(
        &asked,
        command(),
        &world.environment,
        world.home(),
        &context,
    );
    match print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Fails if /proc is not mounted, since only it tells which processes have the state open.
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

/// Runs the verb of the command line and returns the exit code.
fn dispatch(
    arguments: CommandLine,
    screen: Arc<Screen>,
    printer: Printer,
    world: World,
) -> Result<u8> {
    let stop = Stop::default();
    let reload = Arc::new(AtomicBool::new(false));
    let goes_on = arguments.verb.goes_on();
    let hangup = if arguments.verb.outlives_terminal() {
        Hangup::Reloads(&reload)
    } else {
        Hangup::Cancels
    };
    let asked = signals::watch(&stop, hangup)?;
    if matches!(arguments.verb, Verb::Protect(_)) {
        signals::leave_quit()?;
    }
    if let Verb::Guard(verb) = arguments.verb {
        return verb.run();
    }
    let choices = arguments.global.choices(&world.environment);
    for identity in &choices.identities {
        names_a_file("--identity (or HOOKSHOT_IDENTITY)", identity)?;
    }
    let clock = world.clock;
    let threads = arguments.global.threads();
    let copies = arguments.global.copies();
    // The agent and the server only wait: their verbs work.
    screen.watch(asked, !goes_on);
    let ask = passphrase::asker(&screen, &stop);
    let mut context = world.context(threads, stop, Events::new(LogLines::new(screen)))?;
    context.copies = copies;
    let asking = match arguments.verb.opens_archives() {
        true => Asking::ForAny,
        false => Asking::UnlessConfigured,
    };
    context.keys = keys(&context, &choices, ask.clone(), asking);
    let app = App {
        choices,
        settings: OnceCell::new(),
        printer,
        ask,
        is_quiet: arguments.global.quiet,
        is_verbose: arguments.global.verbose > 0,
        command,
        clock,
        wake: RefCell::new(match goes_on {
            true => Some(Wake::new(signals::wake()?, reload)?),
            false => None,
        }),
        outside: Cell::new(0),
        job_options: arguments.global.for_jobs(),
        context,
    };
    if arguments.verb.needs_state() {
        has_processes()?;
    }
    // A verb that needs the state finishes an interrupted import itself, and fails if it cannot. For others it is only
    // tried. The agent and the server leave it to their verbs.
    if !arguments.verb.needs_state() && !goes_on {
        enter::recover(
            &app.choices.config_path()?,
            Need::Nothing,
            &app.context.events,
        )?;
    }
    if !goes_on {
        remind(&app.context, &app.choices)?;
    }
    let scheduled = ScheduledRun::begin(&app.context, &app.choices, arguments.verb.job())?;
    let result = arguments.verb.run(&app);
    if let Some(run) = scheduled {
        let failure = result.as_ref().err().map(Failure::of);
        let code = failure.as_ref().map(|failure| failure.kind.code());
        run.end(
            code.or(result.as_ref().ok().copied()).unwrap_or(1),
            failure.as_ref(),
            app.outside.get(),
        );
    }
    result
}
