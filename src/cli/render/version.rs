//! The versions of hookshot and of its archives.

use anyhow::Result;
use serde_json::{Value, json};

use super::printer::Printer;
use crate::model::version::FormatVersion;

/// Shows the version, and returns the exit code.
pub fn show(printer: &Printer) -> Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    printer.report(&as_json(), || format!("hookshot {version}\n"))
}

/// Returns the versions of hookshot and of its archives, for programs.
pub fn as_json() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "archive_format": FormatVersion::CURRENT.to_string() })
}
