//! The text of configuration files: read with a bound, as UTF-8, and parsed without repeating it.

use std::{
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use toml::Table;

use crate::{
    disk::{dangling, open_regular},
    error::{Failure, Kind},
    model::{limits::MAX_CONFIG_BYTES, written::utf8},
};

/// Reads the text of a configuration file; `None` if there is none.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    let reading = || format!("cannot read {}", path.display());
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return dangling(path).map_or(Ok(None), |failure| Err(failure.into()));
        }
        result => result.with_context(reading)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Failure::new(
            Kind::Usage,
            format!("{} is larger than 1 MiB", path.display()),
        )
        .into());
    }
    let text = utf8(&bytes).map_err(|fault| {
        Failure::new(Kind::Usage, format!("{} is {fault}", path.display()))
            .hint("save the file as UTF-8; `iconv -f LATIN1 -t UTF-8` makes it of an old encoding")
    })?;
    Ok(Some(text.to_owned()))
}

/// Parses TOML. The fault names the line and not its content.
pub fn parse_toml(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let line = error
            .span()
            .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line
            .map(|line| format!("line {line}: "))
            .unwrap_or_default();
        format!("{line}not valid TOML: {}", without_quotes(error.message()))
    })
}

/// Returns the parser's message up to the first thing that it repeats from the file.
fn without_quotes(message: &str) -> &str {
    message
        .split(['\n', '`', '"', '\''])
        .next()
        .unwrap_or_default()
        .trim_end()
        .trim_end_matches(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_line_and_never_the_value() {
        for text in [
            "a = 1\nkey = hunter2\n",
            "a = 1\nkey = \"hunter2\n",
            "a = 1\nhunter2\n",
            "a = 1\n[hunter2\n",
            "x = 1\nhunter2 = 1\nhunter2 = 2\n",
        ] {
            let fault = parse_toml(text).expect_err(text);
            assert!(!fault.contains("hunter2"), "{fault}");
            assert!(fault.starts_with("line "), "{fault}");
        }
    }
}
