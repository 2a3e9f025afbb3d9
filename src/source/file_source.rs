//! Sources of kind `file`: one plain file, and the files of hookshot's own configuration.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{
    behavior::{SourceBehavior, SourceContext, StageRequest, StagedSource, TextRule},
    files,
    staged::StagedContent,
};
use crate::error::{Failure, Kind};

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Its path.
    pub path: PathBuf,
}

impl SourceBehavior for FileSource {
    fn name(&self) -> &'static str {
        "file"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        Some(&mut self.path)
    }

    fn stage(&self, request: &StageRequest<'_>, _: &SourceContext<'_>) -> Result<StagedSource> {
        Ok(files::stage(&self.path, request.name.clone())?.into())
    }
}

/// A file whose text has to follow a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSource {
    path: PathBuf,
    rule: TextRule,
}

impl TextSource {
    /// Returns hookshot's own configuration file.
    pub fn configuration(path: PathBuf) -> TextSource {
        let rule = TextRule::Configuration;
        TextSource { path, rule }
    }

    /// Returns a file of TOML.
    pub fn toml(path: PathBuf) -> TextSource {
        let rule = TextRule::Toml;
        TextSource { path, rule }
    }
}

impl SourceBehavior for TextSource {
    fn name(&self) -> &'static str {
        "file"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        Some(&mut self.path)
    }

    fn text_rule(&self) -> TextRule {
        self.rule
    }

    fn stage(&self, request: &StageRequest<'_>, _: &SourceContext<'_>) -> Result<StagedSource> {
        let staged = files::stage(&self.path, request.name.clone())?;
        if let StagedContent::Bytes(_) = &staged.content {
            return Ok(staged.into());
        }
        let message = format!(
            "{} is larger than 1 MiB, which no configuration is",
            self.path.display()
        );
        Err(Failure::new(Kind::Usage, message)
            .hint("is this the right file?")
            .into())
    }
}
