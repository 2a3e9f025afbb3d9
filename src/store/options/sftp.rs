//! The options of SSH servers.

use std::path::PathBuf;

use crate::store::secret::{Resolve, Secret};

/// The options of an SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpOptions<S = Secret> {
    /// The password, for servers that accept no keys.
    pub password: Option<S>,
    /// The private key.
    pub identity_file: Option<PathBuf>,
    /// The file of known hosts.
    pub known_hosts_file: Option<PathBuf>,
    /// A configuration of ssh that replaces the user's.
    pub ssh_config: Option<PathBuf>,
}

impl<S> Default for SftpOptions<S> {
    fn default() -> SftpOptions<S> {
        SftpOptions {
            password: None,
            identity_file: None,
            known_hosts_file: None,
            ssh_config: None,
        }
    }
}

impl<S> SftpOptions<S> {
    pub(super) fn resolve<T, E>(self, resolve: Resolve<'_, S, T, E>) -> Result<SftpOptions<T>, E> {
        Ok(SftpOptions {
            password: resolve(self.password)?,
            identity_file: self.identity_file,
            known_hosts_file: self.known_hosts_file,
            ssh_config: self.ssh_config,
        })
    }
}
