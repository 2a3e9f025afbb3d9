//! The reports of `serve user`, `serve token` and `serve policy`.

use anyhow::Result;
use serde_json::json;

use super::{printer::Printer, table::table};
use crate::serve::{
    Token, User,
    policies::{PolicyReport, WrittenPolicy},
};

/// Shows users.
pub fn users(printer: &Printer, users: &[User]) -> Result<u8> {
    printer.report(&json!({ "users": users }), || {
        let rows = users
            .iter()
            .map(|user| vec![user.name.clone(), user.role.to_string()]);
        table(&["NAME", "ROLE"], rows)
    })
}

/// Shows tokens.
pub fn tokens(printer: &Printer, tokens: &[Token]) -> Result<u8> {
    let time = |seconds: Option<i64>| {
        let time = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        time.map_or_else(|| "never".to_owned(), crate::model::written::rfc3339)
    };
    printer.report(&json!({ "tokens": tokens }), || {
        let rows = tokens.iter().map(|token| {
            let hosts = token
                .hosts
                .as_ref()
                .map_or_else(|| "all".to_owned(), |hosts| hosts.join(", "));
            vec![
                token.name.clone(),
                token.role.to_string(),
                hosts,
                time(token.expires_at),
                time(token.used_at),
            ]
        });
        table(&["NAME", "ROLE", "HOSTS", "EXPIRES", "LAST USE"], rows)
    })
}

/// Shows the schedule and the retention in force.
pub fn policy(printer: &Printer, report: &PolicyReport) -> Result<u8> {
    printer.report(report, || {
        let rows = report.values.iter().map(|one| {
            let value = one.value.as_ref();
            let place = one.place.clone();
            vec![
                one.key.clone(),
                value.map_or_else(|| "-".to_owned(), ToString::to_string),
                place.unwrap_or_else(|| one.from.to_string()),
            ]
        });
        table(&["KEY", "VALUE", "FROM"], rows)
    })
}

/// Shows the lines of a policy, and their fate.
pub fn written(printer: &Printer, report: &WrittenPolicy) -> Result<u8> {
    printer.report(report, || {
        let fate = match (report.changed, report.written) {
            (false, _) => "says this already",
            (true, true) => "says this now",
            (true, false) => "would say this; nothing was written",
        };
        let timer = report.timer.iter();
        let timer = timer.map(|command| format!("Let the timers follow: {command}\n"));
        let timer: String = timer.collect();
        format!("{}\n{} {fate}\n{timer}", report.lines, report.config)
    })
}
