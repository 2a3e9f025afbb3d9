//! The maker of an upload, so that a later run can tell if that process is still at work.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::disk::life::{Life, Liveness};

/// The age after which an upload counts as abandoned if its process is unknown.
const PATIENCE: TimeDelta = TimeDelta::hours(24);
/// The clock ticks of a process in a second (sysconf(3), `_SC_CLK_TCK`): 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: i64 = 100;
/// The largest difference between the clocks of two runs on one machine.
const SLACK: TimeDelta = TimeDelta::seconds(60);

/// The beginning of the names of unfinished uploads, and of their markers.
pub const UPLOAD: &str = ".hookshot-upload-";
/// The longest part of each word that identifies the maker of an upload, in characters.
const MAX_WORD_CHARS: usize = 80;
/// The longest name that is made. Servers add something to it, and most file systems limit a file's name to 255 bytes.
const MAX_NAME_BYTES: usize = 200;

/// Returns the name of hookshot's own file beside the archive `name`. It identifies the maker, and is cut if it is too
/// long.
pub fn own_name(who: &[&str], name: &str) -> String {
    let mut own = UPLOAD.to_owned();
    for word in who {
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        };
        own.extend(word.chars().map(plain).take(MAX_WORD_CHARS));
        own.push('-');
    }
    let room = MAX_NAME_BYTES.saturating_sub(own.len());
    own.extend(name.chars().filter(char::is_ascii).take(room));
    own
}

/// A run of hookshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// The time at which it began.
    pub begun: DateTime<Utc>,
    /// The word that tells it apart from every other run.
    pub run: String,
    /// The signs by which its process is known; older versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// The folders that it works on, needed to check the signs of other runs.
    #[serde(skip)]
    pub folders: Vec<PathBuf>,
}

impl Maker {
    /// Returns true if the leftovers of `self` can be removed, seen from the run `now`: its process is gone, or its
    /// process is unknown and it began long ago.
    pub fn is_gone(&self, now: &Maker) -> bool {
        if self.run == now.run {
            return false;
        }
        match self.standing(now) {
            Liveness::Alive => false,
            Liveness::Dead => true,
            Liveness::Unknown => now.begun - self.begun > PATIENCE,
        }
    }

    /// Returns if its process lives, as far as the run `now` can see.
    pub fn standing(&self, now: &Maker) -> Liveness {
        let (Some(life), Some(here)) = (&self.life, &now.life) else {
            return Liveness::Unknown;
        };
        // Machines that were copied while they ran claim the same start, but their clocks continued.
        let ticks = i128::from(here.started) - i128::from(life.started);
        let seconds = i64::try_from(ticks / i128::from(TICKS_PER_SECOND)).unwrap_or(i64::MAX);
        let passed = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
        let differs = (now.begun - self.begun).checked_sub(&passed);
        if differs.is_none_or(|differs| differs.abs() > SLACK) {
            return Liveness::Unknown;
        }
        life.standing(self.pid, here, &now.folders)
    }
}

/// The record of an unfinished upload, stored beside the archives.
#[cfg(feature = "_objects")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The run that makes it.
    pub maker: Maker,
    /// The name that it will have.
    pub name: String,
    /// The store's identifier of the upload.
    pub upload: String,
}

/// Returns the name of an upload's file, which identifies its maker. Used for stores that keep no markers beside their
/// files.
pub fn own_name_of(maker: &Maker, name: &str) -> String {
    let (pid, begun) = (maker.pid.to_string(), maker.begun.timestamp().to_string());
    let mut place = host_mark(&maker.host);
    if let Some(life) = &maker.life {
        let (namespace, started) = (life.namespace, life.started);
        place.push_str(&format!("_{}_{namespace:x}_{started:x}", life.boot));
        for folder in &life.folders {
            place.push_str(&format!("_{folder}"));
        }
    }
    own_name(&[&maker.run, &pid, &begun, &place], name)
}

/// Reads such a name: its maker, and the archive's name or the beginning of it. The maker's host is that of
/// `seen_from`, or empty.
pub fn told_by(own: &str, seen_from: &Maker) -> Option<(Maker, String)> {
    let mut words = own.strip_prefix(UPLOAD)?.splitn(5, '-');
    let mut word = || words.next();
    let (run, pid, begun, place, name) = (word()?, word()?, word()?, word()?, word()?);
    let mut signs = place.split('_');
    let is_here = signs.next() == Some(&host_mark(&seen_from.host));
    let maker = Maker {
        host: if is_here {
            seen_from.host.clone()
        } else {
            String::new()
        },
        pid: pid.parse().ok()?,
        begun: DateTime::from_timestamp(begun.parse().ok()?, 0)?,
        run: run.to_owned(),
        life: life_in(signs),
        folders: Vec::new(),
    };
    // A run recognizes its own files by its own word in their names.
    let is_own = own.starts_with(&own_name(&[&seen_from.run], ""));
    let run = if is_own {
        seen_from.run.clone()
    } else {
        maker.run
    };
    Some((Maker { run, ..maker }, name.to_owned()))
}

