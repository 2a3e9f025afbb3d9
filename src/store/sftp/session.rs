//! One SFTP session: the system's ssh as a process, requests over its pipes, and what it says when it fails.
//!
//! The only module that knows russh-sftp. ssh is the one of the system because keys, agents, jump hosts and known hosts
//! are configured there; whoever can log in with `ssh HOST` can keep archives there.

use std::{
    fmt,
    future::Future,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use russh_sftp::{
    client::{Config, RawSftpSession, error::Error, rawsession::SftpResult},
    extensions::FSYNC,
    protocol::{FileAttributes, OpenFlags, StatusCode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::store::{Address, Options, network::CONNECT_TIMEOUT};

/// What a request reads or writes where the server does not say how much it takes: what every server takes
/// (draft-ietf-secsh-filexfer-02, section 3).
const USUAL_PIECE_BYTES: u64 = 32 << 10;
/// The most that a request reads or writes, and what an answer may have around it.
const MAX_PIECE_BYTES: u64 = 255 << 10;
const MAX_PACKET_BYTES: u32 = 1 << 20;
/// The most that is kept of what ssh says, and how many lines of it are shown.
const MAX_SAID_BYTES: usize = 16 << 10;
const MAX_SHOWN_LINES: usize = 3;
/// How long ssh may take to say why it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The type in a file's mode, and that of a folder, a regular file and a link (stat(2)).
const TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Why a request came to nothing.
#[derive(Debug)]
pub enum Fault {
    /// The server says no.
    Missing,
    Refused(String),
    /// The session is over: what ssh said.
    Broken(String),
    /// No session came about: what ssh said, or why it could not be started.
    Unreached(String),
    /// No answer for so long.
    Late(Duration),
    /// The file is another one than before.
    Replaced,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => f.write_str("it is not there"),
            Fault::Refused(why) => write!(f, "the server says no: {why}"),
            Fault::Broken(why) => write!(f, "the connection broke: {why}"),
            Fault::Unreached(why) => write!(f, "no connection: {why}"),
            Fault::Late(time) => write!(f, "no answer within {time:?}"),
            Fault::Replaced => f.write_str("it was replaced while it was read"),
        }
    }
}

impl std::error::Error for Fault {}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    pub kind: FileKind,
    pub size_bytes: u64,
    /// Seconds since 1970.
    pub modified: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Regular,
    Folder,
    Link,
    Other,
}

/// A file that is open on the server, as long as the session lives.
#[derive(Debug, Clone)]
pub struct Handle(String);

pub struct Session {
    raw: RawSftpSession,
    child: Mutex<Option<Child>>,
    stderr: Mutex<Option<JoinHandle<()>>>,
    said: Arc<Mutex<Vec<u8>>>,
    is_broken: AtomicBool,
    timeout: Duration,
    piece_bytes: usize,
    can_sync: bool,
}

