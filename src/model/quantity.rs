//! Quantities as people write them, the same in the configuration, in flags and in variables: sizes (`8MiB`), rates
//! (`10MB/s`) and time limits (`1h30m`). Spans of the calendar, in which `m` is a month, are
//! [`super::retention::Span`].
//!
//! A fault says how a quantity is written and never repeats the text: it may be a secret in the wrong place.

use std::{fmt, num::NonZeroU64, str::FromStr, time::Duration};

/// A number of bytes: `512KiB`, `10 MB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A number of bytes in each second: `10MB/s`, the same without `/s`, or `0` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate(Option<NonZeroU64>);

/// A time in whole seconds that work may take: `90s`, `5m` (minutes), `1h30m`, `7d`, or a plain number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeLimit(u64);

/// The units of sizes, in lower case as they are compared; the first one of a factor is shown.
const SIZES: [(&str, &str, u64); 13] = [
    ("tib", "TiB", 1 << 40),
    ("tb", "TB", 1_000_000_000_000),
    ("t", "TB", 1_000_000_000_000),
    ("gib", "GiB", 1 << 30),
    ("gb", "GB", 1_000_000_000),
    ("g", "GB", 1_000_000_000),
    ("mib", "MiB", 1 << 20),
    ("mb", "MB", 1_000_000),
    ("m", "MB", 1_000_000),
    ("kib", "KiB", 1 << 10),
    ("kb", "kB", 1000),
    ("k", "kB", 1000),
    ("b", "B", 1),
];
/// The units of time limits, the longest first.
const TIMES: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

const SIZE: &str = "a size is a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as `8MiB`; a number alone is bytes";
const RATE: &str = "a rate is a size for each second, such as `10MB/s`; `0` means no limit";
const TIME: &str = "a time limit is whole numbers with d, h, m (minutes) and s, such as `90s` or `1h30m`; a number alone is seconds";

impl Size {
    /// Makes a size in bytes.
    pub fn new(bytes: u64) -> Size {
        Size(bytes)
    }

    /// Returns the size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Rate {
    /// Makes a rate of bytes for each second; 0 means unlimited.
    pub fn new(bytes_per_second: u64) -> Rate {
        Rate(NonZeroU64::new(bytes_per_second))
    }

    /// Returns the bytes for each second; `None` if unlimited.
    pub fn bytes_per_second(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }
}

impl TimeLimit {
    /// Makes a time limit in seconds.
    pub fn new(seconds: u64) -> TimeLimit {
        TimeLimit(seconds)
    }

