//! Mounts and their mount points, for this process and for those of other mount namespaces (proc_pid_mountinfo(5),
//! mount_namespaces(7)).
//!
//! Mounts are told apart by their own numbers and never by the device: a bind mount has the device of what it shows,
//! and a subvolume of btrfs has a device of its own and is not a mount.

use std::{
    collections::BTreeMap,
    ffi::{CStr, OsString},
    fs, io,
    os::{fd::BorrowedFd, unix::ffi::OsStringExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{AtFlags, CWD, StatxFlags, fstat, statat, statx},
    io::Errno,
};

use super::holder::Holder;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which no other mount of any namespace has.
    pub id: u64,
    /// The file system, as `major:minor`.
    pub device: String,
    /// The folder or file of the file system that is seen at the mount point.
    pub root: PathBuf,
    /// The place at which it is mounted.
    pub point: PathBuf,
    /// The file system's own options.
    pub(super) options: String,
    /// The folders that an overlay file system shows as one, as it was told.
    layers: Vec<PathBuf>,
}

/// The mounts that a process sees, in the order in which they were made.
#[derive(Debug, Clone)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads those of this process.
    pub fn ours() -> Result<Mounts> {
        Mounts::of("self").context("cannot read /proc/self/mountinfo: is /proc mounted?")
    }

    fn of(pid: &str) -> io::Result<Mounts> {
        let text = fs::read(format!("/proc/{pid}/mountinfo"))?;
        Ok(Mounts(
            text.split(|byte| *byte == b'\n')
                .filter_map(parse)
                .collect(),
        ))
    }

    /// Returns the mount that shows what is at `path`, an absolute path without links.
    pub fn showing(&self, path: &Path) -> Option<&Mount> {
        match id_of(path) {
            Some(id) => self.0.iter().find(|mount| mount.id == id),
            // Before Linux 5.8: of several at one place, the last one is seen.
            None => {
                let around = self.0.iter().filter(|mount| path.starts_with(&mount.point));
                around.max_by_key(|mount| mount.point.as_os_str().len())
            }
        }
    }

    /// Returns true if something is mounted at `path`: it cannot be renamed, nor replaced by a rename.
    pub fn is_point(&self, path: &Path) -> bool {
        let Some(folder) = path.parent() else {
            return true;
        };
        match (id_of(path), id_of(folder)) {
            (Some(there), Some(above)) => there != above,
            _ => self.0.iter().any(|mount| mount.point == path),
        }
    }

    /// Returns the places below `folder` at which something is mounted and seen.
    pub fn below(&self, folder: &Path) -> Vec<&Path> {
        let inside = self
            .0
            .iter()
            .filter(|mount| mount.point != folder && mount.point.starts_with(folder));
        // A mount that lies under another one is not in the folder that is seen.
        let seen = inside.filter(|mount| match id_of(&mount.point) {
            Some(id) => id == mount.id,
            None => super::exists(&mount.point),
        });
        let mut places: Vec<&Path> = seen.map(|mount| mount.point.as_path()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Returns the place of `path` in its file system, whatever it is called here.
    fn inner(&self, path: &Path) -> Option<Inner> {
        let mount = self.showing(path)?;
        let below = path.strip_prefix(&mount.point).ok()?;
        let inside = match below.as_os_str().is_empty() {
            true => mount.root.clone(),
            false => mount.root.join(below),
        };
        Some(Inner {
            device: mount.device.clone(),
            path: inside,
        })
    }

    /// Returns the mounts that show `inner`, or something in it, by itself.
    fn showing_alone<'a>(&'a self, inner: &'a Inner) -> impl Iterator<Item = &'a Mount> {
        let is_on_it = move |mount: &&Mount| mount.device == inner.device;
        let on_it = self.0.iter().filter(is_on_it);
        on_it.filter(move |mount| mount.root.starts_with(&inner.path))
    }
}

/// A place in a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    device: String,
    path: PathBuf,
}

/// A mount that shows something by itself, so that it goes on showing the old one when a new one takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherMount {
    /// In our own mount namespace, at this path.
    Here(PathBuf),
    /// In the namespace of these processes, at this path there.
    Process(Vec<Holder>, PathBuf),
    /// As a layer of an overlay file system, or a part of one.
    Layer {
        /// The layer.
        layer: PathBuf,
        /// The place at which the overlay is mounted.
        point: PathBuf,
        /// The processes in whose namespace it is; none if it is in our own.
        holders: Vec<Holder>,
    },
}

