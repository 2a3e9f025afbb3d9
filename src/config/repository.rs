//! The keys of a destination that is a repository: `password`, `chunk`, `level`, `append_only`, `cache_dir`.

use std::path::PathBuf;

use super::{
    reader::Section,
    secret::{SecretForm, WrittenSecret},
};
use crate::{model::chunks::Chunks, store::Address};

/// The wishes of the configuration for a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositorySettings {
    /// Its password, if it is written.
    pub password: Option<WrittenSecret>,
    /// The size of its chunks.
    pub chunks: Option<Chunks>,
    /// The level of compression (zstd).
    pub level: Option<i32>,
    /// True if nothing in it is ever removed.
    pub append_only: bool,
    /// The folder for copies of its indexes and records, if it is written.
    pub cache_dir: Option<PathBuf>,
}

/// The levels of zstd.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=22;

/// Reads the keys of a repository, which lies at `place`. One in a folder has no copies: it is as near as they.
pub(super) fn read(section: &Section<'_>, place: Option<&Address>) -> RepositorySettings {
    let cache_dir = section.path("cache_dir");
    if matches!(place, Some(Address::Folder(_))) && cache_dir.is_some() {
        section.fault(
            "cache_dir",
            "is not needed: a repository in a folder is read where it lies, without copies",
        );
    }
    let says = "`content`, or a power of two from 4 KiB to 4 MiB, such as \"8 KiB\"";
    RepositorySettings {
        password: section.secret("password", SecretForm::Line),
        chunks: section.written("chunk", says, |_: &Chunks| true),
        level: section.number("level", "a number from 1 to 22", |level| {
            LEVELS.contains(level)
        }),
        append_only: section.flag("append_only").unwrap_or(false),
        cache_dir,
    }
}
