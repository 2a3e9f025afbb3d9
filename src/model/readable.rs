//! Sizes and durations, for people.

/// Returns a number of bytes for people, such as `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Returns a duration for people, such as `0.4 s`, `2 min 5 s` or `3 h 20 min`.
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// Returns an age or a limit in its two largest units, as the configuration writes them: `3d 4h`, `2m 5s`, `40s`. A
/// negative one counts as none.
pub fn span(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = seconds.max(0);
    let first = UNITS.iter().position(|(length, _)| seconds >= *length);
    let Some(first) = first else {
        return "0s".to_owned();
    };
    let (length, name) = UNITS[first];
    let large = format!("{}{name}", seconds / length);
    match UNITS
        .get(first + 1)
        .map(|(next, name)| (seconds % length / next, name))
    {
        Some((count, name)) if count > 0 => format!("{large} {count}{name}"),
        _ => large,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.94, "9.9 s"),
            (9.96, "10 s"),
            (59.6, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (12_000.0, "3 h 20 min"),
            (100_000.0, "27 h 46 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn ages_have_two_units_at_most() {
        for (seconds, shown) in [
            (-5, "0s"),
            (0, "0s"),
            (40, "40s"),
            (60, "1m"),
            (125, "2m 5s"),
            (3600, "1h"),
            (3659, "1h"),
            (93_600, "1d 2h"),
            (86_400 * 30 + 59, "30d"),
        ] {
            assert_eq!(span(seconds), shown, "{seconds}");
        }
    }
}
