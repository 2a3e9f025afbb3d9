//! The lines of a listing: the records of a directory of many files, each in a line of its own and in their order
//! (docs/format.md, "Listings").

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use super::{
    ListedDirectory, ManifestFault,
    fields::Fields,
    file_json::{FILE_KEYS, Texts, WrittenFile, entry_name, read_file},
    json,
    ordinary::read_ordinary,
    record::{ListedNode, ListingLine},
    record_json::{folder_to_json, link_to_json, read_folder, read_hex, read_link},
};
use crate::model::{
    entry_name::{EntryName, printable},
    limits::{MAX_FAULTS, MAX_LINE_BYTES},
    relative::{RelativeName, by_component, shown},
};

/// The kinds in the lines of what is not a file.
const FOLDER: &str = "folder";
const LINK: &str = "link";

/// The known keys in a line.
const LINE_KEYS: &[&str] = &{
    let mut keys = [""; FILE_KEYS.len() + 1];
    let mut at = 0;
    while at < FILE_KEYS.len() {
        keys[at] = FILE_KEYS[at];
        at += 1;
    }
    keys[FILE_KEYS.len()] = "target_hex";
    keys
};

impl ListingLine {
    /// Appends the line of the directory called `directory` to `text`, with the line feed.
    pub fn write(&self, directory: &EntryName, text: &mut Vec<u8>) {
        let written = Written(self, directory);
        serde_json::to_writer(&mut *text, &written)
            .expect("keys are strings, and numbers are integers");
        text.push(b'\n');
    }

    /// Returns the words for what the line is of.
    fn what(&self) -> &'static str {
        match self.node {
            ListedNode::File(_) => "a file",
            ListedNode::Folder(_) => "a folder",
            ListedNode::Link(_) => "a link",
        }
    }
}

