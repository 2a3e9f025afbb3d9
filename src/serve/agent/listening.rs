//! The socket of the agent: made here for one user and its group, or passed by systemd as standard input.

use std::{
    fs::Permissions,
    io,
    os::{
        fd::AsFd as _,
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::stat::{Mode, umask},
    unistd::User,
};
use rustix::net::{AddressFamily, sockopt};

use crate::{
    disk::{exists, remove_file},
    error::{Failure, Kind},
};

/// The place of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Standard input, as systemd passes it (`StandardInput=socket`).
    Passed,
    /// A file.
    File(PathBuf),
}

/// The socket, whose file goes with it.
pub struct Listening {
    /// The socket.
    pub listener: UnixListener,
    file: Option<PathBuf>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = remove_file(file);
        }
    }
}

/// Returns the user of this name.
pub fn user(name: &str) -> Result<User> {
    let found = User::from_name(name).with_context(|| format!("cannot look up the user {name}"))?;
    let missing = || Failure::new(Kind::Usage, format!("the user {name} does not exist"));
    Ok(found.ok_or_else(missing)?)
}

/// Takes the socket. One that is made is 0660 for the group of `user`, else 0600.
pub fn listen(place: &Place, user: Option<&User>) -> Result<Listening> {
    match place {
        Place::Passed => passed(),
        Place::File(path) => made(path, user),
    }
}

fn passed() -> Result<Listening> {
    let input = std::io::stdin();
    let is_socket = sockopt::socket_acceptconn(input.as_fd()).unwrap_or(false)
        && sockopt::socket_domain(input.as_fd()) == Ok(AddressFamily::UNIX);
    if !is_socket {
        let failure = Failure::new(Kind::Usage, "standard input is not a socket that listens");
        return Err(failure
            .hint("name the file of a socket; `-` is for systemd (StandardInput=socket)")
            .into());
    }
    let descriptor = input.as_fd().try_clone_to_owned()?;
    Ok(Listening {
        listener: UnixListener::from(descriptor),
        file: None,
    })
}

fn made(path: &Path, user: Option<&User>) -> Result<Listening> {
    let making = || format!("cannot listen at {}", path.display());
    remove_stale(path)?;
    // The socket is private from its first moment; no other thread makes files meanwhile.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listening = Listening {
        listener: bound.with_context(making)?,
        file: Some(path.to_owned()),
    };
    if let Some(user) = user {
        std::os::unix::fs::lchown(path, None, Some(user.gid.as_raw())).with_context(making)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660)).with_context(making)?;
    }
    Ok(listening)
}

/// Removes the socket of an agent that was killed. Anything else at its path stays.
fn remove_stale(path: &Path) -> Result<()> {
    if !exists(path) {
        return Ok(());
    }
    let is_socket = path.symlink_metadata()?.file_type().is_socket();
    let is_dead = matches!(
        UnixStream::connect(path),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused
    );
    if is_socket && is_dead {
        return Ok(remove_file(path)?);
    }
    let message = match is_socket {
        true => format!("another agent listens at {}", path.display()),
        false => format!("{} is not a socket", path.display()),
    };
    Err(Failure::new(Kind::Blocked, message)
        .hint("end it, or name another file; nothing was changed")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_everything_else_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.sock");
        let place = Place::File(path.clone());
        let first = listen(&place, None).expect("listening");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = listen(&place, None).err().expect("refused");
        assert!(error.to_string().contains("another agent"), "{error}");
        drop(first);
        assert!(!path.exists());
        drop(UnixListener::bind(&path).expect("bound"));
        drop(listen(&place, None).expect("listening"));
        crate::disk::create_folders(&path).expect("a folder");
        let error = listen(&place, None).err().expect("refused");
        assert!(error.to_string().contains("not a socket"), "{error}");
        assert!(path.is_dir());
    }
}
