//! A mount, as a line of the table of mounts tells it (proc_pid_mountinfo(5)).

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

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
    pub(in crate::disk) options: String,
    /// The folders that an overlay file system shows as one, as it was told.
    pub(super) layers: Vec<PathBuf>,
}

/// Reads a line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
pub(super) fn parse(line: &[u8]) -> Option<Mount> {
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
    use std::path::Path;

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
    }
}
