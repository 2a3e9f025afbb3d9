//! Owners by number and by name, each asked for once.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use nix::unistd::{Gid, Group, Uid, User};

use crate::model::tree::Owner;

/// What this machine knows of users and groups.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, Option<Arc<str>>>,
    groups: HashMap<u32, Option<Arc<str>>>,
    uids: HashMap<Arc<str>, Option<u32>>,
    gids: HashMap<Arc<str>, Option<u32>>,
    mapped_users: OnceCell<Mapped>,
    mapped_groups: OnceCell<Mapped>,
}

/// The numbers that our user namespace has (user_namespaces(7)), as ranges of the first one and their count. No file can be
/// given to another number.
#[derive(Debug)]
struct Mapped(Vec<(u32, u32)>);

impl Mapped {
    /// Reads `/proc/self/uid_map` or its like; without it every number counts.
    fn read(path: &str) -> Mapped {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let range = |line: &str| {
            let mut numbers = line.split_whitespace();
            let (first, count) = (numbers.next()?, numbers.nth(1)?);
            Some((first.parse().ok()?, count.parse().ok()?))
        };
        Mapped(text.lines().filter_map(range).collect())
    }

    fn has(&self, number: u32) -> bool {
        let is_in = |(first, count): &(u32, u32)| number >= *first && number - first < *count;
        self.0.is_empty() || self.0.iter().any(is_in)
    }
}

impl Owners {
    /// The owner with these numbers, by name as well.
    pub fn describe(&mut self, uid: u32, gid: u32) -> Owner {
        let user = self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map(|user| user.name.into())
        });
        let group = self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map(|group| group.name.into())
        });
        Owner {
            user: user.clone(),
            group: group.clone(),
            uid: Some(uid),
            gid: Some(gid),
        }
    }

    /// Returns true if this machine knows the owner: by name, or by number if the archive has no name.
    pub fn knows(&mut self, owner: &Owner) -> bool {
        let (uid, gid) = self.find(owner);
        let is_known = |name: &Option<Arc<str>>, ids: &HashMap<Arc<str>, Option<u32>>| {
            name.as_ref()
                .is_none_or(|name| ids.get(name).is_some_and(Option::is_some))
        };
        uid.is_some()
            && gid.is_some()
            && is_known(&owner.user, &self.uids)
            && is_known(&owner.group, &self.gids)
    }

    /// The numbers of an owner on this machine: by name; where it knows no such name, as they are. One that
    /// our user namespace does not have is none.
    pub fn find(&mut self, owner: &Owner) -> (Option<u32>, Option<u32>) {
        let user = owner.user.as_ref().and_then(|name| {
            *self.uids.entry(name.clone()).or_insert_with(|| {
                let user = User::from_name(name).ok().flatten();
                user.map(|user| user.uid.as_raw())
            })
        });
        let group = owner.group.as_ref().and_then(|name| {
            *self.gids.entry(name.clone()).or_insert_with(|| {
                let group = Group::from_name(name).ok().flatten();
                group.map(|group| group.gid.as_raw())
            })
        });
        let users = self
            .mapped_users
            .get_or_init(|| Mapped::read("/proc/self/uid_map"));
        let groups = self
            .mapped_groups
            .get_or_init(|| Mapped::read("/proc/self/gid_map"));
        (
            user.or(owner.uid).filter(|uid| users.has(*uid)),
            group.or(owner.gid).filter(|gid| groups.has(*gid)),
        )
    }
}