/// Reads the signs of a process in a name; older versions wrote none.
fn life_in<'a>(mut signs: impl Iterator<Item = &'a str>) -> Option<Life> {
    let number = |sign: Option<&str>| u64::from_str_radix(sign?, 16).ok();
    Some(Life {
        boot: signs.next()?.to_owned(),
        namespace: number(signs.next())?,
        started: number(signs.next())?,
        folders: signs.map(str::to_owned).collect(),
    })
}

/// Returns a short word that tells machines apart.
fn host_mark(host: &str) -> String {
    hex::encode(&Sha256::digest(host.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: i64 = 1_790_000_000;

    /// Returns a run that began this many hours before `BEGUN`, with the signs of this process if it is of this
    /// machine.
    fn maker(run: &str, pid: u32, hours: i64, life: Option<Life>) -> Maker {
        let now = DateTime::from_timestamp(BEGUN, 0).expect("a time");
        Maker {
            host: "a".to_owned(),
            pid,
            begun: now - TimeDelta::hours(hours),
            run: run.to_owned(),
            life,
            folders: Vec::new(),
        }
    }

    fn earlier(life: &Life, hours: i64) -> Option<Life> {
        let ticks = u64::try_from(hours * 3600 * TICKS_PER_SECOND).expect("a time");
        let started = life.started + 1_000_000_000 - ticks;
        let life = life.clone();
        Some(Life { started, ..life })
    }

    #[test]
    fn only_what_is_dead_and_what_is_old_and_unknown_is_gone() {
        let pid = std::process::id();
        let real = Life::here().expect("/proc shows us");
        let me = maker("me", pid, 0, Some(real.clone()));
        assert!(!me.is_gone(&me), "oneself");
        let twin = maker("x", pid, 0, Some(real.clone()));
        assert!(!twin.is_gone(&me), "at work");

        // A machine that has been running for long enough.
        let me = maker("me", pid, 0, earlier(&real, 0));
        let at = |hours| maker("x", pid, hours, earlier(&real, hours));
        assert!(at(1).is_gone(&me), "a number that is used again");
        let mut clone = at(1);
        clone.begun -= TimeDelta::minutes(2);
        assert!(
            !clone.is_gone(&me),
            "a machine that was copied while it ran"
        );
        clone.begun -= TimeDelta::hours(24);
        assert!(clone.is_gone(&me), "the same, old");
        for (life, what) in [
            (None, "of an older version"),
            (
                Some(Life {
                    boot: "other".to_owned(),
                    ..real.clone()
                }),
                "of another machine with our name",
            ),
        ] {
            assert!(!maker("x", 1, 1, life.clone()).is_gone(&me), "{what}");
            assert!(maker("x", 1, 25, life).is_gone(&me), "{what}, old");
        }
    }

    #[test]
    fn markers_of_older_versions_are_read() {
        let text = r#"{"maker":{"host":"a","pid":7,"begun":"2026-01-02T03:04:05Z","run":"7-1"},"name":"x","upload":"u"}"#;
        let marker: Marker = serde_json::from_str(text).expect("a marker");
        assert_eq!((marker.maker.pid, marker.maker.life), (7, None));
        let name = ".hookshot-upload-7_1-7-1790000000-ca978112-x-1.tar.gz";
        let (maker, archive) = told_by(name, &maker("me", 1, 0, None)).expect("a maker");
        assert_eq!((maker.host.as_str(), maker.life), ("a", None));
        assert_eq!(archive, "x-1.tar.gz");
    }

    #[test]
    fn a_name_tells_who_makes_it_and_fits() {
        let life = Life {
            boot: "0123456789ab".to_owned(),
            namespace: 4_026_531_836,
            started: 123_456_789,
            folders: vec!["01234567".to_owned(), "89abcdef".to_owned()],
        };
        let maker = maker("1f-2e", 77, 0, Some(life));
        let begun = maker.begun;
        let other = Maker {
            host: "b".to_owned(),
            run: "x".to_owned(),
            ..maker.clone()
        };
        let own = own_name_of(&maker, "x-1.tar.gz");
        assert_eq!(
            told_by(&own, &maker),
            Some((maker.clone(), "x-1.tar.gz".to_owned()))
        );
        let (seen, _) = told_by(&own, &other).expect("a maker");
        assert_eq!((seen.host.as_str(), seen.run.as_str()), ("", "1f_2e"));
        assert_eq!((seen.pid, seen.begun, &seen.life), (77, begun, &maker.life));
        let long = own_name_of(&maker, &"y".repeat(255));
        assert_eq!(long.len(), MAX_NAME_BYTES);
        assert!(told_by(&long, &maker).is_some());
        for text in ["", "x", UPLOAD, ".hookshot-upload-a-b-c-d-e"] {
            assert_eq!(told_by(text, &maker), None, "{text}");
        }
    }
}
