//! The kinds of failure that a caller branches on, with the exit code, the JSON name and the hint of each.
//!
//! Everything below `cli` returns `anyhow::Result`. If the kind matters, the chain of causes has a [`Failure`].

use std::{fmt, io};

use nix::libc::{EIO, EMFILE, ENFILE, ENOLCK, EOPNOTSUPP, EPERM};

/// The kinds of failure. Exit codes are part of the interface (docs/cli.md, "Exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not covered by another kind: an I/O error, say.
    Failed,
    /// A file, a server or a store refuses this user: permissions, a key.
    Forbidden,
    /// No connection to a server or a store, or it broke.
    Unreachable,
    /// A program that is needed is not installed.
    ToolMissing,
    /// Two things that were compared differ.
    Differs,
    /// Wrong usage or configuration.
    Usage,
    /// Finished, with parts left undone that the output names.
    Partial,
    /// An archive, an entry, a source or a destination does not exist.
    NotFound,
    /// An active deployment, a process that holds the database, another hookshot at work.
    Blocked,
    /// No key opens the archive, or no key is given.
    Key,
    /// The archive is damaged, truncated, hostile, or does not match its manifest.
    Refused,
    /// The archive's version and this hookshot's do not go together.
    Version,
    /// No consistent snapshot could be taken.
    Snapshot,
    /// The archive is good here, but a destination did not prove that it holds it.
    Unproven,
    /// Not enough space.
    Space,
    /// A check of health did not hold: stale, a failed probe.
    Unhealthy,
    /// An import failed after it began; the old state is back.
    RolledBack,
    /// A signal ended the work; the number is the signal's.
    Interrupted(u8),
}

impl Kind {
    /// Returns the process exit code of this kind.
    pub fn code(self) -> u8 {
        match self {
            Kind::Failed | Kind::Differs => 1,
            Kind::Forbidden | Kind::Unreachable | Kind::ToolMissing => 1,
            Kind::Usage => 2,
            Kind::Partial => 3,
            Kind::NotFound => 10,
            Kind::Blocked => 11,
            Kind::Key => 12,
            Kind::Refused => 13,
            Kind::Version => 14,
            Kind::Snapshot => 15,
            Kind::Unproven => 17,
            Kind::Space => 18,
            Kind::Unhealthy => 19,
            Kind::RolledBack => 20,
            // 128 + signal number, as shells report it.
            Kind::Interrupted(signal) => 128u8.saturating_add(signal),
        }
    }

    /// Returns true for [`Kind::Failed`] and the kinds that say more about such a failure.
    pub fn is_failed(self) -> bool {
        self.code() == Kind::Failed.code() && self != Kind::Differs
    }

    /// Returns the name of this kind in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Forbidden => "forbidden",
            Kind::Unreachable => "unreachable",
            Kind::ToolMissing => "tool_missing",
            Kind::Differs => "differs",
            Kind::Usage => "usage",
            Kind::Partial => "partial",
            Kind::NotFound => "not_found",
            Kind::Blocked => "blocked",
            Kind::Key => "wrong_key",
            Kind::Refused => "archive_refused",
            Kind::Version => "version_incompatible",
            Kind::Snapshot => "no_snapshot",
            Kind::Unproven => "not_proven",
            Kind::Space => "no_space",
            Kind::Unhealthy => "not_healthy",
            Kind::RolledBack => "import_failed",
            Kind::Interrupted(_) => "interrupted",
        }
    }
}

/// A failure with its kind, its message, every fault that was found, and what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The kind that a caller branches on.
    pub kind: Kind,
    /// The message, in lower case and without a full stop.
    pub message: String,
    /// The advice to the user.
    pub hint: Option<String>,
    /// Every single fault, if there can be several.
    pub faults: Vec<String>,
}

