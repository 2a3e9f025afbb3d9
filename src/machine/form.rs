//! The form of a target.

use std::path::Path;

use crate::{
    disk::transaction::Form,
    model::engine::Engine,
    source::{SourceKind, engines::recognize},
};

/// Returns the form of the file at `path`, told by its first bytes; `None` if it cannot be opened.
pub fn form_of(path: &Path) -> Option<Form> {
    if path.is_dir() {
        return Some(Form::Folder);
    }
    recognize(path).map(form_by)
}

/// Returns the form of the targets of a kind of source.
pub fn form_for(kind: &SourceKind) -> Form {
    if kind.is_directory() {
        return Form::Folder;
    }
    form_by(kind.engine())
}

fn form_by(engine: Option<Engine>) -> Form {
    engine.map_or(Form::Plain, Form::Database)
}
