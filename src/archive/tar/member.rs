//! A member of a tar: its path, its kind and its header.

use tar::Header;

/// A member of the tar, as its header describes it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The path as it stands in the tar.
    pub path: String,
    /// Bytes of content.
    pub size: u64,
    /// The kind of file.
    pub what: MemberKind,
    pub(super) header: Header,
}

impl Member {
    /// Makes a member that stands in no tar: what lies at `path` in a tree of files.
    pub fn of_tree(
        path: String,
        size: u64,
        what: MemberKind,
        attributes: &HeaderAttributes,
    ) -> Member {
        let mut header = Header::new_ustar();
        header.set_mode(attributes.mode.unwrap_or(0o600));
        // A name that does not fit into a header is not told, as in a tar.
        if let Some(user) = &attributes.user {
            let _ = header.set_username(user);
        }
        if let Some(group) = &attributes.group {
            let _ = header.set_groupname(group);
        }
        Member {
            path,
            size,
            what,
            header,
        }
    }

    /// Returns true if `blocks`, a header with the extension records before it, end with the header of this member.
    pub fn has_header(&self, blocks: &[u8]) -> bool {
        blocks.ends_with(self.header.as_bytes())
    }

    /// Returns the time in the header.
    pub fn mtime(&self) -> Option<i64> {
        i64::try_from(self.header.mtime().ok()?).ok()
    }

    /// Returns owner and permissions.
    pub fn attributes(&self) -> HeaderAttributes {
        let text = |bytes: Option<&[u8]>| {
            bytes
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        HeaderAttributes {
            mode: self.header.mode().ok(),
            user: text(self.header.username_bytes()),
            group: text(self.header.groupname_bytes()),
        }
    }
}

/// The kind of file of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Any kind that no archive may hold.
    Special(&'static str),
}

/// Owner and permissions as a tar header has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Name of the owner.
    pub user: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
}
