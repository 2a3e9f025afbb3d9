//! A mail server: aiosmtpd, which takes mail with and without TLS and login, and refuses recipients.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{self, Program};

/// The TLS of a mail server.
#[derive(Debug, Clone, Default)]
pub enum SmtpTls {
    #[default]
    None,
    /// From the first byte, with this certificate and key.
    Wrapped((PathBuf, PathBuf)),
    /// By STARTTLS, with this certificate and key.
    StartTls((PathBuf, PathBuf)),
}

/// The behaviour of a mail server.
#[derive(Debug, Clone, Default)]
pub struct SmtpOptions {
    pub tls: SmtpTls,
    /// The user and the password that it wants.
    pub login: Option<(&'static str, &'static str)>,
    /// The recipients that it does not know.
    pub refused: Vec<&'static str>,
    /// The recipients that it takes at the second attempt.
    pub later: Vec<&'static str>,
    /// The mechanism of logins that it refuses, with their words.
    pub repeats: Option<&'static str>,
}

/// A mail server on 127.0.0.1.
pub struct Smtp {
    program: Program,
    folder: TempDir,
}

impl Smtp {
    /// `None` where aiosmtpd is not installed.
    pub fn start(options: &SmtpOptions) -> Option<Smtp> {
        let Some(python) = program::find("aiosmtpd").and_then(|program| python_of(&program)) else {
            return program::leave_out("aiosmtpd (a mail server)");
        };
        let folder = tempfile::Builder::new()
            .prefix("smtp-")
            .tempdir()
            .expect("a folder");
        let script = folder.path().join("smtp.py");
        fs::write(&script, include_str!("smtp.py")).expect("written");
        let (tls, files) = match &options.tls {
            SmtpTls::None => ("none", None),
            SmtpTls::Wrapped(files) => ("smtps", Some(files)),
            SmtpTls::StartTls(files) => ("starttls", Some(files)),
        };
        let command = |port: u16| {
            let options = json!({
                "port": port,
                "mails": folder.path().join("mails"),
                "tls": tls,
                "certificate": files.map(|files| &files.0),
                "key": files.map(|files| &files.1),
                "login": options.login.map(|(user, password)| [user, password]),
                "refused": options.refused,
                "later": options.later,
                "repeats": options.repeats,
            });
            let mut command = Command::new(&python);
            command.arg(&script).arg(options.to_string());
            command
        };
        let is_wrapped = tls == "smtps";
        let program = Program::start(folder.path(), command, |address| {
            answers(address, is_wrapped)
        });
        Some(Smtp { program, folder })
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// Returns the mails that it took.
    pub fn mails(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        let mails = text.lines().map(serde_json::from_str);
        mails.collect::<Result<_, _>>().expect("JSON")
    }

    /// Returns the output of the server.
    pub fn log(&self) -> String {
        self.program.log()
    }
}

/// Returns the interpreter of the environment in which a program is installed.
fn python_of(program: &Path) -> Option<PathBuf> {
    let python = fs::canonicalize(program).ok()?.with_file_name("python");
    python.exists().then_some(python)
}

fn answers(address: SocketAddr, is_wrapped: bool) -> bool {
    let Ok(stream) = TcpStream::connect(address) else {
        return false;
    };
    if is_wrapped {
        return true;
    }
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).expect("a time limit");
    let mut line = String::new();
    drop(BufReader::new(stream).read_line(&mut line));
    line.starts_with("220 ")
}