/// The mounts of every namespace that can be seen from here.
///
/// Not promised: that processes are found whose numbers this process does not see (another PID namespace).
#[derive(Debug)]
pub struct Namespaces {
    ours: Mounts,
    others: Vec<(Vec<u32>, Mounts)>,
}

impl Namespaces {
    /// Reads them, each once.
    pub fn read() -> Result<Namespaces> {
        let ours = Mounts::ours()?;
        let here = namespace_of(std::process::id());
        let mut members: BTreeMap<PathBuf, Vec<u32>> = BTreeMap::new();
        for (pid, namespace) in processes()? {
            if Some(&namespace) != here.as_ref() {
                members.entry(namespace).or_default().push(pid);
            }
        }
        let others = members.into_values().filter_map(|pids| {
            // One that has ended shows nothing any more.
            let mut read = pids.iter().map(|pid| Mounts::of(&pid.to_string()));
            let mounts = read.find_map(Result::ok)?;
            Some((pids, mounts))
        });
        let others = others.collect();
        Ok(Namespaces { ours, others })
    }

    /// Returns the mounts of this process.
    pub fn ours(&self) -> &Mounts {
        &self.ours
    }

    /// Finds the other mounts that show what is at `path`, or something below it, by itself.
    pub fn elsewhere(&self, path: &Path) -> Vec<OtherMount> {
        let Some(inner) = self.ours.inner(path) else {
            return Vec::new();
        };
        let own = self.ours.showing(path).map(|mount| mount.id);
        let here = self
            .ours
            .showing_alone(&inner)
            .filter(|mount| Some(mount.id) != own && !mount.point.starts_with(path))
            .map(|mount| OtherMount::Here(mount.point.clone()));
        let there = self.others.iter().filter_map(|(pids, mounts)| {
            let mount = mounts.showing_alone(&inner).next()?;
            let holders = pids.iter().map(|pid| Holder::of(*pid)).collect();
            Some(OtherMount::Process(holders, mount.point.clone()))
        });
        here.chain(there).chain(self.overlays(path)).collect()
    }

    /// Finds the overlays of which `path`, or something in it, is a layer, and those that have it in one: our own
    /// first, else the first one of each other namespace.
    fn overlays(&self, path: &Path) -> Vec<OtherMount> {
        let found = |mounts: &Mounts, pids: &[u32]| {
            let (mount, layer) = mounts.0.iter().find_map(|mount| {
                let mut layers = mount.layers.iter();
                let layer = layers.find(|layer| is_around(layer, path))?;
                Some((mount, layer))
            })?;
            Some(OtherMount::Layer {
                layer: layer.clone(),
                point: mount.point.clone(),
                holders: pids.iter().map(|pid| Holder::of(*pid)).collect(),
            })
        };
        if let Some(ours) = found(&self.ours, &[]) {
            return vec![ours];
        }
        let others = self.others.iter();
        others
            .filter_map(|(pids, mounts)| found(mounts, pids))
            .collect()
    }
}

/// Returns true if one of two places lies in the other; every place is in `/`, which tells nothing.
fn is_around(layer: &Path, path: &Path) -> bool {
    let layer = match layer.canonicalize() {
        Ok(layer) if layer != Path::new("/") => layer,
        _ => return false,
    };
    layer.starts_with(path) || path.starts_with(&layer)
}

/// Lists the processes whose mount namespace we may see, by their numbers.
fn processes() -> Result<BTreeMap<u32, PathBuf>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc: is it mounted?")?;
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let known = numbers.filter_map(|pid| Some((pid, namespace_of(pid)?)));
    Ok(known.collect())
}

/// Returns the name of the mount namespace of a process, if we may see it.
pub fn namespace_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

/// Returns the number of the mount that shows `path`, from Linux 5.8 on; a link is not followed.
fn id_of(path: &Path) -> Option<u64> {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID).ok()?;
    let is_told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    is_told.then_some(found.stx_mnt_id)
}

/// The border of the mount that shows a folder.
#[derive(Debug)]
pub(super) enum Border {
    /// By the number of the mount.
    Mount(u64),
    /// Before Linux 5.8: by the device of the folder and the points of all other mounts.
    Table { device: u64, points: Vec<PathBuf> },
}

