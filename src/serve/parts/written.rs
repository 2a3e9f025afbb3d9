//! Times, sizes and sentences, as pages write them.

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

/// Writes a sentence of a verb, in which what stands between backticks is a command.
pub fn prose(text: &str) -> Markup {
    let pieces = text.split('`').enumerate();
    // A backtick without its second one is a character.
    let is_paired = text.matches('`').count().is_multiple_of(2);
    html! {
        @if is_paired {
            @for (place, piece) in pieces { @if place % 2 == 1 { code { (piece) } } @else { (piece) } }
        } @else { (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_sentence_is_code_and_nothing_in_it_is_markup() {
        let written = |text: &str| prose(text).into_string();
        assert_eq!(written("see `a <b>`."), "see <code>a &lt;b&gt;</code>.");
        assert_eq!(written("it`s <i>"), "it`s &lt;i&gt;");
    }
}
