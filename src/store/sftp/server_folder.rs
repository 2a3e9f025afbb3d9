//! The requests to one folder of an SSH server, each repeated if the connection broke.

use std::{
    ops::AsyncFn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;

use super::{
    fault::SftpFault,
    session::{About, Session},
};
use crate::{
    store::{
        address::ServerAddress,
        listed::require_end,
        network::Network,
        options::{SftpOptions, Transfer},
    },
    work::session::SessionStarter,
};

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

/// A folder of an SSH server, with the session that requests go through.
pub(super) struct ServerFolder {
    pub(super) network: Arc<Network>,
    pub(super) address: ServerAddress,
    /// The folder of the archives, ending in a slash.
    pub(super) folder: String,
    /// The options of the login.
    pub(super) login: SftpOptions,
    pub(super) transfer: Transfer,
    pub(super) starter: SessionStarter,
    pub(super) session: Arc<Mutex<Option<Arc<Session>>>>,
    /// True if this run had a session: then an unreachable server may come back.
    pub(super) was_reached: AtomicBool,
}

impl ServerFolder {
    /// Returns the folder called `name` in it, over the same session.
    pub(super) fn below(&self, name: &str) -> ServerFolder {
        let mut address = self.address.clone();
        address.folder = format!("{}{name}", self.folder);
        ServerFolder {
            network: self.network.clone(),
            folder: format!("{}/", address.folder),
            address,
            login: self.login.clone(),
            transfer: self.transfer.clone(),
            starter: self.starter.clone(),
            session: self.session.clone(),
            was_reached: AtomicBool::new(self.was_reached.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn shown(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    /// Returns the current session, or a new one.
    pub(super) async fn session(&self) -> Result<Arc<Session>, SftpFault> {
        let locked = || self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*locked()
            && !session.is_broken()
        {
            return Ok(Arc::clone(session));
        }
        let session =
            Session::connect(&self.address, &self.login, &self.transfer, &self.starter).await?;
        let session = Arc::new(session);
        self.was_reached.store(true, Ordering::Relaxed);
        *locked() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Does repeatable work, and retries it if the connection broke. Explains the final fault in a few words after
    /// `doing`.
    pub(super) fn again<T>(
        &self,
        doing: &str,
        work: impl AsyncFn(&Arc<Session>) -> Result<T, SftpFault>,
    ) -> Result<T> {
        let mut attempts = 0;
        loop {
            let result = self.network.wait(async {
                let session = self.session().await?;
                work(&session).await
            });
            match result {
                Err(error)
                    if attempts < self.transfer.retry_attempts
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
    fn may_pass(&self, fault: &SftpFault) -> bool {
        match fault {
            SftpFault::Broken(_) | SftpFault::Late(_) => true,
            SftpFault::Unreached(words) => {
                self.was_reached.load(Ordering::Relaxed)
                    && AWAY.iter().any(|away| words.contains(away))
            }
            _ => false,
        }
    }

    /// Removes one of hookshot's own files, as cleanup that no interruption ends.
    pub(super) fn clear_away(&self, name: &str) -> Result<()> {
        self.network.clean(async {
            let session = self.session().await?;
            session.remove(&self.path(name)).await
        })
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<About>> {
        let doing = format!("cannot look at {name} in {}", self.shown());
        let path = self.path(name);
        self.again(&doing, async |session: &Arc<Session>| {
            session.about(&path).await
        })
    }

    /// Passes on everything in the folder; `None` if the folder does not exist.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(String, About) -> Result<()>,
    ) -> Result<Option<()>> {
        let doing = format!("cannot list {}", self.shown());
        let folder = match self.folder.trim_end_matches('/') {
            "" => "/",
            folder => folder,
        };
        let opened = self.again(&doing, async |session: &Arc<Session>| {
            match session.open_folder(folder).await {
                Err(SftpFault::Missing) => Ok(None),
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

    /// Returns the free space in bytes, if the server tells it.
    pub(super) async fn room(&self, session: &Session) -> Result<Option<u64>, SftpFault> {
        // An unknown user may be root, for whom part of the disk is reserved.
        let is_root = self
            .address
            .user
            .as_deref()
            .is_none_or(|user| user == "root");
        session.room(&self.folder, is_root).await
    }
}
