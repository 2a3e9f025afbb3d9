//! Sizes and durations as people write them: `8 MiB`, `10MB`, `90s`, `2m`, or a plain number.

use std::time::Duration;

use toml::Value;

/// A size in bytes: a number, or one with B, kB, MB, GB, KiB, MiB or GiB.
pub fn size(value: &Value) -> Option<u64> {
    let (number, unit) = parts(value)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A duration: a number of seconds, or one with s, m or h.
pub fn duration(value: &Value) -> Option<Duration> {
    let (number, unit) = parts(value)?;
    let factor = match unit.as_str() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(factor).map(Duration::from_secs)
}

fn parts(value: &Value) -> Option<(u64, String)> {
    match value {
        Value::Integer(number) => Some((u64::try_from(*number).ok()?, String::new())),
        Value::String(text) => {
            let end = text.find(|letter: char| !letter.is_ascii_digit());
            let (number, unit) = text.split_at(end.unwrap_or(text.len()));
            Some((number.parse().ok()?, unit.trim().to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_understood_and_nothing_else() {
        let text = |text: &str| Value::String(text.to_owned());
        for (written, bytes) in [
            (text("8 MiB"), 8 << 20),
            (text("8MiB"), 8 << 20),
            (text("10MB"), 10_000_000),
            (text("3k"), 3000),
            (Value::Integer(77), 77),
        ] {
            assert_eq!(size(&written), Some(bytes), "{written}");
        }
        assert_eq!(duration(&text("2m")), Some(Duration::from_secs(120)));
        assert_eq!(duration(&Value::Integer(9)), Some(Duration::from_secs(9)));
        for wrong in [
            "",
            "x",
            "-1",
            "8 apples",
            "99999999999999999999",
            "18446744073709551615 GiB",
        ] {
            assert_eq!(size(&text(wrong)), None, "{wrong}");
            assert_eq!(duration(&text(wrong)), None, "{wrong}");
        }
        assert_eq!(size(&Value::Boolean(true)), None);
    }
}
