//! A folder of this machine as the tree of an archive: `tar`, `restic restore` or `rsync` unpacked it there.

use std::{
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::{
    archive::tree::{ArchiveTree, TreeAttributes, TreeFile, TreeNode, is_ours, manifest_text},
    context::Context,
    disk::tree::{
        beneath::{Folders, Look, NodeKind, Top, is_gone, open_file},
        owners::Owners,
        walk::{Leaf, Met, walk_all},
    },
    error::{Failure, Kind},
    model::{
        archive_name::is_archive_file,
        entry_name::printable,
        manifest::{MANIFEST_NAME, Manifest},
        relative::shown,
    },
};

/// A folder that is read as an archive. No link below it is followed, and nothing but a regular file is opened.
pub struct FolderTree<'a> {
    top: &'a Top,
    folders: Folders<'a>,
    owners: Owners,
    context: &'a Context,
}

impl<'a> FolderTree<'a> {
    /// Returns the tree below `top`.
    pub fn new(context: &'a Context, top: &'a Top) -> FolderTree<'a> {
        FolderTree {
            top,
            folders: Folders::new(top),
            owners: Owners::default(),
            context,
        }
    }

    /// Returns the bytes of all files together, as the manifest says; `None` if it is not good.
    pub fn promised_bytes(&mut self) -> Option<u64> {
        let text = manifest_text(self).ok().flatten()?;
        let manifest = Manifest::parse(&text).ok()?;
        Some(manifest.total_bytes())
    }

    fn regular(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        let (folder, name) = match self.folders.parent(path) {
            Err(error) if is_gone(&error) => return Ok(None),
            parent => parent?,
        };
        // Opening a device may move a tape: what is not a file is not opened.
        match Look::at(folder, name) {
            Ok(look) if look.what == NodeKind::File => {}
            Ok(_) => return Ok(None),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let file = match open_file(folder, name) {
            Err(error) if is_gone(&error) => return Ok(None),
            file => file?,
        };
        let look = Look::of(&file)?;
        if look.what != NodeKind::File {
            return Ok(None);
        }
        let owner = self.owners.describe(look.uid, look.gid);
        let text = |name: Option<std::sync::Arc<str>>| name.map(|name| name.to_string());
        let content: Box<dyn Read + Send> = Box::new(Named {
            inner: self.context.watch(file),
            name: shown(path),
        });
        Ok(Some(TreeFile {
            size: look.size,
            attributes: TreeAttributes {
                mode: look.mode,
                user: text(owner.user),
                group: text(owner.group),
                uid: look.uid,
                gid: look.gid,
                mtime: look.mtime.seconds,
            },
            content,
        }))
    }
}

impl ArchiveTree for FolderTree<'_> {
    fn name(&self) -> Option<String> {
        let real = self.top.path().canonicalize().ok()?;
        Some(real.file_name()?.to_str()?.to_owned())
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        self.context.stop.check()?;
        self.regular(path).map_err(|error| of_file(path, &error))
    }

    fn walk(
        &mut self,
        visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>,
    ) -> io::Result<()> {
        let stop = &self.context.stop;
        let mut visit_one = |path: &[u8], met: Met<'_>| -> Result<()> {
            stop.check()?;
            if let Some(node) = node_of(path, met)? {
                visit(path, &node)?;
            }
            Ok(())
        };
        walk_all(self.top, b"", &mut visit_one).map_err(as_io)
    }
}

/// Returns what a walk met; `None` if it is gone by now.
fn node_of(path: &[u8], met: Met<'_>) -> io::Result<Option<TreeNode>> {
    Ok(Some(match met {
        Met::Folder(..) | Met::Searched(..) => TreeNode::Folder,
        Met::Leaf(Leaf {
            what: NodeKind::File,
            ..
        })
        | Met::Excluded
        | Met::Own => TreeNode::File,
        Met::Leaf(leaf) => match leaf.target() {
            Ok(target) => TreeNode::Link(target),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(of_file(path, &error)),
        },
        Met::Special(kind) => TreeNode::Special(kind),
        Met::Failed(reason) => {
            let message = format!("{}: {reason}", shown(path));
            return Err(io::Error::other(message));
        }
    }))
}

/// Returns an error of a walk as it came, if it is one of input and output.
fn as_io(error: anyhow::Error) -> io::Error {
    error
        .downcast::<io::Error>()
        .or_else(|error| {
            error
                .downcast()
                .map(|failure: crate::error::Failure| failure.into())
        })
        .unwrap_or_else(io::Error::other)
}

/// Returns an error that names the file.
fn of_file(path: &[u8], error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

/// The content of a file whose errors name it.
struct Named<R> {
    inner: R,
    name: String,
}

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .read(buffer)
            .map_err(|error| match error.raw_os_error() {
                Some(_) => of_file(self.name.as_bytes(), &error),
                None => error,
            })
    }
}

/// Returns true if the word for a folder names an archive: its `manifest.json` is that of one, good or damaged.
pub fn is_archive(context: &Context, path: &Path) -> Result<bool> {
    // Most folders have none: they are not opened.
    let is_there = path.join(MANIFEST_NAME).symlink_metadata().is_ok();
    if !is_there || !path.is_dir() {
        return Ok(false);
    }
    let looking = || format!("cannot read {}", path.display());
    let top = Top::open(path).with_context(looking)?;
    let text = manifest_text(&mut FolderTree::new(context, &top)).with_context(looking)?;
    Ok(text.is_some_and(|text| is_ours(&text)))
}

/// Refuses a repository and an unpacked archive as a destination: with one file more in it, an unpacked archive would not
/// be one any more.
///
/// A folder in which archives lie already is a destination, whatever else was unpacked there: backups go on.
///
/// Errors: [`Kind::Usage`].
pub fn require_destination(context: &Context, folder: &Path) -> Result<()> {
    let is_repository = ["config", "keys", "index", "snapshots"]
        .iter()
        .all(|name| folder.join(name).exists());
    if is_repository {
        let shown = printable(&folder.to_string_lossy());
        let shown = shown.trim_end_matches('/');
        let message =
            format!("{shown} is a repository in restic's format, not a folder of archives");
        return Err(Failure::new(Kind::Usage, message)
            .hint(format!("write restic:{shown} to keep archives in it"))
            .into());
    }
    if !is_archive(context, folder)? || holds_archives(folder)? {
        return Ok(());
    }
    let shown = printable(&folder.to_string_lossy());
    let shown = shown.trim_end_matches('/');
    let message = format!("{shown} is an unpacked archive, not a destination");
    Err(Failure::new(Kind::Usage, message)
        .hint(format!(
            "name another folder for archives; `hookshot inspect {shown}` shows this one"
        ))
        .into())
}

fn holds_archives(folder: &Path) -> Result<bool> {
    let looking = || format!("cannot read {}", folder.display());
    for entry in folder.read_dir().with_context(looking)? {
        let name = entry.with_context(looking)?.file_name();
        if is_archive_file(name.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
