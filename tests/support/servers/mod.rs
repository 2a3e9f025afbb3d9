//! Stores on 127.0.0.1 for the tests: S3, Azure, GCS and SFTP servers, and a proxy that breaks what passes through it.
//!
//! Each has a free port and a folder of its own, answers when its `start` returns, and is gone with its last process when
//! it is dropped.

pub mod azurite;
pub mod babble;
pub mod crowd;
mod exchange;
pub mod faults;
pub mod gcs;
pub mod http;
pub mod inbox;
pub mod keys;
mod listening;
pub mod moto;
pub mod program;
pub mod proxy;
pub mod quirks;
pub mod s3;
pub mod smtp;
pub mod sshd;
pub mod tls;

pub use azurite::Azurite;
pub use babble::BabblingSsh;
pub use crowd::Crowd;
pub use faults::{Fault, Faults, Rule, Words};
pub use gcs::Gcs;
pub use inbox::{Inbox, Reply};
pub use keys::{Expiring, KeyService, Metadata};
pub use moto::Moto;
pub use proxy::{Gate, HttpProxy};
pub use quirks::Quirk;
pub use s3::S3;
pub use smtp::{Smtp, SmtpOptions, SmtpTls};
pub use sshd::{Rclone, Sshd};
pub use tls::{Authority, Made, Tls};
