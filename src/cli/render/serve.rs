//! The reports of `serve user` and `serve token`.

use anyhow::Result;
use serde_json::json;

use super::{printer::Printer, table::table};
use crate::serve::{Token, User};

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
