//! The part of the archives that one run may remove without being asked: `max_remove`.

use std::{fmt, str::FromStr};

use super::Removals;

/// A part of all archives, in whole percent, written `50%`, which is also the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// Permits the removals of a run, or returns that these are too many. `0%` permits none, not even of a day that
    /// keeps another archive.
    pub fn permits(self, removals: Removals) -> Result<(), TooMany> {
        let all = Removals {
            remove: removals.remove.saturating_add(removals.thinned),
            archives: removals.archives.saturating_add(removals.thinned),
            thinned: 0,
        };
        let removals = if self.0 == 0 { all } else { removals };
        // u128: no count of archives overflows it.
        if removals.remove as u128 * 100 > removals.archives as u128 * u128::from(self.0) {
            Err(TooMany {
                removals,
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
    /// The numbers of archives.
    pub removals: Removals,
    /// The part that the run may remove.
    pub max_remove: Share,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooMany {
            removals,
            max_remove,
        } = self;
        let Removals {
            remove,
            archives,
            thinned,
        } = removals;
        write!(
            f,
            "{remove} of {archives} archives would be removed, more than max_remove = {max_remove}"
        )?;
        match thinned {
            0 => Ok(()),
            _ => write!(
                f,
                ", not counting {thinned} whose day or hour keeps another one"
            ),
        }
    }
}

impl std::error::Error for TooMany {}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals(remove: usize, archives: usize, thinned: usize) -> Removals {
        Removals {
            remove,
            archives,
            thinned,
        }
    }

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
            let found = half.permits(removals(remove, archives, 3)).is_ok();
            assert_eq!(found, permitted, "{remove} of {archives}");
        }
        let share = |text: &str| text.parse::<Share>().expect("a share");
        assert!(share("0%").permits(removals(1, 1000, 0)).is_err());
        assert!(share("0%").permits(removals(0, 1000, 0)).is_ok());
        assert!(share("0%").permits(removals(0, 1000, 1)).is_err());
        let all = removals(usize::MAX, usize::MAX, 0);
        assert!(share("100%").permits(all).is_ok());
    }

    #[test]
    fn too_many_says_how_many_of_how_many() {
        let refused = |thinned| {
            let refusal = Share::default().permits(removals(9, 12, thinned));
            refusal.expect_err("too many").to_string()
        };
        assert_eq!(
            refused(0),
            "9 of 12 archives would be removed, more than max_remove = 50%"
        );
        assert_eq!(
            refused(5),
            "9 of 12 archives would be removed, more than max_remove = 50%, not counting 5 whose day or hour keeps \
            another one"
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
