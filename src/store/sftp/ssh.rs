//! The system's ssh as a process: its start, and its words when it fails.
//!
//! hookshot uses the system's ssh because keys, agents, jump hosts and known hosts are configured there. If `ssh HOST`
//! logs in, archives can be kept on that host.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
    pin::Pin,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use rustix::fs::{MemfdFlags, memfd_create};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, Join, ReadBuf, join},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use crate::{
    store::{
        address::{ServerAddress, is_ssh_word},
        network::{CONNECT_TIMEOUT, MOST_FIRST_ATTEMPTS},
        options::{SftpOptions, Transfer},
        secret::Secret,
    },
    work::session::SessionStarter,
};

/// The variable that makes this program the helper that tells ssh the password. Its value is the file that contains it.
pub const ASKPASS: &str = "HOOKSHOT_ASKPASS";

/// The most bytes of ssh's words that are kept, and the most lines of them that are shown.
const MAX_SAID_BYTES: usize = 16 << 10;
const MAX_SHOWN_LINES: usize = 3;
/// The most bytes of other output before SFTP that are kept, and the most characters of it that are shown.
const MAX_FIRST_BYTES: usize = 512;
const MAX_NOISE_CHARS: usize = 120;
/// The type of the first packet of a server (draft-ietf-secsh-filexfer-02, section 3).
const VERSION: u8 = 2;
/// The time that ssh may take to say why it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The streams that a session reads and writes.
pub type Pipes = Join<Heard, ChildStdin>;

/// The output of ssh. Its beginning is kept for messages: the reader of SFTP would not pass it on.
pub struct Heard {
    stdout: ChildStdout,
    first: Arc<Mutex<Vec<u8>>>,
    /// The number of bytes of the beginning that were passed on.
    passed: usize,
}

impl AsyncRead for Heard {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let heard = self.get_mut();
        let mut first = locked(&heard.first);
        if first.is_empty() {
            let mut bytes = [0; MAX_FIRST_BYTES];
            let mut begin = ReadBuf::new(&mut bytes);
            match Pin::new(&mut heard.stdout).poll_read(context, &mut begin) {
                Poll::Ready(Ok(())) => first.extend_from_slice(begin.filled()),
                other => return other,
            }
        } else if heard.passed == first.len() {
            return Pin::new(&mut heard.stdout).poll_read(context, buffer);
        }
        let rest = &first[heard.passed..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        heard.passed += count;
        Poll::Ready(Ok(()))
    }
}

/// A running ssh, which ends when this value is dropped.
pub struct Ssh {
    child: Mutex<Option<Child>>,
    stderr: Mutex<Option<JoinHandle<()>>>,
    said: Arc<Mutex<Vec<u8>>>,
    first: Arc<Mutex<Vec<u8>>>,
    /// The memory in which ssh finds the password, open as long as ssh may ask for it.
    _password: Option<File>,
}

impl Ssh {
    /// Starts ssh for the SFTP of the server that `address` names. The error says why it failed.
    pub fn start(
        address: &ServerAddress,
        login: &SftpOptions,
        transfer: &Transfer,
        starter: &SessionStarter,
    ) -> Result<(Ssh, Pipes), String> {
        let mut command = command(address, login, transfer, starter)?;
        let password = login.password.as_ref();
        let password = password.map(|password| give(password, &mut command));
        let password = password
            .transpose()
            .map_err(|error| format!("ssh cannot be given the password: {error}"))?;
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start ssh: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("ssh has no pipes".to_owned());
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let first = Arc::new(Mutex::new(Vec::new()));
        let listens = tokio::spawn(listen(stderr, Arc::clone(&said)));
        let ssh = Ssh {
            child: Mutex::new(Some(child)),
            stderr: Mutex::new(Some(listens)),
            said,
            first: Arc::clone(&first),
            _password: password,
        };
        let heard = Heard {
            stdout,
            first,
            passed: 0,
        };
        Ok((ssh, join(heard, stdin)))
    }

    /// Returns the words of ssh at its end.
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
        // Another process may hold ssh's output open. Then the words are those that came until now.
        drop(tokio::time::timeout(LAST_WORDS, ended).await);
        let said = locked(&self.said).clone();
        match shown(&String::from_utf8_lossy(&said)) {
            shown if shown.is_empty() => "ssh ended without a word".to_owned(),
            shown => shown,
        }
    }
}

