//! Reading any part of one file on an SSH server, as it was when it was opened.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    fault::SftpFault,
    server_folder::ServerFolder,
    session::{About, Handle, Session, WINDOW_BYTES},
};
use crate::{store::proof::io_error, work::ReadAt};

/// A file on the server as it was when it was opened.
pub(super) struct RemoteFile {
    server: Arc<ServerFolder>,
    doing: String,
    path: String,
    pub(super) about: About,
    opened: Mutex<(Arc<Session>, Handle)>,
}

impl RemoteFile {
    /// Opens the file of this name; `None` if it does not exist.
    pub(super) fn open(server: &Arc<ServerFolder>, name: &str) -> Result<Option<RemoteFile>> {
        let doing = format!("cannot read {name} in {}", server.shown());
        let path = server.path(name);
        let opened = server.again(&doing, async |session: &Arc<Session>| {
            let handle = match session.open(&path).await {
                Err(SftpFault::Missing) => return Ok(None),
                handle => handle?,
            };
            let about = session.about_open(&handle).await?;
            Ok(Some((Arc::clone(session), handle, about)))
        })?;
        Ok(opened.map(|(session, handle, about)| RemoteFile {
            server: Arc::clone(server),
            doing,
            path,
            about,
            opened: Mutex::new((session, handle)),
        }))
    }

    /// Returns the file's handle in a working session. If the old session is over, opens the same file in a new one.
    async fn handle(&self) -> Result<(Arc<Session>, Handle), SftpFault> {
        let locked = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let (session, handle) = locked().clone();
        if !session.is_broken() {
            return Ok((session, handle));
        }
        let session = self.server.session().await?;
        let handle = match session.open(&self.path).await {
            Err(SftpFault::Missing) => return Err(SftpFault::Replaced),
            handle => handle?,
        };
        if session.about_open(&handle).await? != self.about {
            return Err(SftpFault::Replaced);
        }
        *locked() = (Arc::clone(&session), handle.clone());
        Ok((session, handle))
    }
}

impl ReadAt for RemoteFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let is_inside = offset
            .checked_add(buffer.len() as u64)
            .is_some_and(|end| end <= self.about.size_bytes);
        if !is_inside {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = buffer.len();
        let pieces = self.server.again(&self.doing, async |_: &Arc<Session>| {
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

impl Drop for RemoteFile {
    fn drop(&mut self) {
        let opened = self
            .opened
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let (session, handle) = opened.clone();
        if !session.is_broken() {
            let close = async move { session.close(&handle).await };
            drop(self.server.network.handle().spawn(close));
        }
    }
}
