//! The secrets that an import leaves to the user: no archive holds them.

use anyhow::Result;

use crate::{
    config::{Settings, read_text, schema::Schema},
    context::Context,
    machine::report::ApplyReport,
    ops::references::all_unresolved,
    work::remark::RemarkKind,
};

/// Names the references of the configuration in force to secrets that this machine does not have: no archive holds them.
pub fn name_unresolved(
    context: &Context,
    settings: &Settings,
    report: &mut ApplyReport,
) -> Result<()> {
    if settings.elsewhere.is_elsewhere() || !report.blocked.is_empty() {
        return Ok(());
    }
    let restored = match report.applied {
        true => read_text(&settings.config)?.and_then(|text| Schema::parse(&text).ok()),
        false => None,
    };
    let schema = restored.as_ref().unwrap_or(&settings.schema);
    for fault in all_unresolved(context, &settings.config, schema) {
        let message = format!("{fault}; enter it again, no archive holds it");
        report.remarks.warning(RemarkKind::Reference, "", message);
    }
    Ok(())
}
