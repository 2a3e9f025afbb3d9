//! One SFTP session: requests over the pipes of an ssh process.
//!
//! The only module that knows russh-sftp.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use russh_sftp::{
    client::{Config, RawSftpSession, error::Error, rawsession::SftpResult},
    extensions::{FSYNC, LIMITS, STATVFS},
    protocol::{FileAttributes, OpenFlags, StatusCode},
};

use super::{
    fault::{Refusal, SftpFault},
    ssh::Ssh,
};
use crate::store::{
    address::ServerAddress,
    network::{CONNECT_TIMEOUT, MOST_FIRST_ATTEMPTS},
    options::{SftpOptions, Transfer},
};
use crate::work::session::SessionStarter;

/// The size of a read or write if the server does not tell its limit: every server accepts it
/// (draft-ietf-secsh-filexfer-02, section 3).
const USUAL_PIECE_BYTES: u64 = 32 << 10;
/// The largest read or write, and the largest packet of an answer.
const MAX_PIECE_BYTES: u64 = 255 << 10;
const MAX_PACKET_BYTES: u32 = 1 << 20;
/// The bits of the type in a file's mode, and those of a folder, a regular file and a link (stat(2)).
const TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The number of bytes that may be in unanswered requests at the same time.
pub const WINDOW_BYTES: usize = 4 << 20;
/// The longest quotation of a server's own words, in characters.
const MAX_WORDS_CHARS: usize = 200;

/// The metadata of a file.
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

/// An open file on the server; it ends with the session.
#[derive(Debug, Clone)]
pub struct Handle(String);

pub struct Session {
    raw: RawSftpSession,
    ssh: Ssh,
    is_broken: AtomicBool,
    timeout: Duration,
    piece_bytes: usize,
    can_sync: bool,
    can_tell_room: bool,
}

/// The future answer to a request that was sent.
pub type Answer = Pin<Box<dyn Future<Output = Result<(), SftpFault>> + Send>>;

impl Session {
    /// Logs in. The fault describes a wrong host, key or configuration in ssh's words.
    pub async fn connect(
        address: &ServerAddress,
        login: &SftpOptions,
        transfer: &Transfer,
        starter: &SessionStarter,
    ) -> Result<Session, SftpFault> {
        let (ssh, pipes) =
            Ssh::start(address, login, transfer, starter).map_err(SftpFault::Unreached)?;
        let config = Config {
            max_packet_len: MAX_PACKET_BYTES,
            // `timed` is more exact; this limit must only not end earlier.
            request_timeout_secs: u64::from(u32::MAX),
            ..Config::default()
        };
        let mut session = Session {
            raw: RawSftpSession::new_with_config(pipes, config),
            ssh,
            is_broken: AtomicBool::new(false),
            timeout: transfer.timeout,
            piece_bytes: USUAL_PIECE_BYTES as usize,
            can_sync: false,
            can_tell_room: false,
        };
        // ssh itself makes several attempts.
        let attempts = transfer.retry_attempts.min(MOST_FIRST_ATTEMPTS) + 1;
        let patience = CONNECT_TIMEOUT.saturating_mul(attempts);
        let version = tokio::time::timeout(patience + transfer.timeout, session.raw.init()).await;
        let version = match version {
            Ok(Ok(version)) => version,
            Ok(Err(_)) => return Err(session.unreached().await),
            Err(_) => {
                let late = SftpFault::Late(patience + transfer.timeout);
                return Err(session.ssh.noise().map_or(late, SftpFault::Noise));
            }
        };
        let can = |extension| version.extensions.contains_key(extension);
        session.can_sync = can(FSYNC);
        session.can_tell_room = can(STATVFS);
        if can(LIMITS)
            && let Ok(limits) = session.timed(session.raw.limits()).await
        {
            let least = |told: u64| match told {
                0 => USUAL_PIECE_BYTES,
                told => told,
            };
            let most = least(limits.max_read_len).min(least(limits.max_write_len));
            session.piece_bytes = most.clamp(1 << 10, MAX_PIECE_BYTES) as usize;
        }
        if session.is_broken() {
            return Err(session.unreached().await);
        }
        Ok(session)
    }

