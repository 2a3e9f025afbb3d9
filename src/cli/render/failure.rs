//! A failure, for people and for programs.

use serde_json::{Value, json};

use crate::{error::Failure, model::entry_name::printable_line};

/// Returns a failure for programs, with this advice.
pub fn as_json(failure: &Failure, hint: Option<&str>) -> Value {
    json!({
        "code": failure.kind.code(),
        "kind": failure.kind.name(),
        "message": failure.message,
        "hint": hint,
        "faults": failure.faults,
    })
}

/// Returns a failure for people, with this advice.
pub fn as_text(failure: &Failure, hint: Option<&str>, is_colored: bool) -> String {
    let (red, plain) = if is_colored {
        ("\x1b[31m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut text = format!(
        "{red}ERROR{plain} {}
",
        printable_line(&failure.message)
    );
    // A single fault often is the message, and some messages join all of them.
    let is_told = |fault: &String| failure.message.contains(fault.as_str());
    if !failure.faults.iter().all(is_told) {
        for fault in &failure.faults {
            text.push_str(&format!(
                "  - {}
",
                printable_line(fault)
            ));
        }
    }
    if let Some(hint) = hint {
        text.push_str(&format!(
            "  hint: {}
",
            printable_line(hint)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn faults_that_the_message_has_in_full_are_not_said_twice() {
        let text = |message: &str| {
            let faults = vec!["a is open".to_owned(), "b is open".to_owned()];
            as_text(
                &Failure::new(Kind::Blocked, message).faults(faults),
                None,
                false,
            )
        };
        assert_eq!(text("a is open; b is open"), "ERROR a is open; b is open\n");
        assert_eq!(
            text("2 files: a is open"),
            "ERROR 2 files: a is open\n  - a is open\n  - b is open\n"
        );
    }
}