/// A line to be written.
struct Written<'a>(&'a ListingLine, &'a EntryName);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Written(line, directory) = self;
        let (kind, record) = match &line.node {
            ListedNode::File(record) => return WrittenFile(record).serialize(serializer),
            ListedNode::Folder(record) => (FOLDER, folder_to_json(record)),
            ListedNode::Link(record) => (LINK, link_to_json(record)),
        };
        let (path, is_escaped) = line.name.entry(directory);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("path", path.as_str())?;
        map.serialize_entry("kind", kind)?;
        if is_escaped {
            map.serialize_entry("name", &hex::encode(line.name.as_bytes()))?;
        }
        for (key, value) in &record {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A reader of single lines of one listing.
#[derive(Debug)]
pub struct LineReader {
    directory: EntryName,
    texts: Texts,
}

impl LineReader {
    /// Creates a reader for the listing of the directory called `directory`.
    pub fn new(directory: EntryName) -> LineReader {
        LineReader {
            directory,
            texts: Texts::default(),
        }
    }

    /// Returns the name of the directory.
    pub fn directory(&self) -> &EntryName {
        &self.directory
    }

    /// Reads a line, without its line feed; `number` counts from 1 and stands in messages.
    pub fn read(&mut self, text: &[u8], number: u64) -> Result<ListingLine, Vec<ManifestFault>> {
        if let Some((name, record)) = read_ordinary(text, &self.directory, &mut self.texts) {
            let node = ListedNode::File(record);
            return Ok(ListingLine { name, node });
        }
        self.read_any(text, number)
    }

    /// Reads a line of any form.
    fn read_any(&mut self, text: &[u8], number: u64) -> Result<ListingLine, Vec<ManifestFault>> {
        let mut faults = Vec::new();
        match self.read_into(text, number, &mut faults) {
            Some(line) if faults.is_empty() => Ok(line),
            _ => Err(faults),
        }
    }

    fn read_into(
        &mut self,
        text: &[u8],
        number: u64,
        faults: &mut Vec<ManifestFault>,
    ) -> Option<ListingLine> {
        let directory = self.directory.clone();
        let at = || {
            format!(
                "listing of {}: line {number} ",
                printable(directory.as_str())
            )
        };
        let record = match json::parse_record(text, LINE_KEYS) {
            Ok(Some(record)) => record,
            Ok(None) => {
                faults.push(ManifestFault::Malformed(format!(
                    "{}is not an object",
                    at()
                )));
                return None;
            }
            Err(error) => {
                let fault = format!("{}is not JSON: {error}", at());
                faults.push(ManifestFault::Malformed(fault));
                return None;
            }
        };
        let of = || {
            format!(
                "listing of {}: line {number}: ",
                printable(directory.as_str())
            )
        };
        let mut fields = Fields {
            object: &record,
            of: &of,
            faults,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let is_file = fields.optional("checksum", |_| Some(()), "").is_some();
        let kind = fields.optional("kind", text, "a string");
        if is_file || !matches!(kind.as_deref(), Some(FOLDER | LINK)) {
            let record = read_file(&mut fields, None, &mut self.texts)?;
            let name = self.relative(&record.path, record.name.as_deref());
            let name = name.map_err(|fault| fields.fault(fault)).ok()?;
            let node = ListedNode::File(Box::new(record));
            return Some(ListingLine { name, node });
        }
        let path = fields.required("path", text, "a string")?;
        let path = entry_name(&path).map_err(|fault| {
            let fault = format!("its path {} {fault}", printable(&path));
            fields.fault(fault);
        });
        let escaped = fields.optional("name", read_hex, "a string of hex");
        let name = self.relative(&path.ok()?, escaped.as_deref());
        let name = name.map_err(|fault| fields.fault(fault)).ok()?;
        let node = match kind.as_deref() {
            Some(FOLDER) => ListedNode::Folder(read_folder(&mut fields)),
            _ => ListedNode::Link(read_link(&mut fields)?),
        };
        Some(ListingLine { name, node })
    }

    /// Returns the path below the directory of the entry at `path`.
    fn relative(&self, path: &EntryName, name: Option<&[u8]>) -> Result<RelativeName, String> {
        let below = path.as_str().strip_prefix(self.directory.as_str());
        let key = below.and_then(|rest| rest.strip_prefix('/'));
        let Some(key) = key else {
            return Err(format!("its path {path} lies outside the directory"));
        };
        RelativeName::of_key(key, name, &self.directory)
            .map_err(|fault| format!("its path {path} {fault}"))
    }
}

/// The check of a listing while its lines stream: each is well-formed and in order, and together they are what the
/// manifest promises. It holds the paths of the folders above the last line, and no table.
#[derive(Debug)]
pub struct ListingCheck {
    reader: LineReader,
    promised: ListedDirectory,
    /// The path of the last line.
    last: Vec<u8>,
    last_what: &'static str,
    /// The last file or link.
    leaf: Vec<u8>,
    leaf_what: &'static str,
    /// The path of the folder that was entered last; what follows lies in it or in one of those above it.
    entered: Vec<u8>,
    number: u64,
    found: ListedDirectory,
}

impl ListingCheck {
    /// Creates the check of the listing of the directory called `name`, of which the manifest says `promised`.
    pub fn new(name: EntryName, promised: ListedDirectory) -> ListingCheck {
        ListingCheck {
            reader: LineReader::new(name),
            found: promised.uncounted(),
            promised,
            last: Vec::new(),
            last_what: "",
            leaf: Vec::new(),
            leaf_what: "",
            entered: Vec::new(),
            number: 0,
        }
    }

    /// Reads and checks the next line, without its line feed.
    pub fn line(&mut self, text: &[u8]) -> Result<ListingLine, Vec<ManifestFault>> {
        self.number += 1;
        if text.len() >= MAX_LINE_BYTES {
            return Err(vec![self.too_long()]);
        }
        let line = self.reader.read(text, self.number)?;
        self.count(&line)?;
        let path = line.name.as_bytes();
        self.follows(&line)?;
        self.last.clear();
        self.last.extend_from_slice(path);
        self.last_what = line.what();
        match line.node {
            ListedNode::Folder(_) => {
                self.entered.clear();
                self.entered.extend_from_slice(path);
            }
            _ => {
                self.leaf.clear();
                self.leaf.extend_from_slice(path);
                self.leaf_what = line.what();
            }
        }
        Ok(line)
    }

    /// Returns the fault of a line that has more bytes than any line may have.
    pub fn too_long(&self) -> ManifestFault {
        self.fault(format!(
            "line {} is longer than {MAX_LINE_BYTES} bytes",
            self.number.max(1)
        ))
    }

    /// Returns true if the listing has more than the manifest promises.
    pub fn is_over(&self) -> bool {
        let (promised, found) = (&self.promised, &self.found);
        found.files > promised.files
            || found.folders > promised.folders
            || found.links > promised.links
            || found.bytes > promised.bytes
    }

    /// Returns the faults that are known only at the end.
    pub fn finish(&self) -> Vec<ManifestFault> {
        let (promised, found) = (&self.promised, &self.found);
        let counts = [
            ("files", found.files, promised.files),
            ("folders", found.folders, promised.folders),
            ("links", found.links, promised.links),
            ("bytes", found.bytes, promised.bytes),
            ("torn files", found.torn, promised.torn),
            (
                "torn databases",
                found.torn_databases,
                promised.torn_databases,
            ),
        ];
        let other = counts.into_iter().filter(|(_, found, said)| found != said);
        let other = other.map(|(what, found, said)| {
            self.fault(format!("it has {found} {what}, the manifest says {said}"))
        });
        other.collect()
    }

    /// Counts a line; refuses more than the manifest promises at once.
    fn count(&mut self, line: &ListingLine) -> Result<(), Vec<ManifestFault>> {
        self.found.count(line);
        let (promised, found) = (&self.promised, &self.found);
        let (count, most, what) = match &line.node {
            ListedNode::File(_) => (found.files, promised.files, "files"),
            ListedNode::Folder(_) => (found.folders, promised.folders, "folders"),
            ListedNode::Link(_) => (found.links, promised.links, "links"),
        };
        let fault = match count > most {
            true => format!("it has more than the {most} {what} that the manifest says"),
            false if found.bytes > promised.bytes => format!(
                "its files have more than the {} bytes that the manifest says",
                promised.bytes
            ),
            false => return Ok(()),
        };
        Err(vec![self.fault(fault)])
    }

    /// Refuses a line that does not come after the last one, or lies in no folder that came before.
    fn follows(&mut self, line: &ListingLine) -> Result<(), Vec<ManifestFault>> {
        let path = line.name.as_bytes();
        let name = self.reader.directory();
        let fault = match by_component(&self.last, path) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(format!(
                "{name}: {} is {} and {}",
                shown(path),
                self.last_what,
                line.what()
            )),
            std::cmp::Ordering::Greater => Some(format!(
                "{name}: {} comes after {}: the lines are not in order",
                shown(path),
                shown(&self.last)
            )),
        };
        if let Some(fault) = fault {
            return Err(vec![ManifestFault::Malformed(fault)]);
        }
        let above = path.iter().rposition(|byte| *byte == b'/');
        let above = &path[..above.unwrap_or(0)];
        if !self.leaf.is_empty() && is_below(path, &self.leaf) {
            return Err(vec![ManifestFault::Malformed(format!(
                "{name}: {} lies below {}, which is {}",
                shown(path),
                shown(&self.leaf),
                self.leaf_what
            ))]);
        }
        // In this order a folder that was listed, and that the path lies in, is the entered one or above it.
        if above.is_empty() || above == self.entered || is_below(&self.entered, above) {
            self.entered.truncate(above.len());
            return Ok(());
        }
        Err(vec![ManifestFault::Malformed(format!(
            "{name}: {} lies in {}, which has no line before it",
            shown(path),
            shown(above)
        ))])
    }

    fn fault(&self, fault: String) -> ManifestFault {
        let name = printable(self.reader.directory().as_str());
        ManifestFault::Malformed(format!("listing of {name}: {fault}"))
    }
}

/// Returns true if `path` lies below `folder`.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// The most faults of one listing that are named: then it is not read further.
pub const MAX_LISTING_FAULTS: usize = MAX_FAULTS;

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
