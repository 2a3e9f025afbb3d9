//! The upload of one file to an SSH server: written under a name of hookshot's own, synced, read back, then renamed.

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{
    fault::{Refusal, SftpFault},
    reading::RemoteFile,
    server_folder::ServerFolder,
    session::{Handle, Session, WINDOW_BYTES},
};
use crate::{
    model::digest::Digest,
    store::{
        contract::{Proof, Upload},
        failures::taken,
        marker::{Maker, own_name_of},
        network::{Pace, lost},
        proof::{io_error, is_same, not_proven, unproven},
    },
};

/// The upload of one file.
pub struct SftpUpload {
    inner: Arc<ServerFolder>,
    session: Arc<Session>,
    handle: Handle,
    /// The temporary name, until all of it arrived.
    own: String,
    name: String,
    piece: Vec<u8>,
    sent: u64,
    pace: Pace,
    at_work: JoinSet<Result<(), SftpFault>>,
    stays: Stays,
}

/// The file that stays when the upload is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Nothing,
    /// Nothing; but the server was asked to rename the file, and perhaps did.
    NothingNamed,
    /// The archive, under its name.
    Archive,
}

impl SftpUpload {
    pub(super) fn new(inner: Arc<ServerFolder>, name: &str, maker: &Maker) -> Result<SftpUpload> {
        let own = own_name_of(maker, name);
        let path = inner.path(&own);
        let doing = format!("cannot write to {}", inner.shown());
        let result = inner.network.wait(async {
            let session = inner.session().await?;
            let handle = match session.create(&path).await {
                Err(SftpFault::Missing) => {
                    make_folders(&session, &inner.folder).await?;
                    session.create(&path).await?
                }
                handle => handle?,
            };
            Ok::<_, SftpFault>((session, handle))
        });
        let (session, handle) = match result {
            Ok(opened) => opened,
            Err(error) => {
                // After an interruption the new file may exist. If it is another upload's, the server refused to create
                // it, and it stays.
                if !matches!(
                    error.downcast_ref(),
                    Some(
                        SftpFault::Refused(..)
                            | SftpFault::Unmade(..)
                            | SftpFault::Unreached(_)
                            | SftpFault::Noise(_)
                    )
                ) {
                    drop(inner.clear_away(&own));
                }
                return Err(inner.explained_write(&doing, error));
            }
        };
        Ok(SftpUpload {
            pace: Pace::new(inner.transfer.bandwidth_limit),
            inner,
            session,
            handle,
            own,
            name: name.to_owned(),
            piece: Vec::new(),
            sent: 0,
            at_work: JoinSet::new(),
            stays: Stays::Nothing,
        })
    }

    fn sending<T>(&self, result: Result<T>) -> Result<T> {
        let doing = || format!("cannot send {} to {}", self.name, self.inner.shown());
        result.map_err(|error| self.inner.explained_write(&doing(), error))
    }

    /// Sends the piece, after waiting for a free slot.
    fn send(&mut self) -> Result<()> {
        self.pace
            .wait(self.piece.len(), self.inner.network.check())?;
        let at_once = (WINDOW_BYTES / self.session.piece_bytes()).max(1);
        self.settle(at_once - 1)?;
        let piece = std::mem::take(&mut self.piece);
        let offset = self.sent;
        self.sent += piece.len() as u64;
        let begun = async { anyhow::Ok(self.session.write(&self.handle, offset, piece).await) };
        let answer = self.inner.network.wait(begun)?;
        self.at_work.spawn_on(answer, self.inner.network.handle());
        Ok(())
    }

    /// Waits until at most this many pieces are unanswered.
    fn settle(&mut self, most: usize) -> Result<()> {
        while self.at_work.len() > most {
            let next = async { anyhow::Ok(self.at_work.join_next().await) };
            match self.inner.network.wait(next)? {
                None => {}
                Some(Ok(written)) => written?,
                Some(Err(error)) => return Err(lost("sending a piece", error)),
            }
        }
        Ok(())
    }

    /// Writes all of it to the server's disk, under the name of hookshot's own.
    fn write_out(&mut self) -> Result<()> {
        if !self.piece.is_empty() {
            self.send()?;
        }
        self.settle(0)?;
        self.inner.network.wait(async {
            self.session.sync(&self.handle).await?;
            self.session.close(&self.handle).await
        })
    }

    /// Returns true if the file of this name is the one that was sent.
    fn is_there(&self, name: &str, digest: &Digest) -> Result<bool> {
        match RemoteFile::open(&self.inner, name)? {
            Some(remote) if remote.about.size_bytes == self.sent => {
                is_same(Arc::new(remote), digest)
            }
            _ => Ok(false),
        }
    }

