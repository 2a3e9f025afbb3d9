//! The plans that a person sees.

use crate::serve::{Server, answer::Trouble, database::Plan, identity::Person};

/// Returns the plan of this identifier, if the person sees it.
pub fn seen(server: &Server, person: &Person, id: &str) -> Result<Plan, Trouble> {
    let plan = server.database.plan(id)?;
    let plan = plan.filter(|plan| match (&plan.archive, &person.prefixes) {
        (Some(archive), _) => person.sees(&archive.prefix),
        (None, prefixes) => prefixes.is_none(),
    });
    plan.ok_or_else(|| Trouble::missing("plan"))
}
