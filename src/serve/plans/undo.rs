//! Undo: the plan of a rollback, as long as the import is the last one.

use anyhow::Result;
use serde_json::Value;

use crate::serve::{
    Server,
    database::{RunState, ServeRun},
};

/// The answer to the wish to undo a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// The run is not one that is undone.
    Nothing,
    /// A rollback can be planned.
    Possible,
    /// It cannot, for this reason.
    Impossible(&'static str),
}

/// Returns if a run can be undone. The plan of the rollback has the last word.
pub fn undo(server: &Server, run: &ServeRun) -> Result<Undo> {
    if !matches!(run.verb.as_str(), "import" | "rollback") {
        return Ok(Undo::Nothing);
    }
    let last = server.database.last_applied_run(&run.config)?;
    let is_last = last.as_deref() == Some(run.id.as_str());
    Ok(verdict(run.state, run.report.as_ref(), is_last))
}

fn verdict(state: RunState, report: Option<&Value>, is_last: bool) -> Undo {
    let is_applied = report.map(|report| report["applied"] == true);
    let steps = report.and_then(|report| report["steps"].as_array());
    let changes = |step: &Value| !matches!(step["action"].as_str(), Some("unchanged" | "skip"));
    match (state, is_applied) {
        (RunState::Running, _) => Undo::Impossible("It is at work."),
        (_, Some(false)) => {
            Undo::Impossible("Nothing is to be undone: it left the state as it was.")
        }
        _ if !is_last => Undo::Impossible(
            "A later restore or undo took its place: only the last one can be undone.",
        ),
        (_, Some(true)) if steps.is_some_and(|steps| !steps.iter().any(changes)) => {
            Undo::Impossible("Nothing is to be undone: everything was as in the archive.")
        }
        // If nothing tells how it ended, the plan shows what there is to undo.
        _ => Undo::Possible,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_run_that_changed_something_can_be_undone() {
        let report = |applied: bool, action: &str| json!({"applied": applied, "steps": [{"action": action}]});
        for (state, report, is_last, is_possible) in [
            (RunState::Done, Some(report(true, "replace")), true, true),
            (RunState::Failed, Some(report(true, "replace")), true, true),
            (RunState::Lost, None, true, true),
            (RunState::Lost, None, false, false),
            (RunState::Running, None, true, false),
            (RunState::Done, Some(report(true, "unchanged")), true, false),
            (
                RunState::Failed,
                Some(report(false, "replace")),
                true,
                false,
            ),
            (RunState::Done, Some(report(true, "replace")), false, false),
        ] {
            let verdict = verdict(state, report.as_ref(), is_last);
            assert_eq!(
                verdict == Undo::Possible,
                is_possible,
                "{state:?} {report:?}"
            );
        }
    }
}
