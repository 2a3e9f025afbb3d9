//! Patterns as in gitignore(5), compiled with the meaning that git gives them.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Compiles patterns; adds a fault for each invalid one.
pub(super) fn compile(patterns: &[String], faults: &mut Vec<String>) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        let added = as_git_reads(pattern).and_then(|pattern| {
            let added = builder.add_line(None, &pattern);
            added.map(drop).map_err(|error| reason(&error))
        });
        if let Err(reason) = added {
            faults.push(format!("{pattern:?} is not a pattern: {reason}"));
        }
    }
    match builder.build() {
        Ok(built) => Some(built),
        Err(error) => {
            faults.push(format!("the patterns cannot be used: {error}"));
            None
        }
    }
}

/// Rewrites a pattern so that the crate reads it as git does: braces are literal, more than two stars are two, and a
/// negated class does not match a slash. Refuses a pattern that git would still read in another way.
fn as_git_reads(pattern: &str) -> Result<String, String> {
    if pattern.contains('\n') {
        return Err("it is more than one line".to_owned());
    }
    if pattern.starts_with('#') {
        return Ok(pattern.to_owned());
    }
    if matches!(pattern.trim_end(), "!" | "!/") {
        return Err("it takes nothing back".to_owned());
    }
    if pattern.contains("//") {
        return Err("no path has two slashes in a row".to_owned());
    }
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // A slash in a class would tie the pattern to the top.
    if let Some(positive) = rest.strip_prefix('!') {
        text.push('!');
        rest = positive;
    }
    if rest.contains('[') && !rest.trim_end().trim_end_matches('/').contains('/') {
        text.push_str("**/");
    }
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => {
                let next = rest.chars().next().map_or(0, char::len_utf8);
                text.push(character);
                text.push_str(&rest[..next]);
                rest = &rest[next..];
            }
            '{' | '}' => text.extend(['\\', character]),
            '*' if text.ends_with("**") => {}
            '[' => {
                let (class, behind) = class(rest)?;
                text.push_str(&class);
                rest = behind;
            }
            _ => text.push(character),
        }
    }
    Ok(text)
}

/// Splits the class of characters after `[` from the text behind it.
fn class(rest: &str) -> Result<(String, &str), String> {
    let body = rest.strip_prefix(['!', '^']);
    let (is_negated, body) = body.map_or((false, rest), |body| (true, body));
    // A bracket that comes first is a character of the class.
    let first = body.chars().next().map_or(0, char::len_utf8);
    let Some(end) = body[first..].find(']').map(|end| first + end) else {
        return Err("`[` is not closed".to_owned());
    };
    let (inside, behind) = (&body[..end], &body[end + 1..]);
    if inside.contains("[:") || inside.contains('\\') {
        return Err("a class as [:alpha:], or one with a backslash, is not known".to_owned());
    }
    let class = match (is_negated, inside.starts_with(['-', ']'])) {
        (false, _) => format!("[{inside}]"),
        (true, false) => format!("[!/{inside}]"),
        (true, true) => format!("[!{inside}/]"),
    };
    Ok((class, behind))
}

fn reason(error: &ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => err.clone(),
        other => other.to_string(),
    }
}
