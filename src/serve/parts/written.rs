//! Times and sizes, as pages write them.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::model::{
    readable::{size, span},
    written::rfc3339,
};

/// Writes a moment in time and its age, with the exact time for programs and for the pointer.
pub fn ago(seconds: i64, now: DateTime<Utc>) -> Markup {
    let age = now.timestamp() - seconds;
    let text = match age {
        0.. => format!("{} ago", span(age)),
        _ => format!("in {}", span(-age)),
    };
    html! { time datetime=(exact(seconds)) title=(exact(seconds)) { (text) } }
}

/// Writes a moment in time.
pub fn moment(seconds: i64) -> Markup {
    let exact = exact(seconds);
    html! { time datetime=(exact) { (exact.replace('T', " ").replace('Z', " UTC")) } }
}

fn exact(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map_or_else(|| "-".to_owned(), rfc3339)
}

/// Writes a size.
pub fn bytes(count: u64) -> Markup {
    html! { data value=(count) title={ (count) " bytes" } { (size(count)) } }
}
