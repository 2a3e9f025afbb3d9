//! Words of a command line that a shell reads.

/// Returns a word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-@:=,+%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/root/a-1.tar.gz"), "/root/a-1.tar.gz");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
    }
}