impl Border {
    /// Returns the border of the mount that shows `folder`, which holds `path`, an absolute path without links.
    ///
    /// Errors: the kernel does not tell what is mounted.
    pub(super) fn around(folder: BorrowedFd<'_>, path: &Path) -> io::Result<Border> {
        if let Ok(Some(id)) = id_in(folder, c"") {
            return Ok(Border::Mount(id));
        }
        let mounts = Mounts::of("self").map_err(|error| {
            let what = path.display();
            let message = format!(
                "cannot tell whether anything is mounted in {what}: cannot read /proc/self/mountinfo: {error}"
            );
            io::Error::new(error.kind(), message)
        })?;
        let points = mounts.0.into_iter().map(|mount| mount.point);
        Ok(Border::Table {
            device: fstat(folder)?.st_dev,
            points: points.filter(|point| point.starts_with(path)).collect(),
        })
    }

    /// Returns true if `name` in `folder`, or the folder itself for an empty name, is shown by another mount. `path` is
    /// its path. Nothing there is not another mount, but what the kernel does not tell is.
    pub(super) fn is_across(&self, folder: BorrowedFd<'_>, name: &CStr, path: &Path) -> bool {
        match self {
            Border::Mount(own) => match id_in(folder, name) {
                Ok(id) => id != Some(*own),
                Err(error) => error != Errno::NOENT,
            },
            Border::Table { device, points } => {
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
                match statat(folder, name, flags) {
                    Ok(found) => found.st_dev != *device || points.iter().any(|at| at == path),
                    Err(error) => error != Errno::NOENT,
                }
            }
        }
    }
}

/// Returns the number of the mount that shows `name` in `folder`, or the folder itself for an empty name, from Linux 5.8
/// on. Neither follows a link nor waits for a server.
fn id_in(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<u64>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW
        | AtFlags::EMPTY_PATH
        | AtFlags::NO_AUTOMOUNT
        | AtFlags::STATX_DONT_SYNC;
    match statx(folder, name, flags, StatxFlags::MNT_ID) {
        Ok(found) => {
            let is_told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
            Ok(is_told.then_some(found.stx_mnt_id))
        }
        Err(error) => Err(error),
    }
}

/// Returns true if something is mounted at `path`, an absolute path without links. Nothing there is not a mount.
pub fn is_mount_point(path: &Path) -> bool {
    let Some(folder) = path.parent() else {
        return true;
    };
    match (id_of(path), id_of(folder)) {
        (Some(there), Some(above)) => there != above,
        _ => Mounts::ours().is_ok_and(|mounts| mounts.is_point(path)),
    }
}

/// Returns the folder that holds the new content of `target` before it has its name: the one that it lies in, or the
/// target itself if something is mounted there.
pub fn anchor(target: &Path) -> PathBuf {
    match is_mount_point(target) && target.is_dir() {
        true => target.to_owned(),
        false => super::folder_of(target),
    }
}

/// Returns true if two paths are shown by one mount, as far as the kernel tells.
pub fn is_same_mount(one: &Path, other: &Path) -> bool {
    id_of(one).is_some_and(|id| id_of(other) == Some(id))
}

/// Returns true if `path`, or the folder that would hold it, lies on another mount than `/`. A folder of the root's file
/// system that is bound onto itself, as by a sandbox of systemd, counts as not mounted.
pub fn is_mounted(path: &Path) -> bool {
    let path = super::real(path);
    let root = Path::new("/");
    let there = path.ancestors().find(|ancestor| ancestor.exists());
    let Some(there) = there.filter(|there| !is_same_mount(there, root)) else {
        return false;
    };
    let Ok(mounts) = Mounts::ours() else {
        return true;
    };
    match (mounts.inner(there), mounts.inner(root)) {
        (Some(inner), Some(top)) => {
            let below = there.strip_prefix("/").unwrap_or(there);
            inner.device != top.device || inner.path != top.path.join(below)
        }
        _ => true,
    }
}

/// Reads a line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let id = text(fields.next()?).parse().ok()?;
    let device = text(fields.nth(1)?);
    let root = unescaped(fields.next()?);
    let point = unescaped(fields.next()?);
    let mut fields = fields.skip_while(|field| *field != b"-");
    let options = fields.nth(3).unwrap_or_default();
    let layers = layers(options);
    let options = text(options);
    Some(Mount {
        id,
        device,
        root,
        point,
        options,
        layers,
    })
}

/// The options of overlayfs that name folders, in the order of the kernel's documentation.
const LAYERS: [&[u8]; 5] = [
    b"lowerdir",
    b"lowerdir+",
    b"datadir+",
    b"upperdir",
    b"workdir",
];

