//! The nodes of a new state on their way into the engine: it asks for them in their order, and their contents follow.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, Cursor, Read},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, sync_channel},
    },
    vec,
};

use anyhow::{Result, anyhow};
use rustic_core::{
    ErrorKind, ReadSource, ReadSourceEntry, RusticError, RusticResult, jiff,
    repofile::{Metadata, Node, NodeType},
};

use serde_json::json;

use super::trouble::Trouble;
use crate::{
    archive::listing::{Listing, ListingLines},
    catalog::{
        pipe::AHEAD,
        restic_store::plan::{Planned, PlannedNode, planned},
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        manifest::record::{Modified, Owner, Xattrs},
        secret_forms::base64,
    },
};

/// A folder in the words of Go, which restic is written in (io/fs, `FileMode`).
const GO_FOLDER: u32 = 1 << 31;
/// A symbolic link.
const GO_LINK: u32 = 1 << 27;
/// The bits of a mode for a file that runs as its owner, as its group, and for a sticky folder; ours and Go's.
const GO_BITS: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

/// The entry whose content the engine waits for, and the way for its bytes.
pub struct Awaited {
    /// The entry.
    pub name: EntryName,
    /// Takes its bytes, all of them.
    pub bytes: SyncSender<Vec<u8>>,
}

/// The listing of a directory, and its name.
pub type ListingOf = (EntryName, Listing);

/// The nodes of one state, as the engine asks for them.
pub struct Feed {
    nodes: Mutex<Option<FeedNodes>>,
}

/// The nodes, one by one.
pub struct FeedNodes {
    /// The folder of the state.
    top: PathBuf,
    /// The time of what has none.
    time: Modified,
    nodes: vec::IntoIter<PlannedNode>,
    /// The rest of the directory that is passed on now.
    lines: Option<(PathBuf, ListingLines)>,
    /// The directory whose node was passed on, and whose listing is not there yet.
    listed: Option<(EntryName, PathBuf)>,
    /// Listings that came before their directories.
    came: BTreeMap<EntryName, Listing>,
    listings: Receiver<ListingOf>,
    awaited: Sender<Awaited>,
    trouble: Trouble,
    /// True before the node of the top folder.
    is_new: bool,
}

impl Feed {
    /// Passes on `nodes` below the folder `top`. Each file is announced to `awaited`; each directory's listing comes
    /// from `listings`. `time` is the time of what has none, in Unix seconds.
    pub fn new(
        top: &str,
        time: i64,
        nodes: Vec<PlannedNode>,
        (listings, awaited): (Receiver<ListingOf>, Sender<Awaited>),
        trouble: Trouble,
    ) -> Feed {
        Feed {
            nodes: Mutex::new(Some(FeedNodes {
                top: Path::new("/").join(top),
                time: Modified {
                    seconds: time,
                    nanoseconds: 0,
                },
                nodes: nodes.into_iter(),
                lines: None,
                listed: None,
                came: BTreeMap::new(),
                listings,
                awaited,
                trouble,
                is_new: true,
            })),
        }
    }
}

impl ReadSource for Feed {
    type Open = FeedContent;
    type Iter = std::iter::Flatten<std::option::IntoIter<FeedNodes>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let nodes = self
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        nodes.into_iter().flatten()
    }
}

impl Iterator for FeedNodes {
    type Item = RusticResult<ReadSourceEntry<FeedContent>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_node()
            .map_err(|error| self.kept(&error))
            .transpose()
    }
}

impl FeedNodes {
    fn next_node(&mut self) -> Result<Option<ReadSourceEntry<FeedContent>>> {
        if std::mem::take(&mut self.is_new) {
            let top = self.top.clone();
            return self
                .entry(top, Planned::Folder(Default::default()))
                .map(Some);
        }
        if let Some((name, folder)) = self.listed.take() {
            let listing = self.listing(&name)?;
            self.lines = Some((folder, listing.lines()));
        }
        if let Some((folder, lines)) = &mut self.lines {
            if let Some(line) = lines.next().transpose()? {
                let path = folder.join(OsStr::from_bytes(line.name.as_bytes()));
                return self.entry(path, planned(line.node)).map(Some);
            }
            self.lines = None;
        }
        let Some(node) = self.nodes.next() else {
            return Ok(None);
        };
        let path = self.top.join(OsStr::from_bytes(&node.path));
        let what = match node.what {
            Planned::Listed(name, root, _) => {
                self.listed = Some((name, path.clone()));
                Planned::Folder(root)
            }
            what => what,
        };
        self.entry(path, what).map(Some)
    }

    /// Waits for the listing of the directory called `name`.
    fn listing(&mut self, name: &EntryName) -> Result<Listing> {
        loop {
            if let Some(listing) = self.came.remove(name) {
                return Ok(listing);
            }
            let (name, listing) = self.listings.recv().map_err(|_| cut())?;
            self.came.insert(name, listing);
        }
    }

