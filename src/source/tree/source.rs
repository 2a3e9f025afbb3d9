//! Sources of kind `directory`: a folder with everything in it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{TreeContext, database::DatabaseHandling, stage};
use crate::{
    model::{engine::Engine, entry_name::EntryName},
    source::{
        behavior::{SourceBehavior, SourceContext, StageRequest, StagedSource, TreePatterns},
        engines::engine,
    },
};

/// The symbolic links of a directory that an import restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Those that stay inside; one that leads out stays if the same link is on this machine.
    #[default]
    Keep,
    /// All of them.
    All,
}

/// A folder with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySource {
    /// Its path.
    pub path: PathBuf,
    /// Its archived part: patterns as in gitignore(5); everything if there are none.
    pub include: Vec<String>,
    /// The part that is left out.
    pub exclude: Vec<String>,
    /// The links that an import restores.
    pub links: Links,
}

impl SourceBehavior for DirectorySource {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        Some(&mut self.path)
    }

    fn patterns(&self) -> Option<TreePatterns<'_>> {
        Some(TreePatterns {
            include: &self.include,
            exclude: &self.exclude,
        })
    }

    fn restores_all_links(&self) -> bool {
        self.links == Links::All
    }

    fn stage(
        &self,
        request: &StageRequest<'_>,
        context: &SourceContext<'_>,
    ) -> Result<StagedSource> {
        let take = |path: &Path, name: &EntryName, found: Engine| {
            engine(found).take(path, name, request.snapshot, context)
        };
        context.events.begin("reading the directory", None);
        let caller = TreeContext {
            step: context.step,
            events: context.events,
            scratch: context.scratch,
            threads: context.threads,
            quiet: request.quiet,
            unlisted_files: request.unlisted_files,
            databases: DatabaseHandling::Copied(&take),
        };
        let staged = stage(&self.path, request.name, request.rules, &caller)?;
        Ok(StagedSource::Directory(Box::new(staged)))
    }
}
