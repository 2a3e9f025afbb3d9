//! The extension records before a header: those of pax (IEEE Std 1003.1, pax) and the long names of GNU.

use std::{collections::BTreeMap, io};

use tar::{EntryType, Header};

use crate::archive::Fault;

/// A header with the extension records before it.
pub struct Extended {
    /// The header itself.
    pub header: Header,
    /// The kind that it states.
    pub kind: EntryType,
    /// The size that the header itself states.
    pub stated: u64,
    /// The records before it.
    pub extensions: Extensions,
}

impl Extended {
    /// Returns the path as it stands in the tar.
    pub fn path(&self) -> Vec<u8> {
        let path = self.extensions.path.clone();
        path.unwrap_or_else(|| self.header.path_bytes().into_owned())
    }
}

/// The values of extension records that replace those of a header.
#[derive(Default)]
pub struct Extensions {
    /// The path.
    pub path: Option<Vec<u8>>,
    /// The target of a link.
    pub link: Option<Vec<u8>>,
    /// The bytes of content.
    pub size: Option<u64>,
    /// True if the holes of the file are not stored.
    pub sparse: bool,
    /// The other records of pax, by key.
    pub others: BTreeMap<String, Vec<u8>>,
    any: bool,
}

impl Extensions {
    pub(super) fn is_empty(&self) -> bool {
        !self.any && self.path.is_none()
    }

    pub(super) fn add_pax(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.any = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let record = first_record(rest);
            let (key, value, length) =
                record.ok_or_else(|| tar_fault("a pax record is malformed"))?;
            rest = &rest[length..];
            match std::str::from_utf8(key) {
                Ok("path") => self.path = Some(value.to_vec()),
                Ok("linkpath") => self.link = Some(value.to_vec()),
                Ok("size") => {
                    let size = std::str::from_utf8(value).ok();
                    let size = size.and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(|| tar_fault("a pax record states no size"))?);
                }
                Ok(key) if key.starts_with("GNU.sparse.") => self.sparse = true,
                Ok(key) => {
                    self.others.insert(key.to_owned(), value.to_vec());
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Returns key and value of the first record, `LENGTH KEY=VALUE\n`, and its length. A value may have line feeds, as those
/// of extended attributes do: the parser of the `tar` crate refuses them.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], length))
}

/// Returns a GNU long name without its final NUL.
pub(super) fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// Returns the error of a tar that is malformed.
pub(super) fn tar_fault(reason: &str) -> io::Error {
    Fault::Tar(reason.to_owned()).into()
}
