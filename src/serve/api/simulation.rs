//! A retention that is simulated: what `prune` would remove under other rules.

use serde_json::Value;

use crate::serve::{
    Server,
    answer::{Trouble, require_told},
    policies::PolicyValues,
    program::Asked,
};

/// Returns the report of `prune --dry-run` of a destination under the rules of these values.
pub async fn simulated(
    server: &Server,
    (config, destination): (&str, &str),
    values: &PolicyValues,
) -> Result<Value, Trouble> {
    let config = server.config(config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let asked = Asked::Simulate(destination, values);
    let answer = server.program.ask(config, &asked).await?;
    require_told(answer.report, "keep")
}