    fn entry(&mut self, path: PathBuf, what: Planned) -> Result<ReadSourceEntry<FeedContent>> {
        let time = Some(self.time);
        let (kind, meta, open) = match what {
            Planned::Manifest(text) => {
                let meta = metadata(0o600, &Owner::default(), time, text.len() as u64);
                (
                    NodeType::File,
                    meta,
                    Some(FeedContent::Text(Cursor::new(text))),
                )
            }
            Planned::File(record) => {
                let (bytes, coming) = sync_channel(AHEAD);
                let name = record.path.clone();
                let awaited = Awaited { name, bytes };
                self.awaited.send(awaited).map_err(|_| cut())?;
                let mode = go_mode(record.mode.unwrap_or(0o600));
                let modified = record.modified().or(time);
                let mut meta = metadata(mode, &record.owner(), modified, record.size);
                put_attributes(&mut meta, &record.xattrs)?;
                let content = ComingContent {
                    coming,
                    piece: Cursor::default(),
                    left: record.size,
                    trouble: self.trouble.clone(),
                };
                (NodeType::File, meta, Some(FeedContent::Coming(content)))
            }
            Planned::Folder(record) | Planned::Listed(_, record, _) => {
                let mode = go_mode(record.mode.unwrap_or(0o700)) | GO_FOLDER;
                let mut meta = metadata(mode, &record.owner, record.mtime.or(time), 0);
                put_attributes(&mut meta, &record.xattrs)?;
                (NodeType::Dir, meta, None)
            }
            Planned::Link(record) => {
                let target = Path::new(OsStr::from_bytes(&record.target));
                let meta = metadata(0o777 | GO_LINK, &record.owner, record.mtime.or(time), 0);
                (NodeType::from_link(target), meta, None)
            }
        };
        let name = path.file_name().unwrap_or_default();
        let node = Node::new_node(name, kind, meta);
        Ok(ReadSourceEntry { path, node, open })
    }

    fn kept(&self, error: &anyhow::Error) -> Box<RusticError> {
        let failure = Failure::of(error);
        self.trouble.keep(&failure);
        RusticError::with_source(ErrorKind::InputOutput, "a node is missing", failure)
    }
}

/// The content of a file.
pub enum FeedContent {
    /// This text.
    Text(Cursor<Vec<u8>>),
    /// Bytes that come.
    Coming(ComingContent),
}

/// The bytes of a file, piece by piece.
pub struct ComingContent {
    coming: Receiver<Vec<u8>>,
    piece: Cursor<Vec<u8>>,
    left: u64,
    trouble: Trouble,
}

impl Read for FeedContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            FeedContent::Text(text) => text.read(buffer),
            FeedContent::Coming(content) => content.read(buffer),
        }
    }
}

impl Read for ComingContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 {
                self.left = self.left.saturating_sub(count as u64);
                return Ok(count);
            }
            match self.coming.recv() {
                Ok(piece) => self.piece = Cursor::new(piece),
                Err(_) => {
                    let failure = Failure::of(&cut());
                    self.trouble.keep(&failure);
                    return Err(failure.into());
                }
            }
        }
    }
}

/// Returns the error of content that ends too early. Its cause is known elsewhere.
fn cut() -> anyhow::Error {
    anyhow!(Failure::new(
        Kind::Failed,
        "it was cancelled before its end"
    ))
}

/// Returns a mode in the words of Go.
fn go_mode(mode: u32) -> u32 {
    let set = GO_BITS.iter().filter(|(ours, _)| mode & ours != 0);
    set.fold(mode & 0o777, |mode, (_, theirs)| mode | theirs)
}

/// Returns a mode in our words.
pub fn mode_of_go(mode: u32) -> u32 {
    let set = GO_BITS.iter().filter(|(_, theirs)| mode & theirs != 0);
    set.fold(mode & 0o777, |mode, (ours, _)| mode | ours)
}

fn metadata(mode: u32, owner: &Owner, time: Option<Modified>, size: u64) -> Metadata {
    let time = time.and_then(|time| {
        let nanoseconds = i32::try_from(time.nanoseconds).ok()?;
        jiff::Timestamp::new(time.seconds, nanoseconds).ok()
    });
    Metadata {
        mode: Some(mode),
        mtime: time,
        atime: time,
        ctime: time,
        uid: owner.uid,
        gid: owner.gid,
        user: owner.user.as_deref().map(str::to_owned),
        group: owner.group.as_deref().map(str::to_owned),
        size,
        links: 1,
        ..Metadata::default()
    }
}

/// Gives `meta` extended attributes. The engine shows no type for them but their text.
fn put_attributes(meta: &mut Metadata, xattrs: &Xattrs) -> Result<()> {
    let texts = xattrs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": base64(value)}));
    meta.extended_attributes = serde_json::from_value(texts.collect())?;
    Ok(())
}
