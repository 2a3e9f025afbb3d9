//! The system's ssh as a process: how it is started, and what it says when it fails.
//!
//! It is the one of the system because keys, agents, jump hosts and known hosts are configured there; whoever can log in
//! with `ssh HOST` can keep archives there.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, Join, join},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use crate::{
    session,
    store::{Address, Options, network::CONNECT_TIMEOUT},
};

/// The most that is kept of what ssh says, and how many lines of it are shown.
const MAX_SAID_BYTES: usize = 16 << 10;
const MAX_SHOWN_LINES: usize = 3;
/// How long ssh may take to say why it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a session reads from and writes to.
pub type Pipes = Join<ChildStdout, ChildStdin>;

/// An ssh at work, which ends when this value is dropped.
pub struct Ssh {
    child: Mutex<Option<Child>>,
    stderr: Mutex<Option<JoinHandle<()>>>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Ssh {
    /// Starts it, for the SFTP of the server that `address` names; says why where that fails.
    pub fn start(address: &Address, options: &Options) -> Result<(Ssh, Pipes), String> {
        let mut child = command(address, options)?
            .spawn()
            .map_err(|error| format!("cannot start ssh: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("ssh has no pipes".to_owned());
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let listens = tokio::spawn(listen(stderr, Arc::clone(&said)));
        let ssh = Ssh {
            child: Mutex::new(Some(child)),
            stderr: Mutex::new(Some(listens)),
            said,
        };
        Ok((ssh, join(stdout, stdin)))
    }

    /// What ssh says at its end.
    pub async fn last_words(&self) -> String {
        let child = locked(&self.child).take();
        let stderr = locked(&self.stderr).take();
        let ended = async {
            if let Some(mut child) = child {
                drop(child.wait().await);
            }
            if let Some(stderr) = stderr {
                drop(stderr.await);
            }
        };
        // Where somebody else keeps its output open, that is said which came until now.
        drop(tokio::time::timeout(LAST_WORDS, ended).await);
        let said = locked(&self.said).clone();
        match shown(&String::from_utf8_lossy(&said)) {
            shown if shown.is_empty() => "ssh ended without a word".to_owned(),
            shown => shown,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(mut stderr: impl AsyncRead + Unpin, said: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut said = locked(&said);
        said.extend(&buffer[..count]);
        let most = said.len().saturating_sub(MAX_SAID_BYTES);
        said.drain(..most);
    }
}

/// The last lines of what ssh said, in one, without its banners.
fn shown(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| {
        let is_banner = line.starts_with('@') || line.starts_with("debug");
        !line.is_empty() && !is_banner
    });
    let lines: Vec<&str> = lines.collect();
    let last = &lines[lines.len().saturating_sub(MAX_SHOWN_LINES)..];
    let plain = |letter: &char| !letter.is_control();
    last.join("; ").chars().filter(plain).collect()
}

/// ssh for the server's SFTP. Nothing in an address can become an option, and nothing is asked on a terminal.
fn command(address: &Address, options: &Options) -> Result<Command, String> {
    let Address::Sftp {
        user, host, port, ..
    } = address
    else {
        return Err(format!("{address} is no SSH server"));
    };
    // ssh_config(5) may give both to a shell: `ProxyCommand`, `Match exec`.
    let is_word = |word: &str| {
        let is_plain = |letter: char| {
            letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '@' | '+')
        };
        !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
    };
    if !is_word(host) || user.as_deref().is_some_and(|user| !is_word(user)) {
        return Err(format!("{address} names no host that ssh could take"));
    }
    // Ctrl-C is for hookshot, which still has to clean up over this connection; and no jump host can ask for a password.
    let mut command = Command::from(session::command("ssh"));
    if let Some(config) = &options.ssh_config {
        command.arg("-F").arg(config);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(identity) = &options.identity_file {
        command
            .arg("-i")
            .arg(identity)
            .args(["-o", "IdentitiesOnly=yes"]);
    }
    if let Some(known_hosts) = &options.known_hosts_file {
        command
            .arg("-o")
            .arg(file_option("UserKnownHostsFile", known_hosts)?);
    }
    let seconds = CONNECT_TIMEOUT.min(options.timeout).as_secs().max(1);
    let attempts = options.retry_attempts.saturating_add(1);
    for option in [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={seconds}"),
        format!("ConnectionAttempts={attempts}"),
        "ClearAllForwardings=yes".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RequestTTY=no".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    command.args(["-s", "--", host, "sftp"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// An option of ssh_config(5) that is a file: quoted, and without what stands for something else.
fn file_option(name: &str, file: &Path) -> Result<String, String> {
    let path = file
        .to_str()
        .filter(|path| !path.contains(['"', '\\']) && !path.contains(char::is_control))
        .ok_or_else(|| format!("ssh cannot take the path {}", file.display()))?;
    Ok(format!("{name}=\"{}\"", path.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(user: Option<&str>, host: &str, options: &Options) -> Result<Vec<String>, String> {
        let address = Address::Sftp {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port: Some(2222),
            folder: "/x".to_owned(),
        };
        let command = command(&address, options)?;
        let arguments = command.as_std().get_args();
        Ok(arguments
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect())
    }

    #[test]
    fn nothing_in_an_address_becomes_an_option_or_a_shell_command() {
        let options = Options {
            known_hosts_file: Some("/a b/100%".into()),
            ..Options::default()
        };
        let line = arguments(Some("me"), "host", &options)
            .expect("good")
            .join(" ");
        assert!(line.starts_with("-p 2222 -l me -o UserKnownHostsFile=\"/a b/100%%\" "));
        assert!(
            line.contains("BatchMode=yes") && line.ends_with("-s -- host sftp"),
            "{line}"
        );
        for (user, host) in [
            (None, "-oProxyCommand=x"),
            (None, ""),
            (None, "h`id`"),
            (None, "h h"),
            (Some("-x"), "host"),
            (Some("$(id)"), "host"),
        ] {
            arguments(user, host, &options).expect_err(host);
        }
    }

    #[test]
    fn the_last_words_of_ssh_are_shown_without_its_banners() {
        let said = "@@@@@@@\r\n@ WARNING @\r\none\r\ntwo\r\n\r\nthree\u{1b}[1m\r\nHost key verification failed.\r\n";
        assert_eq!(shown(said), "two; three[1m; Host key verification failed.");
    }
}
