//! The names and the words of units: systemd.unit(5), systemd-escape(1), and quoting in systemd.service(5).

use crate::model::run_record::Job;

/// The beginning of the names of units.
const PREFIX: &str = "hookshot";
/// The section of a unit that systemd ignores, in which hookshot finds its own units again (systemd.unit(5)).
pub const SECTION: &str = "[X-Hookshot]";

/// Returns the name of the units of a job, without the ending. An application of our own name is not named twice.
pub fn unit_name(app: &str, job: Job) -> String {
    match app {
        PREFIX => format!("{PREFIX}-{}", job.name()),
        app => format!("{PREFIX}-{}-{}", escaped(app), job.name()),
    }
}

/// Returns a text as systemd-escape(1) writes it: `/` is `-`, and what is not a letter, a digit, `:`, `_` or `.` is
/// `\xHH`, as is a `.` at the beginning.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for (number, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if number == 0 => escaped.push_str("\\x2e"),
            b':' | b'_' | b'.' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

/// Returns a word of a list of paths or words: quoted if necessary, without specifiers.
pub fn quoted(word: &str) -> String {
    let word = word.replace('%', "%%");
    let is_plain =
        |character: char| character.is_alphanumeric() || "/._-+=:,@%~".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    let mut quoted = String::from("\"");
    for character in word.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // systemd.syntax(7), "Quoting".
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns a word of a command line: quoted, without specifiers and variables.
pub fn argument(word: &str) -> String {
    quoted(word).replace('$', "$$")
}

/// Returns the value of a setting that is one text: without specifiers and line breaks.
pub fn plain(text: &str) -> String {
    let text = text.replace('%', "%%");
    text.replace(char::is_control, " ")
        .trim_end_matches('\\')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
    fn names_are_escaped_as_systemd_does() {
        for text in [
            "app", "my-app", "a/b", ".hidden", "a b", "é", "a.b:c_d", "x@y", "50%",
        ] {
            let Ok(output) = Command::new("systemd-escape").arg("--").arg(text).output() else {
                println!("skipped: systemd-escape is missing");
                return;
            };
            let expected = String::from_utf8(output.stdout).expect("UTF-8");
            assert_eq!(escaped(text), expected.trim_end(), "{text}");
        }
        assert_eq!(
            unit_name("my-app", Job::Backup),
            "hookshot-my\\x2dapp-backup"
        );
        assert_eq!(unit_name("hookshot", Job::Prune), "hookshot-prune");
    }

    #[test]
    fn words_are_quoted_only_if_necessary() {
        assert_eq!(quoted("/srv/a-b_c.d"), "/srv/a-b_c.d");
        assert_eq!(quoted("/srv/a b"), "\"/srv/a b\"");
        assert_eq!(quoted("/srv/50%"), "/srv/50%%");
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\x0a\"");
        assert_eq!(argument("/srv/$a"), "\"/srv/$$a\"");
        assert_eq!(plain("a%b\nc\\"), "a%%b c");
    }
}
