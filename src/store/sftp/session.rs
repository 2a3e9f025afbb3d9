//! One SFTP session: requests over the pipes of an ssh.
//!
//! The only module that knows russh-sftp.

use std::{
    fmt,
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use russh_sftp::{
    client::{Config, RawSftpSession, error::Error, rawsession::SftpResult},
    extensions::FSYNC,
    protocol::{FileAttributes, OpenFlags, StatusCode},
};

use super::ssh::Ssh;
use crate::store::{Address, Options, network::CONNECT_TIMEOUT};

/// What a request reads or writes where the server does not say how much it takes: what every server takes
/// (draft-ietf-secsh-filexfer-02, section 3).
const USUAL_PIECE_BYTES: u64 = 32 << 10;
/// The most that a request reads or writes, and what an answer may have around it.
const MAX_PIECE_BYTES: u64 = 255 << 10;
const MAX_PACKET_BYTES: u32 = 1 << 20;
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
    ssh: Ssh,
    is_broken: AtomicBool,
    timeout: Duration,
    piece_bytes: usize,
    can_sync: bool,
}

impl Session {
    /// Logs in. What is wrong with host, key or configuration is in the fault, in ssh's words.
    pub async fn connect(address: &Address, options: &Options) -> Result<Session, Fault> {
        let (ssh, pipes) = Ssh::start(address, options).map_err(Fault::Unreached)?;
        let config = Config {
            max_packet_len: MAX_PACKET_BYTES,
            // `timed` is more exact; this one is only there so that it does not end earlier.
            request_timeout_secs: u64::from(u32::MAX),
            ..Config::default()
        };
        let mut session = Session {
            raw: RawSftpSession::new_with_config(pipes, config),
            ssh,
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
            Ok(Err(_)) => return Err(Fault::Unreached(session.ssh.last_words().await)),
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
            return Err(Fault::Unreached(session.ssh.last_words().await));
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
                    Fault::Broken(self.ssh.last_words().await)
                }
                code => Fault::Refused(code.to_string().to_lowercase()),
            },
            Error::Limited(why) => Fault::Refused(why),
            _ => {
                self.is_broken.store(true, Ordering::Relaxed);
                Fault::Broken(self.ssh.last_words().await)
            }
        }
    }
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