impl Ssh {
    /// Returns the text that came instead of SFTP, if any: from a login shell that prints, or that says why it refuses
    /// logins.
    pub fn noise(&self) -> Option<String> {
        noise(&locked(&self.first))
    }
}

fn noise(first: &[u8]) -> Option<String> {
    // The first packet of a server is short, and has this type.
    if first.is_empty()
        || first.starts_with(&[0, 0]) && first.get(4).is_none_or(|it| *it == VERSION)
    {
        return None;
    }
    // SFTP may follow the text: it begins with a length, whose first byte is 0.
    let mut pieces = first.split(|byte| *byte == 0);
    let text = pieces.find(|piece| !piece.is_empty()).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join("; ");
    let plain = |letter: &char| !letter.is_control() && *letter != char::REPLACEMENT_CHARACTER;
    Some(text.chars().filter(plain).take(MAX_NOISE_CHARS).collect())
}

/// Lets `command` find the password in memory of this process. The same program, started by ssh, reads it there
/// (ssh(1), `SSH_ASKPASS`). Only processes of the same user can open it, and it ends with this process. Returns the
/// file that must stay open.
fn give(password: &Secret, command: &mut Command) -> io::Result<File> {
    let mut memory = File::from(memfd_create("password", MemfdFlags::CLOEXEC)?);
    memory.write_all(password.reveal().as_bytes())?;
    let (pid, fd) = (std::process::id(), memory.as_raw_fd());
    command
        .env("SSH_ASKPASS", format!("/proc/{pid}/exe"))
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env(ASKPASS, format!("/proc/{pid}/fd/{fd}"));
    // Before version 8.4, OpenSSH asked the helper only if a display existed.
    command.env("DISPLAY", ":");
    Ok(memory)
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

/// Returns the last lines of ssh's words as one line, without its banners.
fn shown(said: &str) -> String {
    if let Some(changed) = changed_key(said) {
        return changed;
    }
    let lines = said.lines().map(str::trim).filter(|line| {
        let is_banner = line.starts_with('@') || line.starts_with("debug");
        !line.is_empty() && !is_banner
    });
    let lines: Vec<&str> = lines.collect();
    let last = &lines[lines.len().saturating_sub(MAX_SHOWN_LINES)..];
    let plain = |letter: &char| !letter.is_control();
    last.join("; ").chars().filter(plain).collect()
}

/// Explains ssh's warning about a host whose key differs from the known one.
fn changed_key(said: &str) -> Option<String> {
    if !said.contains("HOST IDENTIFICATION HAS CHANGED") {
        return None;
    }
    let words = || said.split_whitespace();
    let key = words().find(|word| word.starts_with("SHA256:"));
    let key = key.map_or("", |key| key.trim_end_matches('.'));
    let known = said.lines().find_map(|line| {
        let (_, place) = line
            .trim()
            .strip_prefix("Offending ")?
            .split_once(" key in ")?;
        Some(place)
    });
    let known = known.map_or(String::new(), |place| {
        format!(", and not the one of {place}")
    });
    let text = format!(
        "{CHANGED}: it was set up anew, or another machine answers in its place; the key is {key}{known}"
    );
    Some(text.chars().filter(|letter| !letter.is_control()).collect())
}

/// The beginning of the message about a changed key.
pub const CHANGED: &str = "the server's key is not the one that is known";

/// Returns the command that starts ssh for the server's SFTP. Nothing in an address can become an option, and ssh never
/// asks on a terminal.
fn command(
    address: &ServerAddress,
    login: &SftpOptions,
    transfer: &Transfer,
    starter: &SessionStarter,
) -> Result<Command, String> {
    let ServerAddress {
        user, host, port, ..
    } = address;
    if !is_ssh_word(host) || user.as_deref().is_some_and(|user| !is_ssh_word(user)) {
        return Err(format!("{address} names no host that ssh could take"));
    }
    // Ctrl-C is for hookshot, which must still clean up over this connection. A jump host cannot ask for a password
    // either.
    let mut command = Command::from(starter.command("ssh"));
    if let Some(config) = &login.ssh_config {
        command.arg("-F").arg(config);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(identity) = &login.identity_file {
        command
            .arg("-i")
            .arg(identity)
            .args(["-o", "IdentitiesOnly=yes"]);
    }
    if let Some(known_hosts) = &login.known_hosts_file {
        command
            .arg("-o")
            .arg(file_option("UserKnownHostsFile", known_hosts)?);
    }
    let seconds = CONNECT_TIMEOUT.min(transfer.timeout).as_secs().max(1);
    let attempts = transfer.retry_attempts.min(MOST_FIRST_ATTEMPTS) + 1;
    let asks = match &login.password {
        None => vec!["BatchMode=yes"],
        Some(_) => vec!["BatchMode=no", "NumberOfPasswordPrompts=1"],
    };
    let asks = asks.into_iter().map(str::to_owned);
    // The keys of an agent would use up the attempts that the server permits.
    let passwords = "PreferredAuthentications=password,keyboard-interactive";
    let is_alone = login.password.is_some() && login.identity_file.is_none();
    let asks = asks.chain(is_alone.then(|| passwords.to_owned()));
    let further = [
        format!("ConnectTimeout={seconds}"),
        format!("ConnectionAttempts={attempts}"),
        "ClearAllForwardings=yes".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "RequestTTY=no".to_owned(),
    ];
    for option in asks.chain(further) {
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

/// Returns an option of ssh_config(5) that is a file: quoted, and with each `%` escaped.
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

    fn arguments(
        user: Option<&str>,
        host: &str,
        login: &SftpOptions,
    ) -> Result<Vec<String>, String> {
        let address = ServerAddress {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port: Some(2222),
            folder: "/x".to_owned(),
        };
        let command = command(
            &address,
            login,
            &Transfer::default(),
            &SessionStarter::default(),
        )?;
        let arguments = command.as_std().get_args();
        Ok(arguments
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect())
    }

    #[test]
    fn nothing_in_an_address_becomes_an_option_or_a_shell_command() {
        let options = SftpOptions {
            known_hosts_file: Some("/a b/100%".into()),
            ..SftpOptions::default()
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
    fn a_password_is_asked_for_once_and_stands_in_no_argument_or_variable() {
        let options = SftpOptions {
            password: Some(Secret::new("hunter2")),
            ..SftpOptions::default()
        };
        let line = arguments(Some("me"), "host", &options)
            .expect("good")
            .join(" ");
        assert!(
            line.contains("BatchMode=no") && !line.contains("hunter2"),
            "{line}"
        );
        let mut command = Command::new("ssh");
        let held = give(&Secret::new("hunter2"), &mut command).expect("memory");
        let variables: Vec<_> = command.as_std().get_envs().collect();
        assert!(!format!("{variables:?}").contains("hunter2"));
        let place = variables
            .iter()
            .find(|(name, _)| *name == ASKPASS)
            .and_then(|(_, value)| *value)
            .expect("a place");
        assert_eq!(std::fs::read(place).expect("readable"), b"hunter2");
        drop(held);
        assert!(std::fs::read(place).is_err());
    }

    #[test]
    fn what_comes_in_place_of_sftp_is_told_from_it() {
        assert_eq!(noise(&[]), None);
        assert_eq!(noise(&[0, 0, 0]), None);
        assert_eq!(noise(&[0, 0, 0, 5, 2, 0, 0, 0, 3]), None);
        assert_eq!(noise(b"hi"), Some("hi".to_owned()));
        let said = b"Welcome!\r\n\n\x1b[1mto nas\n\0\0\0\x05\x02\0\0\0\x03";
        assert_eq!(noise(said), Some("Welcome!; [1mto nas".to_owned()));
    }

    #[test]
    fn a_changed_key_is_told_by_what_it_means() {
        let said = "@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@\r\n\
            IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\n\
            The fingerprint for the ED25519 key sent by the remote host is\nSHA256:abc.\r\n\
            Offending ED25519 key in /home/me/.ssh/known hosts:3\r\n  remove with:\r\n  ssh-keygen -f ...\r\n\
            Host key verification failed.\r\n";
        let shown = shown(said);
        assert!(shown.starts_with(CHANGED), "{shown}");
        assert!(
            shown
                .ends_with("the key is SHA256:abc, and not the one of /home/me/.ssh/known hosts:3"),
            "{shown}"
        );
    }

    #[test]
    fn the_last_words_of_ssh_are_shown_without_its_banners() {
        let said = "@@@@@@@\r\n@ WARNING @\r\none\r\ntwo\r\n\r\nthree\u{1b}[1m\r\nHost key verification failed.\r\n";
        assert_eq!(shown(said), "two; three[1m; Host key verification failed.");
    }
}
