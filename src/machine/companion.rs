//! Files that belong to a database and go with it: its log, the log's index, its journal.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    disk::{
        survey,
        transaction::{Change, Form, New},
    },
    model::{
        entry_name::EntryName,
        plan::{Action, PlanStep},
    },
};

/// Plans the removal of a file that belongs to a replaced database; `None` if it is not there.
pub fn removal(
    database: &EntryName,
    companion: &Path,
) -> Result<Option<(PlanStep, Change<'static>)>> {
    let stamp = survey::stamp(companion)?;
    let Some(present) = survey::present(companion, |file| Box::new(file))? else {
        return Ok(None);
    };
    let ending = companion.as_os_str().to_string_lossy();
    let ending = ending.rsplit('-').next().unwrap_or_default();
    let entry = EntryName::new(&format!("{}-{ending}", database.as_str()))
        .with_context(|| format!("cannot name what belongs to {database}"))?;
    let step = PlanStep {
        entry: entry.clone(),
        target: Some(companion.to_owned()),
        action: Action::Remove,
    };
    let change = Change {
        entry,
        target: companion.to_owned(),
        before: Some(present.digest),
        stamp,
        rules: None,
        backup: None,
        new: New::Nothing,
        form: Form::Plain,
    };
    Ok(Some((step, change)))
}
