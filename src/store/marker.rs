//! Who makes an upload, so that a later run can tell whether it is still at work.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// After this long an upload of another machine counts as left behind.
const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// What the names of uploads at work start with, and of markers of such.
pub const UPLOAD: &str = ".hookshot-upload-";
/// The most that is kept of each word that tells who makes an upload.
const MAX_WORD_CHARS: usize = 40;
/// The longest name that is made: servers add something to it (a file's name has 255 bytes on most file systems).
const MAX_NAME_BYTES: usize = 200;

/// The name of what is hookshot's own beside the archive `name`: it tells who makes it, and is cut where it is too long.
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
    /// When it began.
    pub begun: DateTime<Utc>,
    /// Tells it apart from every other run.
    pub run: String,
}

impl Maker {
    /// Whether what `self` left can be removed, seen from the run `now` looks from: its process is gone, or it ran on
    /// another machine long ago.
    pub fn is_gone(&self, seen_from: &Maker, is_alive: impl Fn(u32) -> bool) -> bool {
        if self.run == seen_from.run {
            return false;
        }
        let is_old = seen_from.begun - self.begun > PATIENCE;
        let is_dead = self.host == seen_from.host && !is_alive(self.pid);
        is_old || is_dead
    }
}

/// An upload at work, as it is written down beside the archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Who makes it.
    pub maker: Maker,
    /// The name that it will have.
    pub name: String,
    /// What the store calls it.
    pub upload: String,
}

/// What the name of a file of an upload tells of its maker, for stores that keep nothing beside their files.
pub fn own_name_of(maker: &Maker, name: &str) -> String {
    let (pid, begun) = (maker.pid.to_string(), maker.begun.timestamp().to_string());
    own_name(&[&maker.run, &pid, &begun, &host_mark(&maker.host)], name)
}

/// The maker that such a name tells of, and the name that the archive would have had, or how it begins. The host is that of
/// `seen_from`, or an empty one.
pub fn told_by(own: &str, seen_from: &Maker) -> Option<(Maker, String)> {
    let mut words = own.strip_prefix(UPLOAD)?.splitn(5, '-');
    let mut word = || words.next();
    let (run, pid, begun, host, name) = (word()?, word()?, word()?, word()?, word()?);
    let is_here = host == host_mark(&seen_from.host);
    let maker = Maker {
        host: if is_here {
            seen_from.host.clone()
        } else {
            String::new()
        },
        pid: pid.parse().ok()?,
        begun: DateTime::from_timestamp(begun.parse().ok()?, 0)?,
        run: run.to_owned(),
    };
    // One's own run is known by how its name is written there.
    let is_own = own.starts_with(&own_name(&[&seen_from.run], ""));
    let run = if is_own {
        seen_from.run.clone()
    } else {
        maker.run
    };
    Some((Maker { run, ..maker }, name.to_owned()))
}

/// Tells machines apart.
fn host_mark(host: &str) -> String {
    hex::encode(&Sha256::digest(host.as_bytes())[..4])
}

/// Whether a process of this machine lives.
pub fn is_alive(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_and_old_makers_are_gone() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let maker = |host: &str, pid, hours, run: &str| Maker {
            host: host.to_owned(),
            pid,
            begun: now - TimeDelta::hours(hours),
            run: run.to_owned(),
        };
        let me = maker("a", 1, 0, "me");
        let alive = |pid| pid == 2;
        assert!(!me.is_gone(&me, alive), "oneself");
        assert!(!maker("a", 2, 1, "x").is_gone(&me, alive), "at work");
        assert!(maker("a", 3, 1, "x").is_gone(&me, alive), "dead");
        assert!(
            !maker("b", 3, 1, "x").is_gone(&me, alive),
            "another machine"
        );
        assert!(
            maker("b", 3, 25, "x").is_gone(&me, alive),
            "another machine, old"
        );
    }

    #[test]
    fn a_name_tells_who_makes_it_and_fits() {
        let begun = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let maker = Maker {
            host: "a".to_owned(),
            pid: 77,
            begun,
            run: "1f-2e".to_owned(),
        };
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
        assert_eq!((seen.pid, seen.begun), (77, begun));
        let long = own_name_of(&maker, &"y".repeat(255));
        assert_eq!(long.len(), MAX_NAME_BYTES);
        assert!(told_by(&long, &maker).is_some());
        for text in ["", "x", UPLOAD, ".hookshot-upload-a-b-c-d-e"] {
            assert_eq!(told_by(text, &maker), None, "{text}");
        }
    }
}