impl Failure {
    /// Returns a failure of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            hint: None,
            faults: Vec::new(),
        }
    }

    /// Returns the failure of what needs a feature that this program is built without; `what` cannot be done.
    pub fn without(feature: &str, what: &str) -> Failure {
        let message = format!("{what}: this hookshot is built without {feature}");
        Failure::new(Kind::Usage, message).hint(format!(
            "use one that is built with the feature `{feature}`: without other wishes, cargo builds all of them"
        ))
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the single faults.
    #[must_use]
    pub fn faults(mut self, faults: Vec<String>) -> Failure {
        self.faults = faults;
        self
    }

    /// Returns the failure that `error` comes down to: the [`Failure`] in its chain, or what its I/O cause means.
    pub fn of(error: &anyhow::Error) -> Failure {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            let message = format!("{error:#}");
            return Failure {
                message,
                ..failure.clone()
            };
        }
        for cause in error.chain() {
            if cause.is::<Caught>() {
                return Failure::new(Kind::Failed, format!("{error:#}")).hint(Caught::HINT);
            }
            let io = cause.downcast_ref::<io::Error>();
            if let Some(failure) = io
                .and_then(io::Error::get_ref)
                .and_then(|inner| inner.downcast_ref::<Failure>())
            {
                return failure.clone();
            }
            let number = io
                .and_then(io::Error::raw_os_error)
                .or_else(|| system_error(cause));
            let kind = io.map(io::Error::kind);
            let kind = kind.or_else(|| Some(io::Error::from_raw_os_error(number?).kind()));
            let Some(kind) = kind else {
                continue;
            };
            let (kind, hint) = match kind {
                io::ErrorKind::FileTooLarge => (
                    Kind::Space,
                    Some(
                        "raise the limit of a file's size (`ulimit -f`, LimitFSIZE= of a systemd unit), or use a file \
                        system that takes such files",
                    ),
                ),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                    Kind::Space,
                    Some("free some space (or raise the quota) and try again"),
                ),
                io::ErrorKind::PermissionDenied if number == Some(EPERM) => (
                    Kind::Failed,
                    Some(
                        "it may be immutable (`lsattr` shows it, `chattr -i` ends it), or its file system refuses this \
                        even to root (a network share, FUSE, /proc, a container)",
                    ),
                ),
                io::ErrorKind::PermissionDenied => (
                    Kind::Forbidden,
                    Some("run as the user that owns these files, or as root"),
                ),
                io::ErrorKind::ReadOnlyFilesystem => {
                    (Kind::Failed, Some("the file system is mounted read-only"))
                }
                io::ErrorKind::InvalidFilename => (
                    Kind::Failed,
                    Some("a path of at most 4095 bytes can be opened, with names of at most 255"),
                ),
                io::ErrorKind::StaleNetworkFileHandle => (
                    Kind::Failed,
                    Some("the network file system has changed under us: mount it again, then try again"),
                ),
                _ => (
                    Kind::Failed,
                    number.and_then(|number| match number {
                        EMFILE | ENFILE => Some("raise the limit of open files (`ulimit -n`)"),
                        EIO => Some("the disk fails: look at `dmesg`, and do not write to it"),
                        ENOLCK | EOPNOTSUPP => Some(
                            "the file system cannot do this (a network share without locks, FUSE): keep this folder on a local disk",
                        ),
                        _ => None,
                    }),
                ),
            };
            return Failure {
                kind,
                message: format!("{error:#}"),
                hint: hint.map(str::to_owned),
                faults: Vec::new(),
            };
        }
        Failure::new(Kind::Failed, format!("{error:#}"))
    }
}

/// Returns the number of the error that a system call failed with, if a library has a type of its own for it.
fn system_error(cause: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let rustix = cause.downcast_ref::<rustix::io::Errno>();
    let nix = cause.downcast_ref::<nix::errno::Errno>();
    rustix
        .map(|error| error.raw_os_error())
        .or_else(|| nix.map(|error| *error as i32))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Lets a failure travel through interfaces that only know `io::Error` (readers, writers).
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::other(failure)
    }
}

/// A panic that was caught. Its `Display` says where it was, and not what its text says.
#[derive(Debug, Clone)]
pub struct Caught {
    /// The text of the panic, which may repeat what the library was given.
    pub text: String,
    /// The file and the line, if they are known.
    pub place: Option<String>,
}

impl Caught {
    /// The advice to the user.
    pub const HINT: &str = "report it, with the command line and the version, and without secrets; look at the \
        destination's options and at the environment meanwhile";
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a defect of a library")?;
        match &self.place {
            Some(place) => write!(f, ", in {place}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Caught {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_full_disk_is_told_apart_wherever_it_happened() {
        let error = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
            .context("cannot write /x")
            .expect_err("it is an error");
        assert_eq!(Failure::of(&error).kind, Kind::Space);
    }

    #[test]
    fn a_full_disk_is_told_apart_whichever_library_met_it() {
        let errors = [
            anyhow::Error::new(rustix::io::Errno::NOSPC),
            anyhow::Error::new(nix::errno::Errno::ENOSPC),
            anyhow::Error::new(rustix::io::Errno::DQUOT),
        ];
        for error in errors {
            let error = error.context("cannot create /x");
            assert_eq!(Failure::of(&error).kind, Kind::Space, "{error:#}");
        }
        let error = anyhow::Error::new(rustix::io::Errno::IO);
        assert_eq!(Failure::of(&error).kind, Kind::Failed);
        let error = anyhow::Error::new(rustix::io::Errno::ACCESS);
        assert_eq!(Failure::of(&error).kind, Kind::Forbidden);
        assert!(Kind::Forbidden.is_failed() && !Kind::Differs.is_failed());
    }

    #[test]
    fn a_failure_survives_context_and_io_errors() {
        let refused = Failure::new(Kind::Refused, "damaged").hint("try another");
        let error = anyhow::Error::new(refused.clone()).context("reading a.tar.gz");
        assert_eq!(Failure::of(&error).kind, Kind::Refused);
        assert_eq!(Failure::of(&error).message, "reading a.tar.gz: damaged");
        let error = anyhow::Error::new(io::Error::from(refused));
        assert_eq!(Failure::of(&error).hint.as_deref(), Some("try another"));
    }

    #[test]
    fn signals_map_to_the_codes_of_the_shell() {
        assert_eq!(Kind::Interrupted(2).code(), 130);
        assert_eq!(Kind::Interrupted(15).code(), 143);
    }
}
