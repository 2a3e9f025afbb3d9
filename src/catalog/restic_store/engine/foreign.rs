//! A snapshot that another program made, with all that its nodes tell.
//!
//! A snapshot names its trees, and these their files and folders, by the SHA-256 of what they hold (restic's design
//! document, "Trees and Data"). The engine goes by the index and does not compare them: this does.

use std::{
    collections::HashMap,
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use rustic_core::{
    BlobId, DataId, TreeId,
    repofile::{BlobType, Metadata, Node, NodeType, Tree},
};
use serde::Deserialize;

use super::{
    feed::mode_of_go,
    index::Index,
    nodes::Nodes,
    pieces::{FileContent, Pieces},
};
use crate::{
    archive::foreign_tar::{ForeignKind, ForeignMember},
    catalog::snapshots::SnapshotTree,
    error::{Failure, Kind},
    model::{
        digest::Digest,
        limits::MAX_OWNER_NAME_BYTES,
        manifest::record::{Modified, Owner, Xattrs},
        relative::shown,
        secret_forms::base64_bytes,
    },
};

/// The part of a snapshot that is read.
pub struct ForeignTree {
    blobs: Arc<Blobs>,
    /// The node of the folder, or of the single file; `None` for all of the snapshot.
    top: Option<Node>,
    nodes: Nodes,
    linked: Linked,
}

/// The first paths of files that have several names, by device and inode.
type Linked = HashMap<(u64, u64), (Vec<u8>, Node)>;

impl ForeignTree {
    /// Opens what lies at `path` below the tree `root`.
    ///
    /// Errors: [`Kind::NotFound`] if nothing lies there; [`Kind::Refused`] for what is neither a folder nor a file.
    pub fn open(index: Arc<Index>, shown: &str, root: TreeId, path: &str) -> Result<ForeignTree> {
        let shown = shown.to_owned();
        let blobs = Arc::new(Blobs { index, shown });
        let trees = blobs.clone();
        let named = "the snapshot".to_owned();
        let mut nodes = Nodes::below(root, named, Box::new(move |id| trees.tree(id)))?;
        let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        let names: Vec<&str> = names.collect();
        let inside = names.join("/");
        let mut top = None;
        if !inside.is_empty() {
            let node = nodes.find(inside.as_bytes())?.cloned();
            top = Some(node.ok_or_else(|| {
                let message = format!("the snapshot has nothing at {path}");
                Failure::new(Kind::NotFound, message)
                    .hint("`restic ls` shows what is in it; the path begins as restic shows it")
            })?);
        }
        match top.take_if(|node| !node.is_dir()) {
            None if inside.is_empty() => {}
            None => nodes.go_below(inside.as_bytes())?,
            Some(node) if node.is_file() => nodes.leave_only(Some(node)),
            Some(_) => {
                let message = format!("{path} in the snapshot is neither a folder nor a file");
                return Err(Failure::new(Kind::Refused, message).into());
            }
        }
        Ok(ForeignTree {
            blobs,
            top,
            nodes,
            linked: HashMap::new(),
        })
    }
}

/// Returns the kind of a node. A further name of a file leads to its first one.
fn kind_of(node: &Node, path: &[u8], linked: &mut Linked) -> ForeignKind {
    match &node.node_type {
        NodeType::Dir => ForeignKind::Folder,
        NodeType::File if node.meta.links > 1 && node.meta.inode > 0 => {
            let inode = (node.meta.device_id, node.meta.inode);
            let (first, other) = linked
                .entry(inode)
                .or_insert_with(|| (path.to_owned(), node.clone()));
            // The number of an inode that was freed may be given to another file meanwhile.
            let is_same = other.content == node.content && other.meta.mtime == node.meta.mtime;
            match is_same && first != path {
                true => ForeignKind::SameAs(first.clone()),
                false => ForeignKind::File,
            }
        }
        NodeType::File => ForeignKind::File,
        link @ NodeType::Symlink { .. } => {
            ForeignKind::Link(link.to_link().as_os_str().as_bytes().to_owned())
        }
        NodeType::Dev { .. } | NodeType::Chardev { .. } => ForeignKind::Special("a device"),
        NodeType::Fifo => ForeignKind::Special("a fifo"),
        NodeType::Socket => ForeignKind::Special("a socket"),
    }
}

impl SnapshotTree for ForeignTree {
    fn walk(
        &mut self,
        take: &mut dyn FnMut(ForeignMember, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        if let Some(top) = &self.top {
            let top = member(Vec::new(), ForeignKind::Folder, top)?;
            take(top, &mut io::empty())?;
        }
        let (blobs, linked) = (&self.blobs, &mut self.linked);
        self.nodes.walk(&mut |path, node| {
            if node.is_file() && node.content.is_none() && node.meta.size > 0 {
                let message = format!("the snapshot: {} has lost its content", shown(path));
                return Err(Failure::new(Kind::Refused, message)
                    .hint("`restic check` says more")
                    .into());
            }
            let what = kind_of(node, path, linked);
            let mut content = blobs.clone().content(node);
            take(member(path.to_owned(), what, node)?, &mut content)
        })
    }

    fn open(&mut self, path: &[u8]) -> Result<Box<dyn Read>> {
        let node = self.nodes.find(path)?.filter(|node| node.is_file());
        let node = node.with_context(|| format!("{} is not in the snapshot", shown(path)))?;
        Ok(Box::new(self.blobs.clone().content(node)))
    }
}

/// The content of a repository by its digests.
struct Blobs {
    index: Arc<Index>,
    shown: String,
}

impl Blobs {
    /// Returns what has the digest `id`. Something else in its place is an error.
    fn get(&self, id: BlobId, kind: BlobType) -> Result<Bytes, Failure> {
        let found = (self.index).read(|indexed| indexed.piece(id, kind))?;
        match Digest::of(&found).to_string() == id.to_hex().as_str() {
            true => Ok(found),
            false => {
                let message = format!("the repository {}: {id} is damaged", self.shown);
                Err(Failure::new(Kind::Refused, message)
                    .hint("`restic check --read-data` shows the damage"))
            }
        }
    }

    /// Returns the nodes of a folder.
    fn tree(&self, id: TreeId) -> Result<Tree> {
        let text = self.get(id.into(), BlobType::Tree)?;
        serde_json::from_slice(&text)
            .with_context(|| format!("the repository {}: cannot read {id}", self.shown))
    }

    /// Returns the content of a node; nothing of one that is not a file.
    fn content(self: Arc<Blobs>, node: &Node) -> FileContent<Blobs> {
        let content = node.content.as_ref().filter(|_| node.is_file());
        FileContent::new(self, content.cloned().unwrap_or_default())
    }
}

impl Pieces for Blobs {
    fn part(&self, id: DataId) -> Result<Bytes, Failure> {
        self.get(id.into(), BlobType::Data)
    }
}

fn member(path: Vec<u8>, what: ForeignKind, node: &Node) -> Result<ForeignMember> {
    let meta = &node.meta;
    let mtime = meta.mtime.map(|time| {
        // Times before 1970 count back from the second before.
        let nanoseconds = time.subsec_nanosecond();
        match u32::try_from(nanoseconds) {
            Ok(nanoseconds) => (time.as_second(), nanoseconds),
            Err(_) => (
                time.as_second() - 1,
                (1_000_000_000 + nanoseconds).unsigned_abs(),
            ),
        }
    });
    let (seconds, nanoseconds) = mtime.unwrap_or_default();
    Ok(ForeignMember {
        path,
        what,
        size: meta.size,
        mode: mode_of_go(meta.mode.unwrap_or(0o600)),
        owner: owner(meta),
        mtime: Modified {
            seconds,
            nanoseconds,
        },
        xattrs: xattrs(meta)?,
        has_acl: false,
    })
}

fn owner(meta: &Metadata) -> Owner {
    let is_good = |name: &&str| !name.is_empty() && name.len() <= MAX_OWNER_NAME_BYTES;
    let name = |name: &Option<String>| name.as_deref().filter(is_good).map(Arc::from);
    // The greatest number means "none" to the kernel (chown(2)).
    let number = |id: Option<u32>| id.filter(|id| *id < u32::MAX);
    Owner {
        user: name(&meta.user),
        group: name(&meta.group),
        uid: number(meta.uid),
        gid: number(meta.gid),
    }
}

/// Returns the extended attributes of a node. The engine shows no type for them but their text.
fn xattrs(meta: &Metadata) -> Result<Xattrs> {
    #[derive(Deserialize)]
    struct Attribute {
        name: String,
        #[serde(default)]
        value: Option<String>,
    }
    if meta.extended_attributes.is_empty() {
        return Ok(Xattrs::new());
    }
    let text = serde_json::to_value(&meta.extended_attributes)?;
    let attributes: Vec<Attribute> = serde_json::from_value(text)?;
    let pairs = attributes.into_iter().map(|attribute| {
        let value = attribute.value.unwrap_or_default();
        let value = base64_bytes(&value)
            .with_context(|| format!("the attribute {} cannot be read", attribute.name))?;
        Ok((attribute.name, value))
    });
    pairs.collect()
}
