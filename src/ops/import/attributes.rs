//! Mode, owner, time and extended attributes of single files: what the manifest says, by the rule that holds for the
//! files of directories; and the owners of everything that is restored, as far as this machine knows them.

use std::{collections::BTreeSet, path::Path};

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};

use super::unpacked::Unpacked;
use crate::{
    config::sources::Source,
    context::Context,
    disk::tree::{foresight::Foresight, owners::Owners},
    model::{
        entry_name::printable,
        limits::MAX_OWNERS,
        plan::{self, FileAttributes, Present, Privacy},
        tree::{Owner, Xattrs},
    },
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Returns what a restored file gets: what the manifest says, else what the target has, else what the tar says.
pub fn wanted(
    context: &Context,
    unpacked: &Unpacked<'_>,
    source: &Source,
    target: &Path,
    present: Option<&Present>,
    owners: &mut Owners,
) -> std::io::Result<FileAttributes> {
    let mut foresight = Foresight::at(target, context.privilege())?;
    let name = &source.name;
    let record = unpacked.record(name);
    let header = unpacked.verified.header(name);
    // Closed to others if either machine says so.
    let privacy = match record.is_some_and(|record| record.secret) {
        true => Privacy::Private,
        false => source.privacy,
    };
    let mode = plan::restored_mode(
        record.and_then(|record| record.mode),
        present.map(|present| present.mode),
        header.mode.unwrap_or(0o600),
        privacy,
    );
    let owner = record.map(|record| record.owner()).unwrap_or_default();
    let mut attributes = FileAttributes {
        mode,
        owner: None,
        xattrs: Xattrs::new(),
    };
    if let Some(record) = record {
        attributes.xattrs = foresight.restored(&record.xattrs);
        let archived = record.mode.unwrap_or(mode);
        let given = foresight.mode_of_file(archived, &owner, &record.xattrs);
        // The privacy of the source has closed some bits; special ones come back as they do in a directory.
        attributes.mode = match privacy {
            Privacy::Private => mode & given,
            Privacy::Ordinary => given,
        };
        for said in foresight.of_file(record) {
            let message = format!("{}: {said}", target.display());
            let mut remarks = unpacked.unrestored.borrow_mut();
            remarks.undone(RemarkKind::Attribute, name, message);
        }
    }
    if !context.privileged {
        return Ok(attributes);
    }
    let (uid, gid) = owners.find_givable(&owner);
    // A number that our user namespace does not have cannot be given again.
    let there = present.map(|present| {
        owners.find(&Owner {
            uid: Some(present.owner.0),
            gid: Some(present.owner.1),
            ..Owner::default()
        })
    });
    let (user, group) = (header.user.map(Into::into), header.group.map(Into::into));
    let (in_tar_uid, in_tar_gid) = owners.find_givable(&Owner {
        user,
        group,
        ..Owner::default()
    });
    let uid = uid.or(there.and_then(|owner| owner.0)).or(in_tar_uid);
    let gid = gid.or(there.and_then(|owner| owner.1)).or(in_tar_gid);
    let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
    let refused = foresight.refused_owner(&Owner {
        uid: Some(uid),
        gid: Some(gid),
        ..Owner::default()
    });
    match refused {
        Some(refused) => {
            let message = format!("{}: {refused}", target.display());
            let mut remarks = unpacked.unrestored.borrow_mut();
            remarks.warning(RemarkKind::Owner, name, message);
        }
        None => attributes.owner = Some((uid, gid)),
    }
    Ok(attributes)
}

/// The owners and groups of what is restored, each looked at once: those that this machine does not know are named,
/// and if the caller cannot give files away, those that do not get back what is theirs.
pub struct OwnerNames {
    owners: Owners,
    is_privileged: bool,
    /// The last one that was seen: most files of an archive belong to one.
    last: Owner,
    seen: BTreeSet<(bool, Option<String>, Option<u32>)>,
    messages: Vec<String>,
}

impl OwnerNames {
    /// Creates the value for what this process may restore.
    pub fn new(context: &Context) -> OwnerNames {
        OwnerNames {
            owners: Owners::default(),
            is_privileged: context.privileged,
            last: Owner::default(),
            seen: BTreeSet::new(),
            messages: Vec::new(),
        }
    }

    /// Warns of the owners that were seen.
    pub fn announce(self, remarks: &mut Remarks) {
        for message in self.messages {
            remarks.warning(RemarkKind::Owner, "", message);
        }
    }

    /// Looks at the owner of something that is restored.
    pub fn see(&mut self, owner: &Owner) {
        if *owner == self.last {
            return;
        }
        self.last = owner.clone();
        self.remember(false, owner.user.as_deref(), owner.uid);
        self.remember(true, owner.group.as_deref(), owner.gid);
    }

    fn remember(&mut self, is_group: bool, name: Option<&str>, number: Option<u32>) {
        let key = (is_group, name.map(str::to_owned), number);
        if self.seen.len() >= MAX_OWNERS {
            if self.seen.insert((false, None, None)) {
                self.messages.push(format!(
                    "more than {MAX_OWNERS} users and groups have a part in what is restored: only these were looked up"
                ));
            }
            return;
        }
        if (name.is_none() && number.is_none()) || !self.seen.insert(key) {
            return;
        }
        let wanted = match is_group {
            false => Owner {
                user: name.map(Into::into),
                uid: number,
                ..Owner::default()
            },
            true => Owner {
                group: name.map(Into::into),
                gid: number,
                ..Owner::default()
            },
        };
        let (what, short) = match is_group {
            false => ("user", "uid"),
            true => ("group", "gid"),
        };
        let shown = match (name, number) {
            (Some(name), Some(number)) => format!("{what} {} ({short} {number})", printable(name)),
            (Some(name), None) => format!("{what} {}", printable(name)),
            (None, number) => format!("{what} {}", number.unwrap_or_default()),
        };
        if !self.is_privileged {
            let (uid, gid) = self.owners.find(&wanted);
            let (found, own) = match is_group {
                false => (uid, geteuid().as_raw()),
                true => (gid, getegid().as_raw()),
            };
            if found != Some(own) {
                let yours = match is_group {
                    false => "it is yours now",
                    true => "it is of your group now",
                };
                self.messages.push(format!("what belonged to the {shown} does not get it back: only root gives files away, {yours}"));
            }
            return;
        }
        let (uid, gid) = self.owners.find(&wanted);
        let found = if is_group { gid } else { uid };
        if number.is_some() && found.is_none() {
            self.messages.push(format!(
                "what belonged to the {shown} does not get it back: this container (user namespace) does not have that \
                number, it is root's here"
            ));
            return;
        }
        if self.owners.find_givable(&wanted) != (uid, gid) {
            self.messages.push(format!(
                "what belonged to the {shown} does not get it back: the root of this container \
                may not give it away"
            ));
            return;
        }
        // Without a name nothing else was ever known.
        if name.is_none() || self.is_known(&wanted) {
            return;
        }
        let taken = number.and_then(|number| name_of(is_group, number));
        self.messages.push(match (number, taken) {
            (Some(_), Some(taken)) => {
                format!("the {shown} is not known here: the number is used, which is {} here", printable(&taken))
            }
            (Some(_), None) => format!("the {shown} is not known here: the number is used"),
            (None, _) => format!("the {shown} is not known here: what a file replaces says the owner, or else it is root's"),
        });
    }

    /// Returns true if this machine has the name.
    fn is_known(&mut self, owner: &Owner) -> bool {
        let nameless = Owner {
            uid: None,
            gid: None,
            ..owner.clone()
        };
        self.owners.find(&nameless) != (None, None)
    }
}

fn name_of(is_group: bool, number: u32) -> Option<String> {
    match is_group {
        false => {
            let user = User::from_uid(Uid::from_raw(number)).ok().flatten();
            user.map(|user| user.name)
        }
        true => {
            let group = Group::from_gid(Gid::from_raw(number)).ok().flatten();
            group.map(|group| group.name)
        }
    }
}
