//! The pause that a server asks for by `Retry-After`.

use std::time::Duration;

use chrono::DateTime;

/// Returns the pause that an answer asks for (RFC 9110, 10.2.3), in seconds or as a date. A date is compared with the
/// server's own clock, which the answer tells: this machine's may differ.
pub fn asked_rest<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Duration> {
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let told = header("retry-after")?.trim();
    match told.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let now = header("date").map(str::trim).and_then(date)?;
            (date(told)? - now).to_std().ok()
        }
    }
}
