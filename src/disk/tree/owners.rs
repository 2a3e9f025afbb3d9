//! Owners by number and by name, each asked for once (unless there are very many).

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use nix::unistd::{Gid, Group, Uid, User};

use super::powers::Powers;
use crate::model::{
    limits::{MAX_OWNER_NAME_BYTES, MAX_OWNERS},
    tree::Owner,
};

/// The users and groups of this machine, as far as they were asked for.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, Option<Arc<str>>>,
    groups: HashMap<u32, Option<Arc<str>>>,
    uids: HashMap<Arc<str>, Option<u32>>,
    gids: HashMap<Arc<str>, Option<u32>>,
    powers: OnceLock<Powers>,
}

impl Owners {
    /// Returns the powers of this process, which are read once.
    pub fn powers(&self) -> &Powers {
        self.powers.get_or_init(Powers::of_this_process)
    }

    /// Returns the owner with these numbers, by name as well.
    pub fn describe(&mut self, uid: u32, gid: u32) -> Owner {
        forget(&mut self.users);
        forget(&mut self.groups);
        // An archive cannot hold another name.
        let is_short = |name: &String| name.len() <= MAX_OWNER_NAME_BYTES;
        let user = self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map(|user| user.name).filter(is_short).map(Into::into)
        });
        let group = self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group
                .map(|group| group.name)
                .filter(is_short)
                .map(Into::into)
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

    /// Returns the numbers of an owner to whom root may give a file here; a number that it may not give is left out.
    pub fn find_givable(&mut self, owner: &Owner) -> (Option<u32>, Option<u32>) {
        let (uid, gid) = self.find(owner);
        let powers = self.powers();
        (
            uid.filter(|uid| powers.may_give_to_user(*uid)),
            gid.filter(|gid| powers.may_give_to_group(*gid)),
        )
    }

    /// Returns the numbers of an owner on this machine: by name; if it knows no such name, as they are. A number that
    /// our user namespace does not have is `None`.
    pub fn find(&mut self, owner: &Owner) -> (Option<u32>, Option<u32>) {
        forget(&mut self.uids);
        forget(&mut self.gids);
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
        let powers = self.powers();
        (
            user.or(owner.uid).filter(|uid| powers.have_user(*uid)),
            group.or(owner.gid).filter(|gid| powers.have_group(*gid)),
        )
    }
}

/// Forgets everything if there is too much: it is asked for again.
fn forget<K, V>(known: &mut HashMap<K, V>) {
    if known.len() >= MAX_OWNERS {
        known.clear();
    }
}
