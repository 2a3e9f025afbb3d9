//! The powers of root: that of a container lacks owners (user_namespaces(7)) or rights (capabilities(7)).

use std::{fs, path::Path};

use nix::unistd::{getegid, geteuid, getgroups};

use super::beneath::ACLS;

/// The first user namespace of a machine (linux/proc_ns.h, `PROC_USER_INIT_INO`).
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// Numbers of capabilities (linux/capability.h).
const CHOWN: u32 = 0;
const SYS_ADMIN: u32 = 21;
const SETFCAP: u32 = 31;

/// The powers of a process of root.
#[derive(Debug)]
pub struct Powers {
    capabilities: u64,
    uids: Ids,
    gids: Ids,
    is_first: bool,
}

/// The numbers of users or groups that exist here: the first, and how many.
#[derive(Debug)]
struct Ids(Vec<(u64, u64)>);

impl Ids {
    /// Reads them; without /proc nothing is known to be missing.
    fn read(path: &str) -> Ids {
        Ids(fs::read_to_string(path).map_or_else(|_| vec![(0, u64::MAX)], |text| parse(&text)))
    }

    fn have(&self, id: u32) -> bool {
        let id = u64::from(id);
        let mut ranges = self.0.iter();
        ranges.any(|(first, count)| id >= *first && id - first < *count)
    }
}

/// Reads the lines of uid_map: the first number inside, the first outside, and how many.
fn parse(text: &str) -> Vec<(u64, u64)> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let first = numbers.next()?.ok()?;
        let count = numbers.nth(1)?.ok()?;
        Some((first, count))
    };
    text.lines().filter_map(line).collect()
}

impl Powers {
    /// Reads those of this process, which it keeps.
    pub fn of_this_process() -> Powers {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| {
            let digits = line.strip_prefix("CapEff:")?.trim();
            u64::from_str_radix(digits, 16).ok()
        });
        let namespace = fs::read_link("/proc/self/ns/user");
        Powers {
            capabilities: effective.unwrap_or(u64::MAX),
            uids: Ids::read("/proc/self/uid_map"),
            gids: Ids::read("/proc/self/gid_map"),
            is_first: namespace.map_or(true, |found| found == Path::new(FIRST_USER_NAMESPACE)),
        }
    }

    fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }

    /// Returns true if the user exists here.
    pub fn have_user(&self, uid: u32) -> bool {
        self.uids.have(uid)
    }

    /// Returns true if the group exists here.
    pub fn have_group(&self, gid: u32) -> bool {
        self.gids.have(gid)
    }

    /// Returns true if a file of ours may be given to this user.
    pub fn may_give_to_user(&self, uid: u32) -> bool {
        (self.has(CHOWN) && self.uids.have(uid)) || geteuid().as_raw() == uid
    }

    /// Returns true if a file of ours may be given to this group.
    pub fn may_give_to_group(&self, gid: u32) -> bool {
        let is_ours = || {
            let others = getgroups().unwrap_or_default();
            getegid().as_raw() == gid || others.iter().any(|group| group.as_raw() == gid)
        };
        self.gids.have(gid) && (self.has(CHOWN) || is_ours())
    }

    /// Returns true if an extended attribute of this name, one of root's, may be set.
    pub fn may_set(&self, name: &str) -> bool {
        match name.starts_with("trusted.") {
            true => self.is_first && self.has(SYS_ADMIN),
            false => self.has(SETFCAP),
        }
    }

    /// Returns true if the users and groups that an extended attribute names exist here; only an ACL names any
    /// (acl(5)).
    pub fn have_all_of(&self, name: &str, value: &[u8]) -> bool {
        if !ACLS.contains(&name) {
            return true;
        }
        let mut entries = value.get(4..).unwrap_or_default().chunks_exact(8);
        entries.all(|entry| {
            let [tag, _, _, _, a, b, c, d] = *entry else {
                return true;
            };
            let id = u32::from_le_bytes([a, b, c, d]);
            match tag {
                USER => self.uids.have(id),
                GROUP => self.gids.have(id),
                _ => true,
            }
        })
    }
}

/// Tags of the entries that name a user and a group (linux/posix_acl.h).
const USER: u8 = 0x02;
const GROUP: u8 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    fn rootless() -> Powers {
        let ids = || {
            Ids(parse(
                "         0       1000          1\n         1     100000      65536\n",
            ))
        };
        Powers {
            capabilities: 1 << CHOWN | 1 << SETFCAP,
            uids: ids(),
            gids: ids(),
            is_first: false,
        }
    }

    #[test]
    fn a_rootless_container_has_some_owners() {
        let powers = rootless();
        let has = |id: u32| powers.uids.have(id) && powers.gids.have(id);
        assert!(has(0) && has(1) && has(65536));
        assert!(!has(65537) && !has(u32::MAX));
        assert!(powers.may_set("security.capability") && !powers.may_set("trusted.a"));
    }

    #[test]
    fn an_acl_names_users_and_groups() {
        let acl = |tag: u8, id: u32| {
            let mut bytes = vec![2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, tag, 0, 4, 0];
            bytes.extend(id.to_le_bytes());
            rootless().have_all_of(ACLS[0], &bytes)
        };
        assert!(acl(USER, 7) && acl(GROUP, 7));
        assert!(!acl(USER, 99_999) && !acl(GROUP, 99_999));
    }
}