    /// Returns the limit as a duration, of at most a hundred years: any moment can be moved by it.
    pub fn duration(self) -> Duration {
        const HUNDRED_YEARS: u64 = 100 * 365 * 86_400;
        Duration::from_secs(self.0.min(HUNDRED_YEARS))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (number, unit, rest) = part(text.trim()).ok_or(SIZE)?;
        let unit = unit.to_ascii_lowercase();
        let mut known = SIZES.iter().filter(|(written, ..)| *written == unit);
        let factor = match (unit.as_str(), known.next()) {
            ("", _) => 1,
            (_, Some((.., factor))) => *factor,
            (_, None) => return Err(SIZE.to_owned()),
        };
        if !rest.is_empty() {
            return Err(SIZE.to_owned());
        }
        let bytes = number.and_then(|number| number.checked_mul(factor));
        Ok(Size(
            bytes.ok_or_else(|| format!("{SIZE}: this one is too large"))?,
        ))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let text = text.trim();
        let size = text.strip_suffix("/s").unwrap_or(text);
        let size: Size = size.parse().map_err(|_| RATE.to_owned())?;
        Ok(Rate::new(size.bytes()))
    }
}

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeLimit, String> {
        let too_long = || format!("{TIME}: this one is too long");
        let mut rest = text.trim();
        let mut seconds: u64 = 0;
        let mut units: &[(&str, u64)] = &TIMES;
        let mut is_first = true;
        while is_first || !rest.is_empty() {
            let (number, unit, behind) = part(rest).ok_or(TIME)?;
            let is_alone = is_first && behind.is_empty();
            let at = match unit {
                "" if is_alone => units.len() - 1,
                // Each unit occurs once, and a shorter one follows a longer one.
                _ => (units.iter().position(|(known, _)| *known == unit)).ok_or(TIME)?,
            };
            let added = number.and_then(|number| number.checked_mul(units[at].1));
            let sum = added.and_then(|added| seconds.checked_add(added));
            seconds = sum.ok_or_else(too_long)?;
            units = &units[at + 1..];
            rest = behind;
            is_first = false;
        }
        Ok(TimeLimit(seconds))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(.., factor): &&(&str, &str, u64)| self.0.is_multiple_of(*factor);
        match SIZES.iter().filter(|_| self.0 > 0).find(fits) {
            Some((_, shown, factor)) => write!(f, "{}{shown}", self.0 / factor),
            None => write!(f, "0B"),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes_per_second() {
            Some(bytes) => write!(f, "{}/s", Size(bytes)),
            None => write!(f, "0"),
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (unit, seconds) in TIMES {
            if left >= seconds {
                write!(f, "{}{unit}", left / seconds)?;
                left %= seconds;
            }
        }
        if self.0 == 0 { write!(f, "0s") } else { Ok(()) }
    }
}

/// Splits a number, the unit after it, and the rest off the beginning of a text. The number is `None` if it is too
/// large; blanks may stand before the unit.
fn part(text: &str) -> Option<(Option<u64>, &str, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    if number.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let end = rest.find(|letter: char| !letter.is_ascii_alphabetic());
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    Some((number.parse().ok(), unit, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_every_unit() {
        for (written, bytes) in [
            ("0", 0),
            ("77", 77),
            ("77 B", 77),
            ("3k", 3000),
            ("512KiB", 512 << 10),
            ("10MB", 10_000_000),
            ("8 MiB", 8 << 20),
            (" 8mib\n", 8 << 20),
            ("2GB", 2_000_000_000),
            ("1TiB", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(written.parse(), Ok(Size(bytes)), "{written}");
        }
        for (bytes, shown) in [
            (0, "0B"),
            (77, "77B"),
            (8 << 20, "8MiB"),
            (5_000_000, "5MB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }

    #[test]
    fn rates_are_sizes_for_each_second_and_0_is_no_limit() {
        for (written, rate) in [
            ("10MB/s", Some(10_000_000)),
            ("10 MB", Some(10_000_000)),
            ("512KiB/s", Some(512 << 10)),
            ("1000", Some(1000)),
            ("0", None),
            ("0MB/s", None),
        ] {
            let read: Rate = written.parse().expect(written);
            assert_eq!(read.bytes_per_second(), rate, "{written}");
        }
        assert_eq!(Rate::new(10_000_000).to_string(), "10MB/s");
        assert_eq!(Rate::new(0).to_string(), "0");
        for wrong in ["10MB/h", "10Mbit/s", "/s", "unlimited"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_limits_have_minutes_and_no_months() {
        for (written, seconds) in [
            ("9", 9),
            ("90s", 90),
            ("90 s", 90),
            ("5m", 300),
            ("1h30m", 5400),
            ("7d", 7 * 86_400),
            ("1d2h3m4s", 93_784),
            ("0s", 0),
        ] {
            assert_eq!(written.parse(), Ok(TimeLimit(seconds)), "{written}");
        }
        for (seconds, shown) in [(0, "0s"), (90, "1m30s"), (5400, "1h30m"), (604_800, "7d")] {
            assert_eq!(TimeLimit(seconds).to_string(), shown);
        }
        for wrong in ["30m1h", "1h1h", "1h30", "6w", "1y", "1M", "1.5h", "500ms"] {
            assert!(wrong.parse::<TimeLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_and_not_repeated() {
        for wrong in [
            "",
            " ",
            "hunter",
            "-1",
            "+1",
            "1 hunter",
            "8 MiB hunter",
            "1.5",
            "0x10",
            "99999999999999999999",
            "18446744073709551615 GiB",
            "18446744073709551615d",
        ] {
            for fault in [
                wrong.parse::<Size>().expect_err(wrong),
                wrong.parse::<Rate>().expect_err(wrong),
                wrong.parse::<TimeLimit>().expect_err(wrong),
            ] {
                assert!(!fault.contains("hunter"), "{fault}");
            }
        }
        let says = |text: &str| text.parse::<Size>().expect_err(text);
        assert!(says("18446744073709551616").ends_with("too large"));
        assert!(says("16777216 TiB").ends_with("too large"));
        let says = |text: &str| text.parse::<TimeLimit>().expect_err(text);
        assert!(says("213503982334601d18446744073709551615s").ends_with("too long"));
    }

    proptest! {
        #[test]
        fn a_quantity_reads_back(number in any::<u64>(), shift in 0..64u32) {
            let number = number >> shift;
            prop_assert_eq!(Size(number).to_string().parse(), Ok(Size(number)));
            prop_assert_eq!(Rate::new(number).to_string().parse(), Ok(Rate::new(number)));
            prop_assert_eq!(TimeLimit(number).to_string().parse(), Ok(TimeLimit(number)));
        }

        #[test]
        fn a_size_of_a_whole_unit_reads_back(number in any::<u32>(), unit in 0..SIZES.len()) {
            let size = Size(u64::from(number).saturating_mul(SIZES[unit].2));
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "[0-9]{0,22} ?[dhmskKMGTiBb/ ä-]{0,6}[0-9]{0,3}[dhms]?|.*") {
            if let Ok(size) = text.parse::<Size>() {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
            if let Ok(time) = text.parse::<TimeLimit>() {
                prop_assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
    }
}
