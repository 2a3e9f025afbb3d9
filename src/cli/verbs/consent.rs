//! The user's consent before archives are removed.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _},
    os::fd::AsFd as _,
};

use anyhow::Result;

use crate::{
    catalog::patient::Patient,
    cli::app::App,
    error::{Failure, Kind},
};

/// Asks the user on the terminal. Fails with `refused` if the answer is not yes, and with `without_terminal` if there is
/// none.
pub fn ask(app: &App, question: &str, without_terminal: Failure, refused: &str) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(without_terminal.into());
    }
    app.printer.ask(question);
    let mut answer = String::new();
    let terminal = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    BufReader::new(Patient::new(terminal, &app.context.stop)).read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Kind::Usage, refused).into()),
    }
}
