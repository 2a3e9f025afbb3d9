//! The line of a shell, as words.

/// Splits a line into words as a shell does, without expansions. Returns the last word also as it is written; it may be
/// empty.
pub fn split(line: &str) -> (Vec<String>, String) {
    let (mut words, mut word, mut raw) = (Vec::new(), String::new(), String::new());
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if !raw.is_empty() {
                words.push(std::mem::take(&mut word));
                raw.clear();
            }
            continue;
        }
        raw.push(character);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some('"'), '\\') => {
                let next = characters.next();
                raw.extend(next);
                word.extend(next);
            }
            _ => word.push(character),
        }
    }
    words.push(word);
    (words, raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        for (line, words, raw) in [
            ("hookshot ", &["hookshot", ""][..], ""),
            ("hookshot ver", &["hookshot", "ver"], "ver"),
            ("h verify my\\ a", &["h", "verify", "my a"], "my\\ a"),
            ("h verify 'my a", &["h", "verify", "my a"], "'my a"),
            ("h \"a \\\"b\" c", &["h", "a \"b", "c"], "c"),
            ("h ''  x", &["h", "", "x"], "x"),
            ("", &[""], ""),
        ] {
            let (found, end) = split(line);
            assert_eq!(found, words, "{line}");
            assert_eq!(end, raw, "{line}");
        }
    }
}