impl Session {
    /// Logs in. What is wrong with host, key or configuration is in the fault, in ssh's words.
    pub async fn connect(address: &Address, options: &Options) -> Result<Session, Fault> {
        let mut child = command(address, options)?
            .spawn()
            .map_err(|error| Fault::Unreached(format!("cannot start ssh: {error}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Fault::Unreached("ssh has no pipes".to_owned()));
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let listens = tokio::spawn(listen(stderr, Arc::clone(&said)));
        let config = Config {
            max_packet_len: MAX_PACKET_BYTES,
            // `timed` is more exact; this one is only there so that it does not end earlier.
            request_timeout_secs: u64::from(u32::MAX),
            ..Config::default()
        };
        let mut session = Session {
            raw: RawSftpSession::new_with_config(tokio::io::join(stdout, stdin), config),
            child: Mutex::new(Some(child)),
            stderr: Mutex::new(Some(listens)),
            said,
            is_broken: AtomicBool::new(false),
            timeout: options.timeout,
            piece_bytes: USUAL_PIECE_BYTES as usize,
            can_sync: false,
        };
        // ssh itself tries several times.
        let patience = CONNECT_TIMEOUT.saturating_mul(options.retry_attempts.saturating_add(1));
        let version = tokio::time::timeout(patience + options.timeout, session.raw.init()).await;
        let version = match version {
            Ok(Ok(version)) => version,
            Ok(Err(_)) => return Err(Fault::Unreached(session.last_words().await)),
            Err(_) => return Err(Fault::Late(patience + options.timeout)),
        };
        session.can_sync = version.extensions.contains_key(FSYNC);
        if let Ok(limits) = session.timed(session.raw.limits()).await {
            let least = |told: u64| match told {
                0 => USUAL_PIECE_BYTES,
                told => told,
            };
            let most = least(limits.max_read_len).min(least(limits.max_write_len));
            session.piece_bytes = most.clamp(1 << 10, MAX_PIECE_BYTES) as usize;
        }
        if session.is_broken() {
            return Err(Fault::Unreached(session.last_words().await));
        }
        Ok(session)
    }

    /// How much one request reads or writes.
    pub fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// Whether nothing can be asked any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    pub async fn create(&self, path: &str) -> Result<Handle, Fault> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let handle = self.timed(self.raw.open(path, flags, mode(0o600))).await?;
        Ok(Handle(handle.handle))
    }

    pub async fn open(&self, path: &str) -> Result<Handle, Fault> {
        let open = self
            .raw
            .open(path, OpenFlags::READ, FileAttributes::empty());
        Ok(Handle(self.timed(open).await?.handle))
    }

    pub async fn write(&self, to: &Handle, offset: u64, piece: Vec<u8>) -> Result<(), Fault> {
        self.timed(self.raw.write(&to.0, offset, piece)).await?;
        Ok(())
    }

    /// Reads so many bytes, in as many requests as the server makes of it.
    pub async fn read(&self, from: &Handle, offset: u64, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let at = offset + bytes.len() as u64;
            let most = u32::try_from(count - bytes.len()).unwrap_or(u32::MAX);
            let piece = self.timed(self.raw.read(&from.0, at, most)).await?.data;
            if piece.is_empty() || piece.len() > count - bytes.len() {
                let why = "it gave another number of bytes than it was asked for";
                return Err(Fault::Refused(why.to_owned()));
            }
            bytes.extend(piece);
        }
        Ok(bytes)
    }

    /// Has the server bring a file to its disk, where it can do that.
    pub async fn sync(&self, file: &Handle) -> Result<(), Fault> {
        if self.can_sync {
            self.timed(self.raw.fsync(&file.0)).await?;
        }
        Ok(())
    }

    pub async fn close(&self, file: &Handle) -> Result<(), Fault> {
        self.timed(self.raw.close(&file.0)).await?;
        Ok(())
    }

    /// What a name stands for; links are followed.
    pub async fn about(&self, path: &str) -> Result<Option<About>, Fault> {
        match self.timed(self.raw.stat(path)).await {
            Ok(found) => Ok(Some(about(&found.attrs))),
            Err(Fault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub async fn about_open(&self, file: &Handle) -> Result<About, Fault> {
        Ok(about(&self.timed(self.raw.fstat(&file.0)).await?.attrs))
    }

    pub async fn open_folder(&self, path: &str) -> Result<Handle, Fault> {
        Ok(Handle(self.timed(self.raw.opendir(path)).await?.handle))
    }

    /// The next names of a folder; `None` when there are no more. Names that are not text stay out.
    pub async fn names(&self, of: &Handle) -> Result<Option<Vec<(String, About)>>, Fault> {
        let result = self.raw.readdir(&of.0);
        let name = match self.bounded(result).await? {
            Ok(name) => name,
            Err(Error::Status(status)) if status.status_code == StatusCode::Eof => return Ok(None),
            Err(error) => return Err(self.fault(error).await),
        };
        let names = name.files.into_iter().filter_map(|file| {
            let is_text = !file.filename.contains(char::REPLACEMENT_CHARACTER);
            is_text.then(|| (file.filename, about(&file.attrs)))
        });
        Ok(Some(names.collect()))
    }

    /// Makes a folder; the server does not tell why it refuses.
    pub async fn make_folder(&self, path: &str) -> Result<(), Fault> {
        self.timed(self.raw.mkdir(path, mode(0o700))).await?;
        Ok(())
    }

    /// Fails where the new name is taken (draft-ietf-secsh-filexfer-02, section 6.5).
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        self.timed(self.raw.rename(from, to)).await?;
        Ok(())
    }

    /// That nothing is there is fine.
    pub async fn remove(&self, path: &str) -> Result<(), Fault> {
        match self.timed(self.raw.remove(path)).await {
            Ok(_) | Err(Fault::Missing) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    async fn bounded<T>(
        &self,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<SftpResult<T>, Fault> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(result) => Ok(result),
            Err(_) => {
                // A late answer would be that of something else.
                self.is_broken.store(true, Ordering::Relaxed);
                Err(Fault::Late(self.timeout))
            }
        }
    }

    async fn timed<T>(&self, request: impl Future<Output = SftpResult<T>>) -> Result<T, Fault> {
        match self.bounded(request).await? {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.fault(error).await),
        }
    }

    async fn fault(&self, error: Error) -> Fault {
        match error {
            Error::Status(status) => match status.status_code {
                StatusCode::NoSuchFile => Fault::Missing,
                StatusCode::ConnectionLost | StatusCode::NoConnection => {
                    self.is_broken.store(true, Ordering::Relaxed);
                    Fault::Broken(self.last_words().await)
                }
                code => Fault::Refused(code.to_string().to_lowercase()),
            },
            Error::Limited(why) => Fault::Refused(why),
            _ => {
                self.is_broken.store(true, Ordering::Relaxed);
                Fault::Broken(self.last_words().await)
            }
        }
    }

    /// What ssh says at its end.
    async fn last_words(&self) -> String {
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

fn mode(permissions: u32) -> FileAttributes {
    FileAttributes {
        permissions: Some(permissions),
        ..FileAttributes::empty()
    }
}

fn about(attributes: &FileAttributes) -> About {
    let kind = match attributes.permissions.map(|mode| mode & TYPE) {
        // A server that tells no modes, or no types in them.
        None | Some(0 | REGULAR) => FileKind::Regular,
        Some(FOLDER) => FileKind::Folder,
        Some(LINK) => FileKind::Link,
        Some(_) => FileKind::Other,
    };
    About {
        kind,
        size_bytes: attributes.size.unwrap_or_default(),
        modified: attributes.mtime,
    }
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
fn command(address: &Address, options: &Options) -> Result<Command, Fault> {
    let Address::Sftp {
        user, host, port, ..
    } = address
    else {
        return Err(Fault::Unreached(format!("{address} is no SSH server")));
    };
    // ssh_config(5) may give both to a shell: `ProxyCommand`, `Match exec`.
    let is_word = |word: &str| {
        let is_plain = |letter: char| {
            letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '@' | '+')
        };
        !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
    };
    if !is_word(host) || user.as_deref().is_some_and(|user| !is_word(user)) {
        let why = format!("{address} names no host that ssh could take");
        return Err(Fault::Unreached(why));
    }
    let mut command = Command::new("ssh");
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
        // Ctrl-C is for hookshot, which still has to clean up over this connection.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// An option of ssh_config(5) that is a file: quoted, and without what stands for something else.
fn file_option(name: &str, file: &Path) -> Result<String, Fault> {
    let path = file
        .to_str()
        .filter(|path| !path.contains(['"', '\\']) && !path.contains(char::is_control))
        .ok_or_else(|| {
            let why = format!("ssh cannot take the path {}", file.display());
            Fault::Unreached(why)
        })?;
    Ok(format!("{name}=\"{}\"", path.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(user: Option<&str>, host: &str, options: &Options) -> Result<Vec<String>, Fault> {
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
            let fault = arguments(user, host, &options).expect_err(host);
            assert!(matches!(fault, Fault::Unreached(_)), "{fault}");
        }
    }

    #[test]
    fn the_last_words_of_ssh_are_shown_without_its_banners() {
        let said = "@@@@@@@\r\n@ WARNING @\r\none\r\ntwo\r\n\r\nthree\u{1b}[1m\r\nHost key verification failed.\r\n";
        assert_eq!(shown(said), "two; three[1m; Host key verification failed.");
    }
}