    /// Renames the file to its final name.
    fn name(&self, digest: &Digest) -> Result<()> {
        let (from, to) = (self.inner.path(&self.own), self.inner.path(&self.name));
        let renamed = self.inner.network.wait(async {
            let session = self.inner.session().await?;
            // By the protocol the rename fails if the name is taken, but not every server obeys.
            if session.about(&to).await?.is_some() {
                return Ok(false);
            }
            session.rename(&from, &to).await.map(|()| true)
        });
        match renamed {
            Ok(true) => Ok(()),
            Ok(false) => Err(taken(&self.inner.shown(), &self.name).into()),
            Err(error) => {
                let Some(fault) = error.downcast_ref::<SftpFault>() else {
                    return Err(error);
                };
                let refused = match fault {
                    SftpFault::Refused(kind @ (Refusal::Denied | Refusal::Unsupported), words) => {
                        Some(SftpFault::Refused(*kind, words.clone()))
                    }
                    _ => None,
                };
                // The answer may be lost, or another upload was faster.
                let is_own_gone = self.inner.find(&self.own)?.is_none();
                let is_taken = self.inner.find(&self.name)?.is_some();
                match (is_taken, is_own_gone) {
                    (true, true) if self.is_there(&self.name, digest)? => Ok(()),
                    (true, _) => Err(taken(&self.inner.shown(), &self.name).into()),
                    (false, _) => match refused {
                        Some(refused) => Err(SftpFault::Unnamed(Box::new(refused)).into()),
                        None => Err(error),
                    },
                }
            }
        }
    }
}

/// Creates a folder and the missing folders above it.
async fn make_folders(session: &Session, folder: &str) -> Result<(), SftpFault> {
    let ends = folder.match_indices('/').map(|(end, _)| &folder[..end]);
    for path in ends.filter(|path| !path.is_empty()) {
        if session.about(path).await?.is_none()
            && let Err(fault) = session.make_folder(path).await
            // Another process may have created it first.
            && session.about(path).await?.is_none()
        {
            return Err(SftpFault::Unmade(path.to_owned(), Box::new(fault)));
        }
    }
    Ok(())
}

impl Write for SftpUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece_bytes = self.session.piece_bytes();
        if self.piece.len() == piece_bytes {
            let sent = self.send();
            self.sending(sent).map_err(io_error)?;
        }
        if self.piece.capacity() == 0 {
            self.piece.reserve_exact(piece_bytes);
        }
        let taken = bytes.len().min(piece_bytes - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for SftpUpload {
    fn finish(mut self: Box<Self>, digest: &Digest) -> Result<Proof> {
        let written = self.write_out();
        self.sending(written)?;
        let place = self.inner.shown();
        // Verified before the rename, so that a damaged file never gets the name.
        let is_same = self.is_there(&self.own, digest);
        match is_same {
            Ok(true) => {}
            Ok(false) => {
                let why = "what was read back is not what was sent";
                return Err(unproven(&place, &self.name, why).into());
            }
            Err(error) => return Err(not_proven(&place, &self.name, &error)),
        }
        self.stays = Stays::NothingNamed;
        let named = self.name(digest);
        self.sending(named)?;
        match self.inner.find(&self.name) {
            Ok(Some(about)) if about.size_bytes == self.sent => {
                self.stays = Stays::Archive;
                Ok(Proof::ReadBack)
            }
            Ok(_) => Err(unproven(&place, &self.name, "it is not there").into()),
            Err(error) => Err(not_proven(&place, &self.name, &error)),
        }
    }
}

impl Drop for SftpUpload {
    fn drop(&mut self) {
        if self.stays == Stays::Archive {
            return;
        }
        let stopped = async {
            self.at_work.shutdown().await;
            anyhow::Ok(())
        };
        drop(self.inner.network.clean(stopped));
        // If that fails, a later run removes the file.
        drop(self.inner.network.clean(self.withdraw()));
    }
}

impl SftpUpload {
    async fn withdraw(&self) -> Result<(), SftpFault> {
        // Some servers create a file only when it is closed.
        if !self.session.is_broken() {
            drop(self.session.close(&self.handle).await);
        }
        let session = self.inner.session().await?;
        let (own, named) = (self.inner.path(&self.own), self.inner.path(&self.name));
        // Answers come in the order of the requests, so the rename has happened by now, or never will.
        if self.stays == Stays::NothingNamed && session.about(&own).await?.is_none() {
            let about = session.about(&named).await?;
            return match about.is_some_and(|about| about.size_bytes == self.sent) {
                true => session.remove(&named).await,
                false => Ok(()),
            };
        }
        session.remove(&own).await
    }
}
