//! Archives in a folder of an SSH server, over SFTP (draft-ietf-secsh-filexfer-02, version 3).
//!
//! An upload is a file whose name begins with [`OWN`] and identifies its maker, so that a later run can remove the
//! leftovers of a kill. SFTP has no checksums: every archive is read back before it gets its name.
//!
//! Not promised: that the name survives a power failure right after it was given, because SFTP cannot sync a folder;
//! the content is synced if the server can do that. Nor that a server which renames over a file, against the protocol,
//! keeps a file that got the name in the same moment. Nor files whose names are not UTF-8.

mod session;
mod ssh;
mod upload;

use std::{
    collections::BTreeSet,
    io,
    ops::AsyncFn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use chrono::DateTime;
use futures_util::{StreamExt as _, TryStreamExt as _};

pub use self::ssh::ASKPASS;
use self::{
    session::{About, Fault, FileKind, Handle, Refusal, Session},
    ssh::CHANGED,
    upload::SftpUpload,
};
use super::{
    Address, Check, Maker, OWN, Options, Store, Stored, Upload, fit, io_error, marker::told_by,
    missing, network::Network, plain, taken,
};
use crate::store::listed::{MOST_FOLDERS, require_end};
use crate::{
    error::{Caught, Failure, Kind},
    work::{ReadAt, session::SessionStarter},
};

/// The number of bytes that may be in unanswered requests at the same time.
const WINDOW_BYTES: usize = 4 << 20;

/// A disk with less free space than this counts as full if it refuses a write.
const FULL_BYTES: u64 = 1 << 20;

/// ssh's words for an unreachable server or network.
const AWAY: [&str; 9] = [
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Connection closed",
    "Operation timed out",
    "No route to host",
    "Network is unreachable",
    "Could not resolve hostname",
    "Temporary failure in name resolution",
];

/// A folder of an SSH server.
pub struct Sftp {
    inner: Arc<Inner>,
    /// The folders that the last listing skipped.
    folders: Mutex<BTreeSet<String>>,
}

struct Inner {
    network: Network,
    address: Address,
    /// The folder of the archives, ending in a slash.
    folder: String,
    options: Options,
    starter: SessionStarter,
    session: Mutex<Option<Arc<Session>>>,
    /// True if this run had a session: then an unreachable server may come back.
    was_reached: AtomicBool,
}

impl Sftp {
    /// Opens a folder of a server; does not log in yet.
    pub fn open(
        address: &Address,
        options: &Options,
        starter: &SessionStarter,
        check: Check,
    ) -> Result<Sftp> {
        let Address::Sftp { folder, .. } = address else {
            let message = format!("{address} is no SSH server");
            return Err(Failure::new(Kind::Usage, message).into());
        };
        Ok(Sftp {
            folders: Mutex::default(),
            inner: Arc::new(Inner {
                network: Network::new(check)?,
                address: address.clone(),
                folder: format!("{}/", folder.trim_end_matches('/')),
                options: options.clone(),
                starter: starter.clone(),
                session: Mutex::new(None),
                was_reached: AtomicBool::new(false),
            }),
        })
    }
}

impl Inner {
    fn shown(&self) -> String {
        self.address.to_string()
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// Returns the current session, or a new one.
    async fn session(&self) -> Result<Arc<Session>, Fault> {
        let locked = || self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*locked()
            && !session.is_broken()
        {
            return Ok(Arc::clone(session));
        }
        let session = Session::connect(&self.address, &self.options, &self.starter).await?;
        let session = Arc::new(session);
        self.was_reached.store(true, Ordering::Relaxed);
        *locked() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Does repeatable work, and retries it if the connection broke. Explains the final fault in a few words after
    /// `doing`.
    fn again<T>(
        &self,
        doing: &str,
        work: impl AsyncFn(&Arc<Session>) -> Result<T, Fault>,
    ) -> Result<T> {
        let mut attempts = 0;
        loop {
            let result = self.network.wait(async {
                let session = self.session().await?;
                work(&session).await
            });
            match result {
                Err(error)
                    if attempts < self.options.retry_attempts
                        && error
                            .downcast_ref()
                            .is_some_and(|fault| self.may_pass(fault)) =>
                {
                    self.network.pause(attempts)?;
                    attempts += 1;
                }
                result => return result.map_err(|error| self.explained(doing, error)),
            }
        }
    }

    /// Returns true if a retry may end otherwise. A failed first login is reported at once: ssh itself has tried
    /// several times.
    fn may_pass(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Broken(_) | Fault::Late(_) => true,
            Fault::Unreached(words) => {
                self.was_reached.load(Ordering::Relaxed)
                    && AWAY.iter().any(|away| words.contains(away))
            }
            _ => false,
        }
    }

    /// Removes one of hookshot's own files, as cleanup that no interruption ends.
    fn clear_away(&self, name: &str) -> Result<()> {
        self.network.clean(async {
            let session = self.session().await?;
            session.remove(&self.path(name)).await
        })
    }

    fn find(&self, name: &str) -> Result<Option<About>> {
        let doing = format!("cannot look at {name} in {}", self.shown());
        let path = self.path(name);
        self.again(&doing, async |session: &Arc<Session>| {
            session.about(&path).await
        })
    }

    fn open(self: &Arc<Self>, name: &str) -> Result<Option<Remote>> {
        let doing = format!("cannot read {name} in {}", self.shown());
        let path = self.path(name);
        let opened = self.again(&doing, async |session: &Arc<Session>| {
            let handle = match session.open(&path).await {
                Err(Fault::Missing) => return Ok(None),
                handle => handle?,
            };
            let about = session.about_open(&handle).await?;
            Ok(Some((Arc::clone(session), handle, about)))
        })?;
        Ok(opened.map(|(session, handle, about)| Remote {
            inner: Arc::clone(self),
            doing,
            path,
            about,
            opened: Mutex::new((session, handle)),
        }))
    }

    /// Passes on everything in the folder; `None` if the folder does not exist.
    fn each(&self, mut take: impl FnMut(String, About) -> Result<()>) -> Result<Option<()>> {
        let doing = format!("cannot list {}", self.shown());
        let folder = match self.folder.trim_end_matches('/') {
            "" => "/",
            folder => folder,
        };
        let opened = self.again(&doing, async |session: &Arc<Session>| {
            match session.open_folder(folder).await {
                Err(Fault::Missing) => Ok(None),
                handle => Ok(Some((Arc::clone(session), handle?))),
            }
        })?;
        let Some((session, handle)) = opened else {
            return Ok(None);
        };
        let mut count = 0;
        loop {
            let names = self.network.wait(session.names(&handle));
            let Some(names) = names.map_err(|error| self.explained(&doing, error))? else {
                break;
            };
            count += names.len();
            require_end(count, &doing, "the server and the folder")?;
            for (name, about) in names {
                take(name, about)?;
            }
        }
        // The listing is complete; a handle that stays open ends with the session.
        drop(self.network.wait(session.close(&handle)));
        Ok(Some(()))
    }
}

impl Store for Sftp {
    fn shown(&self) -> String {
        self.inner.shown()
    }

    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        let mut folders = BTreeSet::new();
        let listed = self.inner.each(|name, about| {
            if name.starts_with(OWN) {
                return Ok(());
            }
            let about = match about.kind {
                FileKind::Link => self.inner.find(&name)?,
                _ => Some(about),
            };
            match about {
                Some(about) if about.kind == FileKind::Regular => take(stored(&name, about)),
                // A folder whose name begins with a dot is not reported, as on this machine.
                Some(about)
                    if about.kind == FileKind::Folder
                        && !name.starts_with('.')
                        && folders.len() < MOST_FOLDERS =>
                {
                    folders.insert(name);
                    Ok(())
                }
                _ => Ok(()),
            }
        })?;
        *self.folders.lock().unwrap_or_else(PoisonError::into_inner) = folders;
        listed.ok_or_else(|| {
            let message = format!("there is no folder {}", self.shown());
            let hint = "look at the path; an export makes the folder";
            Failure::new(Kind::NotFound, message).hint(hint).into()
        })
    }

    fn folders(&self) -> Vec<String> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.iter().cloned().collect()
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        plain(name)?;
        let about = self.inner.find(name)?;
        let about = about.filter(|about| about.kind == FileKind::Regular);
        Ok(about.map(|about| stored(name, about)))
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>> {
        plain(name)?;
        match self.inner.open(name)? {
            Some(remote) if remote.about.kind == FileKind::Regular => Ok(Box::new(remote)),
            _ => Err(missing(&self.shown(), name).into()),
        }
    }

    fn create(&self, name: &str, _: u64, maker: &Maker) -> Result<Box<dyn Upload>> {
        fit(name)?;
        if self.inner.find(name)?.is_some() {
            return Err(taken(&self.shown(), name).into());
        }
        let upload = SftpUpload::new(Arc::clone(&self.inner), name, maker)?;
        Ok(Box::new(upload))
    }

    fn remove(&self, name: &str) -> Result<()> {
        plain(name)?;
        let doing = format!("cannot remove {name} from {}", self.shown());
        let path = self.inner.path(name);
        self.inner.again(&doing, async |session: &Arc<Session>| {
            session.remove(&path).await
        })
    }

    fn room(&self) -> Result<Option<u64>> {
        let doing = format!("cannot ask for the space of {}", self.shown());
        self.inner.again(&doing, async |session: &Arc<Session>| {
            self.inner.room(session).await
        })
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        let mut left = Vec::new();
        self.inner.each(|name, about| {
            if let Some((by, archive)) = told_by(&name, maker)
                && about.kind == FileKind::Regular
                && by.is_gone(maker)
            {
                left.push((name, archive));
            }
            Ok(())
        })?;
        let mut swept = Vec::new();
        for (name, archive) in left {
            let doing = format!("cannot remove {name} from {}", self.shown());
            let path = self.inner.path(&name);
            self.inner.again(&doing, async |session: &Arc<Session>| {
                session.remove(&path).await
            })?;
            swept.push(archive);
        }
        Ok(swept)
    }
}

fn stored(name: &str, about: About) -> Stored {
    Stored {
        name: name.to_owned(),
        size_bytes: about.size_bytes,
        modified: about
            .modified
            .and_then(|seconds| DateTime::from_timestamp(seconds.into(), 0)),
    }
}

impl Inner {
    /// Returns the free space in bytes, if the server tells it.
    async fn room(&self, session: &Session) -> Result<Option<u64>, Fault> {
        let user = match &self.address {
            Address::Sftp { user, .. } => user.as_deref(),
            _ => None,
        };
        // An unknown user may be root, for whom part of the disk is reserved.
        let is_root = user.is_none_or(|user| user == "root");
        session.room(&self.folder, is_root).await
    }

    /// Explains a fault of a write: SFTP has no code for a full disk.
    fn explained_write(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        let is_full = |fault: &Fault| {
            if fault.says_full() {
                return Some(None);
            }
            let free = self.network.clean(async {
                let session = self.session().await?;
                self.room(&session).await
            });
            let free = free.ok().flatten().filter(|_| fault.may_be_full())?;
            (free < FULL_BYTES).then_some(Some(free))
        };
        match error.downcast_ref::<Fault>() {
            Some(fault @ Fault::Refused(..)) => match is_full(fault) {
                Some(Some(free)) => self.explained(doing, Fault::Full(free).into()),
                Some(None) => full(format!("{doing}: {fault}")).into(),
                None => self.explained(doing, error),
            },
            _ => self.explained(doing, error),
        }
    }

    /// Explains a fault to the user; an interruption stays one.
    fn explained(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        let Some(fault) = error.downcast_ref::<Fault>() else {
            return match error.is::<Caught>() {
                true => error.context(doing.to_owned()),
                false => error,
            };
        };
        let text = fault.to_string();
        let message = format!("{doing}: {text}");
        let says = |word: &str| text.contains(word);
        let takes_passwords = says("password") || says("keyboard-interactive");
        let hint = match fault {
            Fault::Full(_) => return full(message).into(),
            Fault::Unreached(_) if says("cannot start ssh") => "install OpenSSH's client (`ssh`)",
            Fault::Unreached(_) if says(CHANGED) => {
                "ask the server's owner for its key; if it is this one, take the old one away (`ssh-keygen -R HOST`, with `-f FILE` for a `known_hosts_file`), and log in once with `ssh`"
            }
            Fault::Unreached(_) if says("Host key verification failed") => {
                "compare the server's key with its owner, then log in once with `ssh`, or set `known_hosts_file`"
            }
            Fault::Unreached(_) if says("Permission denied") && self.options.password.is_some() => {
                "look at `user` and `password`, and at what the server lets in"
            }
            Fault::Unreached(_) if says("Permission denied") && takes_passwords => {
                "look at `identity_file` and at the keys that the server lets in; a passphrase needs an agent; for a server that takes no keys set `password`"
            }
            Fault::Unreached(_) if says("Permission denied") => {
                "look at `identity_file` and at the keys that the server lets in; a passphrase needs an agent"
            }
            Fault::Unreached(_) if says("subsystem request failed") => {
                "have the server offer SFTP (`Subsystem sftp` in sshd_config)"
            }
            Fault::Unreached(_) => {
                "look at the host, its port and the network; `ssh HOST` must work without a question"
            }
            Fault::Noise(_) => {
                "nothing in .bashrc, .profile and the like of the account may print if there is no terminal; or have the server use `Subsystem sftp internal-sftp`"
            }
            Fault::Broken(_) => "look at the network, and try again",
            Fault::Late(_) => "look at the network, or raise `timeout`",
            Fault::Replaced => "try again with what is there now",
            Fault::Refused(Refusal::Denied, _) | Fault::Unmade(..) => {
                let hint = self.where_logins_begin();
                return Failure::new(Kind::Failed, message).hint(hint).into();
            }
            Fault::Unnamed(_) => {
                "have the server let the account rename files: an archive gets its name only when it is proven"
            }
            Fault::Missing | Fault::Refused(..) => {
                "look at the folder on the server: its owner, its mode, its space, its quota"
            }
        };
        Failure::new(Kind::Failed, message).hint(hint).into()
    }

    /// Returns a hint that a server may show other folders than its shell does, with the folder that `~/` stands for.
    fn where_logins_begin(&self) -> String {
        let home = self.network.clean(async {
            let session = self.session().await?;
            session.home().await
        });
        let Address::Sftp { host, .. } = &self.address else {
            return String::new();
        };
        let here = match home.ok().flatten() {
            Some(home) if !home.chars().any(char::is_control) => format!(" (there: {home})"),
            _ => String::new(),
        };
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        format!(
            "look at the folder's owner and mode; SFTP may show other folders than a shell there: `~/`, as in sftp://{host}/~/FOLDER, begins where the login does{here}"
        )
    }
}

fn full(message: String) -> Failure {
    Failure::new(Kind::Space, message)
        .hint("free some space there, or prune; nothing of this archive stays")
}

/// A file on the server as it was when it was opened.
struct Remote {
    inner: Arc<Inner>,
    doing: String,
    path: String,
    about: About,
    opened: Mutex<(Arc<Session>, Handle)>,
}

impl Remote {
    /// Returns the file's handle in a working session. If the old session is over, opens the same file in a new one.
    async fn handle(&self) -> Result<(Arc<Session>, Handle), Fault> {
        let locked = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let (session, handle) = locked().clone();
        if !session.is_broken() {
            return Ok((session, handle));
        }
        let session = self.inner.session().await?;
        let handle = match session.open(&self.path).await {
            Err(Fault::Missing) => return Err(Fault::Replaced),
            handle => handle?,
        };
        if session.about_open(&handle).await? != self.about {
            return Err(Fault::Replaced);
        }
        *locked() = (Arc::clone(&session), handle.clone());
        Ok((session, handle))
    }
}

impl ReadAt for Remote {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let is_inside = offset
            .checked_add(buffer.len() as u64)
            .is_some_and(|end| end <= self.about.size_bytes);
        if !is_inside {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = buffer.len();
        let pieces = self.inner.again(&self.doing, async |_: &Arc<Session>| {
            let (session, handle) = self.handle().await?;
            let piece_bytes = session.piece_bytes();
            let (session, handle) = (&session, &handle);
            let pieces = (0..count).step_by(piece_bytes).map(|from| async move {
                let bytes = piece_bytes.min(count - from);
                session.read(handle, offset + from as u64, bytes).await
            });
            let pieces = futures_util::stream::iter(pieces);
            let at_once = (WINDOW_BYTES / piece_bytes).max(1);
            pieces.buffered(at_once).try_collect::<Vec<_>>().await
        });
        let mut rest = buffer;
        for piece in pieces.map_err(io_error)? {
            let (to, behind) = rest.split_at_mut(piece.len());
            to.copy_from_slice(&piece);
            rest = behind;
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.about.size_bytes)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let opened = self
            .opened
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let (session, handle) = opened.clone();
        if !session.is_broken() {
            let close = async move { session.close(&handle).await };
            drop(self.inner.network.handle().spawn(close));
        }
    }
}
