//! Archives in a folder of an SSH server, over SFTP (draft-ietf-secsh-filexfer-02, version 3).
//!
//! An upload is a file whose name begins with [`OWN`] and identifies its maker, so that a later run can remove the
//! leftovers of a kill. SFTP has no checksums: every archive is read back before it gets its name.
//!
//! Not promised: that the name survives a power failure right after it was given, because SFTP cannot sync a folder;
//! the content is synced if the server can do that. Nor that a server which renames over a file, against the protocol,
//! keeps a file that got the name in the same moment. Nor files whose names are not UTF-8.

mod explain;
mod fault;
mod reading;
mod server_folder;
mod session;
mod ssh;
mod upload;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use anyhow::Result;
use chrono::DateTime;

pub use self::ssh::ASKPASS;
use self::{
    reading::RemoteFile,
    server_folder::ServerFolder,
    session::{About, FileKind, Session},
    upload::SftpUpload,
};
use super::{
    address::ServerAddress,
    contract::{Store, Stored, Upload},
    failures::{missing, taken},
    listed::MOST_FOLDERS,
    marker::{Maker, told_by},
    names::{OWN, fit, plain},
    network::Network,
    options::{SftpOptions, StopCheck, Transfer},
};
use crate::{
    error::{Failure, Kind},
    work::{ReadAt, session::SessionStarter},
};

/// A folder of an SSH server.
pub struct Sftp {
    inner: Arc<ServerFolder>,
    /// The folders that the last listing skipped.
    folders: Mutex<BTreeSet<String>>,
}

impl Sftp {
    /// Opens a folder of a server; does not log in yet.
    pub fn open(
        address: &ServerAddress,
        own: &SftpOptions,
        transfer: &Transfer,
        starter: &SessionStarter,
        check: StopCheck,
    ) -> Result<Sftp> {
        Ok(Sftp {
            folders: Mutex::default(),
            inner: Arc::new(ServerFolder {
                network: Arc::new(Network::new(check)?),
                address: address.clone(),
                folder: format!("{}/", address.folder.trim_end_matches('/')),
                login: own.clone(),
                transfer: transfer.clone(),
                starter: starter.clone(),
                session: Arc::new(Mutex::new(None)),
                was_reached: AtomicBool::new(false),
            }),
        })
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
            let message = format!("the folder {} does not exist", self.shown());
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
        match RemoteFile::open(&self.inner, name)? {
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

    fn clear_away(&self, name: &str) -> Result<()> {
        plain(name)?;
        let path = self.inner.path(name);
        let removed = self.inner.network.clean(async {
            let session = self.inner.session().await?;
            session.remove(&path).await
        });
        match removed {
            Ok(()) => Ok(()),
            Err(_) => self.remove(name),
        }
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

    fn below(&self, name: &str) -> Result<Box<dyn Store>> {
        fit(name)?;
        Ok(Box::new(Sftp {
            folders: Mutex::default(),
            inner: Arc::new(self.inner.below(name)),
        }))
    }
}

fn stored(name: &str, about: About) -> Stored {
    Stored {
        name: name.to_owned(),
        size_bytes: about.size_bytes,
        modified: about
            .modified
            .and_then(|seconds| DateTime::from_timestamp(seconds.into(), 0)),
        etag: None,
    }
}
