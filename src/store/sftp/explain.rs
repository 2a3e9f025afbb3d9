//! Explanations of faults of SFTP: what failed and what to do.

use super::{
    fault::{Refusal, SftpFault},
    server_folder::ServerFolder,
    ssh::CHANGED,
};
use crate::error::{Caught, Failure, Kind};

/// A disk with less free space than this counts as full if it refuses a write.
const FULL_BYTES: u64 = 1 << 20;

impl ServerFolder {
    /// Explains a fault of a write: SFTP has no code for a full disk.
    pub(super) fn explained_write(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        let is_full = |fault: &SftpFault| {
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
        match error.downcast_ref::<SftpFault>() {
            Some(fault @ SftpFault::Refused(..)) => match is_full(fault) {
                Some(Some(free)) => self.explained(doing, SftpFault::Full(free).into()),
                Some(None) => full(format!("{doing}: {fault}")).into(),
                None => self.explained(doing, error),
            },
            _ => self.explained(doing, error),
        }
    }

    /// Explains a fault to the user; an interruption stays one.
    pub(super) fn explained(&self, doing: &str, error: anyhow::Error) -> anyhow::Error {
        let Some(fault) = error.downcast_ref::<SftpFault>() else {
            return match error.is::<Caught>() {
                true => error.context(doing.to_owned()),
                false => error,
            };
        };
        let text = fault.to_string();
        let message = format!("{doing}: {text}");
        let says = |word: &str| text.contains(word);
        let takes_passwords = says("password") || says("keyboard-interactive");
        let kind = kind_of(fault);
        let hint = match fault {
            SftpFault::Full(_) => return full(message).into(),
            SftpFault::Unreached(_) if says("cannot start ssh") => {
                "install OpenSSH's client (`ssh`)"
            }
            SftpFault::Unreached(_) if says(CHANGED) => {
                "ask the server's owner for its key; if it is this one, take the old one away (`ssh-keygen -R HOST`, \
                with `-f FILE` for a `known_hosts_file`), and log in once with `ssh`"
            }
            SftpFault::Unreached(_) if says("Host key verification failed") => {
                "compare the server's key with its owner, then log in once with `ssh`, or set `known_hosts_file`"
            }
            SftpFault::Unreached(_)
                if says("Permission denied") && self.login.password.is_some() =>
            {
                "look at `user` and `password`, and at what the server lets in"
            }
            SftpFault::Unreached(_) if says("Permission denied") && takes_passwords => {
                "look at `identity_file` and at the keys that the server lets in; a passphrase needs an agent; for a \
                server that takes no keys set `password`"
            }
            SftpFault::Unreached(_) if says("Permission denied") => {
                "look at `identity_file` and at the keys that the server lets in; a passphrase needs an agent"
            }
            SftpFault::Unreached(_) if says("subsystem request failed") => {
                "have the server offer SFTP (`Subsystem sftp` in sshd_config)"
            }
            SftpFault::Unreached(_) => {
                "look at the host, its port and the network; `ssh HOST` must work without a question"
            }
            SftpFault::Noise(_) => {
                "nothing in .bashrc, .profile and the like of the account may print without a terminal; or have \
                the server use `Subsystem sftp internal-sftp`"
            }
            SftpFault::Broken(_) => "look at the network, and try again",
            SftpFault::Late(_) => "look at the network, or raise `timeout`",
            SftpFault::Replaced => "try again with what is there now",
            SftpFault::Refused(Refusal::Denied, _) | SftpFault::Unmade(..) => {
                let hint = self.where_logins_begin();
                return Failure::new(kind, message).hint(hint).into();
            }
            SftpFault::Unnamed(_) => {
                "have the server let the account rename files: an archive gets its name only when it is proven"
            }
            SftpFault::Missing | SftpFault::Refused(..) => {
                "look at the folder on the server: its owner, its mode, its space, its quota"
            }
        };
        Failure::new(kind, message).hint(hint).into()
    }

    /// Returns a hint that a server may show other folders than its shell does, with the folder that `~/` stands for.
    fn where_logins_begin(&self) -> String {
        let home = self.network.clean(async {
            let session = self.session().await?;
            session.home().await
        });
        let host = &self.address.host;
        let here = match home.ok().flatten() {
            Some(home) if !home.chars().any(char::is_control) => format!(" (there: {home})"),
            _ => String::new(),
        };
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        format!(
            "look at the folder's owner and mode; SFTP may show other folders than a shell there: `~/`, as in \
            sftp://{host}/~/FOLDER, begins where the login does{here}"
        )
    }
}

fn full(message: String) -> Failure {
    Failure::new(Kind::Space, message)
        .hint("free some space there, or prune; nothing of this archive stays")
}

/// Returns the kind of the failure that a fault is.
fn kind_of(fault: &SftpFault) -> Kind {
    match fault {
        SftpFault::Unreached(why) if why.contains("cannot start ssh") => Kind::ToolMissing,
        SftpFault::Unreached(why) if why.contains("Permission denied") => Kind::Forbidden,
        // The server answers, and is another one or offers something else.
        SftpFault::Unreached(why)
            if why.contains(CHANGED)
                || why.contains("Host key verification failed")
                || why.contains("subsystem request failed") =>
        {
            Kind::Failed
        }
        SftpFault::Unreached(_) | SftpFault::Broken(_) | SftpFault::Late(_) => Kind::Unreachable,
        SftpFault::Refused(Refusal::Denied, _) => Kind::Forbidden,
        SftpFault::Unmade(_, fault) | SftpFault::Unnamed(fault) => kind_of(fault),
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_the_kind_that_programs_branch_on() {
        let unreached = |why: &str| SftpFault::Unreached(why.to_owned());
        let denied = SftpFault::Refused(Refusal::Denied, "no".to_owned());
        for (fault, kind) in [
            (
                unreached("cannot start ssh: No such file"),
                Kind::ToolMissing,
            ),
            (
                unreached("me@host: Permission denied (publickey)."),
                Kind::Forbidden,
            ),
            (unreached("Host key verification failed."), Kind::Failed),
            (
                unreached("connect to host h port 22: Connection refused"),
                Kind::Unreachable,
            ),
            (
                SftpFault::Unmade("a".to_owned(), Box::new(denied)),
                Kind::Forbidden,
            ),
            (SftpFault::Missing, Kind::Failed),
        ] {
            assert_eq!(kind_of(&fault), kind, "{fault}");
        }
    }
}
