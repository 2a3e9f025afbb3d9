//! The part of the archives that one run may remove without being asked: `max_remove`.

use std::{fmt, str::FromStr};

/// A part of all archives, in whole percent, written `50%`, which is also the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// Permits a run to remove `remove` of `archives` archives, or returns that these are too many.
    pub fn permits(self, remove: usize, archives: usize) -> Result<(), TooMany> {
        // u128: no count of archives overflows it.
        if remove as u128 * 100 > archives as u128 * u128::from(self.0) {
            Err(TooMany {
                remove,
                archives,
                max_remove: self,
            })
        } else {
            Ok(())
        }
    }
}

impl Default for Share {
    fn default() -> Share {
        Share(50)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        text.strip_suffix('%')
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .filter(|percent| *percent <= 100)
            .map(Share)
            .ok_or_else(|| {
                "a share is a whole number of percent from `0%` to `100%`, such as `50%`".to_owned()
            })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A run that would remove more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// The number of archives that the run would remove.
    pub remove: usize,
    /// The number of all archives.
    pub archives: usize,
    /// The part that the run may remove.
    pub max_remove: Share,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooMany {
            remove,
            archives,
            max_remove,
        } = self;
        write!(
            f,
            "{remove} of {archives} archives would be removed, more than max_remove = {max_remove}"
        )
    }
}

impl std::error::Error for TooMany {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_share_is_permitted_and_one_more_is_not() {
        let half = Share::default();
        for (remove, archives, permitted) in [
            (0, 0, true),
            (0, 1, true),
            (1, 1, false),
            (1, 2, true),
            (1, 3, true),
            (2, 3, false),
            (50, 100, true),
            (51, 100, false),
            (usize::MAX, usize::MAX, false),
        ] {
            let found = half.permits(remove, archives).is_ok();
            assert_eq!(found, permitted, "{remove} of {archives}");
        }
        let share = |text: &str| text.parse::<Share>().expect("a share");
        assert!(share("0%").permits(1, 1000).is_err());
        assert!(share("0%").permits(0, 1000).is_ok());
        assert!(share("100%").permits(usize::MAX, usize::MAX).is_ok());
    }

    #[test]
    fn too_many_says_how_many_of_how_many() {
        let refusal = Share::default().permits(9, 12).expect_err("too many");
        assert_eq!(
            refusal.to_string(),
            "9 of 12 archives would be removed, more than max_remove = 50%"
        );
    }

    #[test]
    fn a_share_is_whole_percent_and_reads_back() {
        for text in ["0%", "1%", "50%", "100%"] {
            assert_eq!(text.parse::<Share>().expect(text).to_string(), text);
        }
        for text in [
            "", "%", "50", "0.5", "101%", "-1%", "+1%", "50 %", "1e1%", "256%",
        ] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
