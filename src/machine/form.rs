//! The form of a file, told by its first bytes.

use std::{fs::File, io::Read as _, path::Path};

use crate::{
    config::sources::SourceKind,
    disk::{open_regular, transaction::Form},
    source::redb::header::RedbHeader,
};

/// The first bytes of a SQLite database (sqlite.org, "Database File Format", 1.3.1).
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Returns the form of the file at `path`; `None` if it cannot be opened.
pub fn form_of(path: &Path) -> Option<Form> {
    if path.is_dir() {
        return Some(Form::Folder);
    }
    let file = open_regular(path).ok()?;
    Some(match RedbHeader::read(&file) {
        Ok(Some(_)) => Form::Redb,
        _ if is_sqlite(&file) => Form::Sqlite,
        _ => Form::Plain,
    })
}

fn is_sqlite(file: &File) -> bool {
    use std::io::Seek as _;
    let mut file = file;
    let mut head = [0; SQLITE_MAGIC.len()];
    file.rewind().is_ok() && file.read_exact(&mut head).is_ok() && head == *SQLITE_MAGIC
}

/// Returns the form of a source's files.
pub fn form_for(content: &SourceKind) -> Form {
    match content {
        SourceKind::Redb(_) => Form::Redb,
        SourceKind::Sqlite { .. } => Form::Sqlite,
        SourceKind::Directory { .. } => Form::Folder,
        SourceKind::Config(_)
        | SourceKind::Toml(_)
        | SourceKind::File(_)
        | SourceKind::Command { .. } => Form::Plain,
    }
}
