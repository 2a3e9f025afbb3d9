//! The reasons why a request to an SFTP server fails.

use std::{fmt, time::Duration};

/// The reason why a request failed.
#[derive(Debug)]
pub enum SftpFault {
    /// The server says that the file does not exist.
    Missing,
    /// The server refuses, in these words.
    Refused(Refusal, String),
    /// The server does not create a folder.
    Unmade(String, Box<SftpFault>),
    /// All bytes arrived, but the server does not rename the file.
    Unnamed(Box<SftpFault>),
    /// The server's disk has this many bytes left, which is not enough.
    Full(u64),
    /// The session is over; the text is what ssh said.
    Broken(String),
    /// No session began; the text is what ssh said, or the reason why it did not start.
    Unreached(String),
    /// The server sent something other than SFTP first.
    Noise(String),
    /// The server did not answer for this long.
    Late(Duration),
    /// The file is not the same as before.
    Replaced,
}

/// The kind of a refusal (draft-ietf-secsh-filexfer-02, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account lacks the permission.
    Denied,
    /// The server cannot do that, or not for this account.
    Unsupported,
    /// Anything else.
    Failure,
}

impl fmt::Display for SftpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SftpFault::Missing => f.write_str("it is not there"),
            SftpFault::Refused(_, why) => write!(f, "the server says no: {why}"),
            SftpFault::Unmade(path, fault) => {
                write!(f, "the folder {path} cannot be made: {fault}")
            }
            SftpFault::Unnamed(fault) => write!(
                f,
                "all of it arrived, and the server does not rename it to its name: {fault}"
            ),
            SftpFault::Full(free) => {
                write!(f, "the server's disk is full: {free} bytes are free there")
            }
            SftpFault::Broken(why) => write!(f, "the connection broke: {why}"),
            SftpFault::Unreached(why) => write!(f, "no connection: {why}"),
            SftpFault::Noise(text) => write!(
                f,
                "the account's login shell prints {text:?} where SFTP should begin"
            ),
            SftpFault::Late(time) => write!(f, "no answer within {time:?}"),
            SftpFault::Replaced => f.write_str("it was replaced while it was read"),
        }
    }
}

impl std::error::Error for SftpFault {}

impl SftpFault {
    /// Returns true for a refusal that may mean a full disk: SFTP has no code for that.
    pub fn may_be_full(&self) -> bool {
        matches!(self, SftpFault::Refused(Refusal::Failure, _))
    }

    /// Returns true if the server's words say that its disk is full.
    pub fn says_full(&self) -> bool {
        let SftpFault::Refused(_, words) = self else {
            return false;
        };
        let words = words.to_lowercase();
        ["no space left", "quota", "disk full", "disk is full"]
            .iter()
            .any(|word| words.contains(word))
    }
}
