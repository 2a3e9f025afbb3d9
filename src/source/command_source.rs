//! Sources of kind `command`: the output of a command.

use anyhow::Result;

use super::{
    behavior::{SourceBehavior, SourceContext, StageRequest, StagedSource},
    command,
};
use crate::work::shell::Line;

/// The output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSource {
    /// Prints the entry.
    pub export: String,
    /// Takes the entry on its standard input.
    pub import: Option<String>,
}

impl SourceBehavior for CommandSource {
    fn name(&self) -> &'static str {
        "command"
    }

    fn shown_place(&self) -> String {
        "the output of its command".to_owned()
    }

    fn is_copied(&self) -> bool {
        true
    }

    fn export_command(&self) -> Option<&str> {
        Some(&self.export)
    }

    fn import_command(&self) -> Option<&str> {
        self.import.as_deref()
    }

    fn forget_import_command(&mut self) {
        self.import = None;
    }

    fn stage(
        &self,
        request: &StageRequest<'_>,
        context: &SourceContext<'_>,
    ) -> Result<StagedSource> {
        context.events.begin("exporting by command", None);
        let export = Line::new(&self.export, request.shell);
        let name = request.name.clone();
        let mut staged =
            command::stage(context.runner, export, name, context.scratch, context.step)?;
        staged.record.mtime = Some(request.now);
        Ok(staged.into())
    }
}