    async fn unreached(&self) -> SftpFault {
        let words = self.ssh.last_words().await;
        self.ssh
            .noise()
            .map_or(SftpFault::Unreached(words), SftpFault::Noise)
    }

    /// Returns the size of one read or write in bytes.
    pub fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// Returns true if the session accepts no more requests.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    pub async fn create(&self, path: &str) -> Result<Handle, SftpFault> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let handle = self.timed(self.raw.open(path, flags, mode(0o600))).await?;
        Ok(Handle(handle.handle))
    }

    pub async fn open(&self, path: &str) -> Result<Handle, SftpFault> {
        let open = self
            .raw
            .open(path, OpenFlags::READ, FileAttributes::empty());
        Ok(Handle(self.timed(open).await?.handle))
    }

    /// Sends a piece, and returns its future answer. Pieces are sent in the order of the calls: some servers write to
    /// object stores, and accept pieces in no other order.
    pub async fn write(self: &Arc<Self>, to: &Handle, offset: u64, piece: Vec<u8>) -> Answer {
        let (session, handle) = (Arc::clone(self), to.0.clone());
        let mut answer: Answer = Box::pin(async move {
            let written = session.raw.write(handle, offset, piece);
            session.timed(written).await.map(drop)
        });
        // The first poll of the answer puts the request into the queue.
        match futures_util::poll!(answer.as_mut()) {
            Poll::Ready(answered) => Box::pin(std::future::ready(answered)),
            Poll::Pending => answer,
        }
    }

    /// Reads `count` bytes, in as many requests as the server needs.
    pub async fn read(
        &self,
        from: &Handle,
        offset: u64,
        count: usize,
    ) -> Result<Vec<u8>, SftpFault> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let at = offset + bytes.len() as u64;
            let most = u32::try_from(count - bytes.len()).unwrap_or(u32::MAX);
            let piece = self.timed(self.raw.read(&from.0, at, most)).await?.data;
            if piece.is_empty() || piece.len() > count - bytes.len() {
                let why = "it gave another number of bytes than it was asked for";
                return Err(SftpFault::Refused(Refusal::Failure, why.to_owned()));
            }
            bytes.extend(piece);
        }
        Ok(bytes)
    }

    /// Makes the server sync a file to its disk, if the server can do that.
    pub async fn sync(&self, file: &Handle) -> Result<(), SftpFault> {
        if !self.can_sync {
            return Ok(());
        }
        match self.timed(self.raw.fsync(&file.0)).await {
            // The server offers it, but not to this account.
            Ok(_) | Err(SftpFault::Refused(Refusal::Denied | Refusal::Unsupported, _)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Returns the free space in bytes of `folder`, or of the nearest existing folder above it. `None` if the server
    /// does not tell. Space reserved for root counts if `is_root`.
    pub async fn room(&self, folder: &str, is_root: bool) -> Result<Option<u64>, SftpFault> {
        if !self.can_tell_room {
            return Ok(None);
        }
        let mut path = folder.trim_end_matches('/');
        loop {
            let asked = match path {
                "" if folder.starts_with('/') => "/",
                "" => ".",
                path => path,
            };
            match self.timed(self.raw.statvfs(asked)).await {
                // A file system without a size does not count its blocks.
                Ok(told) if told.blocks == 0 => return Ok(None),
                Ok(told) => {
                    let blocks = match is_root {
                        true => told.blocks_free,
                        false => told.blocks_avail,
                    };
                    return Ok(Some(blocks.saturating_mul(told.fragment_size)));
                }
                Err(SftpFault::Missing) if !path.is_empty() => {
                    path = path.rsplit_once('/').map_or("", |(above, _)| above);
                }
                Err(SftpFault::Missing | SftpFault::Refused(..)) => return Ok(None),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Returns the folder in which the login begins.
    pub async fn home(&self) -> Result<Option<String>, SftpFault> {
        let found = self.timed(self.raw.realpath(".")).await?.files;
        Ok(found.into_iter().next().map(|file| file.filename))
    }

    pub async fn close(&self, file: &Handle) -> Result<(), SftpFault> {
        self.timed(self.raw.close(&file.0)).await?;
        Ok(())
    }

    /// Returns the metadata of a file; follows links.
    pub async fn about(&self, path: &str) -> Result<Option<About>, SftpFault> {
        match self.timed(self.raw.stat(path)).await {
            Ok(found) => Ok(Some(about(&found.attrs))),
            Err(SftpFault::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub async fn about_open(&self, file: &Handle) -> Result<About, SftpFault> {
        Ok(about(&self.timed(self.raw.fstat(&file.0)).await?.attrs))
    }

    pub async fn open_folder(&self, path: &str) -> Result<Handle, SftpFault> {
        Ok(Handle(self.timed(self.raw.opendir(path)).await?.handle))
    }

    /// Returns the next names of a folder; `None` at the end. Omits names that are not UTF-8.
    pub async fn names(&self, of: &Handle) -> Result<Option<Vec<(String, About)>>, SftpFault> {
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

    /// Creates a folder; the server does not tell why it refuses.
    pub async fn make_folder(&self, path: &str) -> Result<(), SftpFault> {
        self.timed(self.raw.mkdir(path, mode(0o700))).await?;
        Ok(())
    }

    /// Renames a file; fails if the new name is taken (draft-ietf-secsh-filexfer-02, section 6.5).
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), SftpFault> {
        self.timed(self.raw.rename(from, to)).await?;
        Ok(())
    }

    /// Removes a file; a missing one is not an error.
    pub async fn remove(&self, path: &str) -> Result<(), SftpFault> {
        match self.timed(self.raw.remove(path)).await {
            Ok(_) | Err(SftpFault::Missing) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    async fn bounded<T>(
        &self,
        request: impl Future<Output = SftpResult<T>>,
    ) -> Result<SftpResult<T>, SftpFault> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(result) => Ok(result),
            Err(_) => {
                // A late answer would be taken for that of another request.
                self.is_broken.store(true, Ordering::Relaxed);
                Err(SftpFault::Late(self.timeout))
            }
        }
    }

    async fn timed<T>(&self, request: impl Future<Output = SftpResult<T>>) -> Result<T, SftpFault> {
        match self.bounded(request).await? {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.fault(error).await),
        }
    }

    async fn fault(&self, error: Error) -> SftpFault {
        match error {
            Error::Status(status) => match status.status_code {
                StatusCode::NoSuchFile => SftpFault::Missing,
                StatusCode::ConnectionLost | StatusCode::NoConnection => {
                    self.is_broken.store(true, Ordering::Relaxed);
                    SftpFault::Broken(self.ssh.last_words().await)
                }
                code => {
                    let refusal = match code {
                        StatusCode::PermissionDenied => Refusal::Denied,
                        StatusCode::OpUnsupported => Refusal::Unsupported,
                        _ => Refusal::Failure,
                    };
                    SftpFault::Refused(refusal, words(code, &status.error_message))
                }
            },
            Error::Limited(why) => SftpFault::Refused(Refusal::Failure, why),
            _ => {
                self.is_broken.store(true, Ordering::Relaxed);
                SftpFault::Broken(self.ssh.last_words().await)
            }
        }
    }
}

/// Returns the server's refusal: the name of its code, and its own words if they say more.
fn words(code: StatusCode, said: &str) -> String {
    let name = code.to_string().to_lowercase();
    let said: String = said
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_WORDS_CHARS)
        .collect();
    match said.trim() {
        said if said.is_empty()
            || said.to_lowercase().contains(&name) && said.len() < name.len() + 4 =>
        {
            name
        }
        said => format!("{name}: {said}"),
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
        // The server tells no modes, or no types in them.
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