/// Returns the folders that the options of an overlay name; a colon between them that belongs to a name has a
/// backslash. Relative paths are left out: it is not known what they are relative to.
fn layers(options: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for option in options.split(|byte| *byte == b',') {
        let mut parts = option.splitn(2, |byte| *byte == b'=');
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        if !LAYERS.contains(&key) {
            continue;
        }
        let value = unescaped(value).into_os_string().into_vec();
        let mut names = vec![Vec::new()];
        let mut bytes = value.into_iter();
        while let Some(byte) = bytes.next() {
            match (byte, names.last_mut()) {
                (b':', _) => names.push(Vec::new()),
                (b'\\', Some(name)) => name.extend(bytes.next()),
                (byte, Some(name)) => name.push(byte),
                (_, None) => {}
            }
        }
        let paths = names
            .into_iter()
            .map(|name| PathBuf::from(OsString::from_vec(name)));
        found.extend(paths.filter(|path| path.is_absolute()));
    }
    found
}

/// Reads a path of which spaces, tabs, newlines and backslashes are written as `\040`, say.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let number = rest
            .get(1..4)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number {
            Some(number) => {
                path.push(number);
                rest = &rest[4..];
            }
            None => {
                path.push(byte);
                rest = behind;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn lines_of_the_mount_table_are_understood() {
        let line =
            br"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).expect("a mount");
        assert_eq!((mount.id, mount.device.as_str()), (36, "98:0"));
        assert_eq!(mount.root, Path::new("/mnt1"));
        assert_eq!(mount.point, Path::new(r"/mnt 2\x"));
        assert_eq!(mount.options, "rw,errors=continue");
        for line in ["", "36", "x 35 98:0 / / rw - ext3 a b", "36 35 98:0 /"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(unescaped(br"\04\999a\"), Path::new(r"\04\999a\"));
    }

    #[test]
    fn the_layers_of_an_overlay_are_known() {
        let line = br"36 35 0:50 / /m rw - overlay overlay rw,lowerdir=/a\040b:/c\134:d::/data:l/XY,upperdir=/u,workdir=/w,index=off";
        let mount = parse(line).expect("a mount");
        let expected = ["/a b", "/c:d", "/data", "/u", "/w"].map(PathBuf::from);
        assert_eq!(mount.layers, expected);
        let line = br"36 35 0:50 / /m rw - overlay overlay rw,lowerdir+=/a,datadir+=/b";
        let mount = parse(line).expect("a mount");
        assert_eq!(mount.layers, ["/a", "/b"].map(PathBuf::from));
        assert!(!is_around(Path::new("/"), Path::new("/srv")));
    }

    #[test]
    fn the_border_of_an_older_kernel_goes_by_device_and_table() {
        let bench = tempfile::tempdir().expect("a folder");
        let path = bench.path().canonicalize().expect("real");
        fs::create_dir(path.join("in")).expect("made");
        let folder = fs::File::open(&path).expect("open");
        let device = fstat(&folder).expect("known").st_dev;
        let is_across = |device, points: &[&str], name: &CStr| {
            let points = points.iter().map(|point| path.join(point)).collect();
            let border = Border::Table { device, points };
            let at = path.join(name.to_str().expect("text"));
            border.is_across(folder.as_fd(), name, &at)
        };
        assert!(!is_across(device, &[], c"in") && !is_across(device, &["other"], c"in"));
        assert!(is_across(device, &["in"], c"in"), "a bind mount");
        assert!(is_across(device + 1, &[], c"in"), "another file system");
        assert!(!is_across(device, &[], c"gone"));
        let now = Border::around(folder.as_fd(), &path.join("in")).expect("told");
        assert!(!now.is_across(folder.as_fd(), c"in", &path.join("in")));
        let proc = fs::File::open("/proc").expect("open");
        assert!(now.is_across(proc.as_fd(), c"", Path::new("/proc")));
    }

    #[test]
    fn the_root_is_a_mount_and_a_fresh_folder_is_none() {
        let ours = Mounts::ours().expect("/proc");
        assert!(ours.is_point(Path::new("/")));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("real");
        assert!(!ours.is_point(&path));
        assert_eq!(ours.below(&path), Vec::<&Path>::new());
        let all = Namespaces::read().expect("/proc");
        assert_eq!(all.elsewhere(&path), vec![]);
        assert!(!is_mount_point(&path) && is_mount_point(Path::new("/")));
        assert_eq!(anchor(&path), folder.path().parent().expect("a folder"));
    }
}
