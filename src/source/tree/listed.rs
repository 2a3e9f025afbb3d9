//! A directory of many files that was read: the lines of its listing and where the content of each file is, in a file
//! without a name, so that the memory for them does not grow with their number.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use super::{
    content::{Reopened, Spooled},
    found::Place,
    opened::OpenDirectory,
    seen::Seen,
};
use crate::{
    archive::ahead::FileContent,
    error::{Failure, Kind},
    model::{
        digest::{Digest, Hashing},
        entry_name::EntryName,
        limits::{BUFFER_BYTES, MAX_LINK_LINES_BYTES},
        manifest::{
            FileRecord, LISTING_KIND, LineReader, ListedDirectory, ListedNode, ListingLine,
            MAX_LISTED_NAME_BYTES,
        },
        tree::FolderRecord,
    },
    source::staged::StagedContent,
    work::range::FileRange,
};

/// The kinds of content in the spool.
const NOTHING: u8 = 0;
const REOPENED: u8 = 1;
const SPOOLED: u8 = 2;
const KEPT: u8 = 3;
/// The bytes before each line: its length, and the kind of content.
const HEAD_BYTES: usize = 5;
/// The bytes that tell the place of a content: a number, and what was seen of the file.
const CONTENT_BYTES: usize = 8 + Seen::BYTES;

/// The lines of a directory while they are stored, in the order of a listing.
pub struct ListingSpool {
    name: EntryName,
    scratch: PathBuf,
    out: BufWriter<File>,
    hashing: Hashing<io::Sink>,
    directory: ListedDirectory,
    link_bytes: u64,
}

/// The part of a line that is stored beside its text.
#[derive(Debug, Clone, Copy)]
pub enum StoredLine {
    /// It is of a folder.
    Folder,
    /// It is of a link.
    Link,
    /// It is of a file.
    File {
        /// The bytes of its content.
        size: u64,
        /// The file when it was read.
        seen: Seen,
        /// The place of its content.
        place: Place,
        /// True if its record says that it is torn.
        is_torn: bool,
        /// True if it is a torn database.
        is_torn_database: bool,
    },
}

impl ListingSpool {
    /// Creates an empty one in the folder `scratch`, for the directory called `name` with the top folder `root`.
    pub fn create(name: &EntryName, root: FolderRecord, scratch: &Path) -> Result<ListingSpool> {
        let file = tempfile::tempfile_in(scratch)
            .with_context(|| format!("cannot make a temporary file in {}", scratch.display()))?;
        let directory = ListedDirectory::new(name, root);
        let directory = directory.ok_or_else(|| {
            let message =
                format!("the name of the source {name} is too long for a directory of many files");
            let hint = format!("give it a name of at most {MAX_LISTED_NAME_BYTES} bytes");
            Failure::new(Kind::Usage, message).hint(hint)
        })?;
        Ok(ListingSpool {
            name: name.clone(),
            scratch: scratch.to_owned(),
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            hashing: Hashing::new(io::sink()),
            directory,
            link_bytes: 0,
        })
    }

    /// Stores a line, with its text and the line feed.
    pub fn push(&mut self, line: StoredLine, text: &[u8]) -> Result<()> {
        self.hashing.write_all(text)?;
        let mut place = [0; CONTENT_BYTES];
        let directory = &mut self.directory;
        let kind = match line {
            StoredLine::Folder => {
                directory.folders += 1;
                NOTHING
            }
            StoredLine::Link => {
                directory.links += 1;
                self.link_bytes += text.len() as u64;
                if self.link_bytes > MAX_LINK_LINES_BYTES {
                    return Err(too_many_links(&self.name).into());
                }
                NOTHING
            }
            StoredLine::File {
                size,
                seen,
                place: at,
                is_torn,
                is_torn_database,
            } => {
                directory.files += 1;
                directory.bytes = directory.bytes.saturating_add(size);
                directory.torn += u64::from(is_torn);
                directory.torn_databases += u64::from(is_torn_database);
                let (kind, number) = match at {
                    Place::Reopened => (REOPENED, 0),
                    Place::Spooled(start) => (SPOOLED, start),
                    Place::Kept(number) => (KEPT, number),
                };
                place[..8].copy_from_slice(&number.to_le_bytes());
                seen.store(&mut place[8..]);
                kind
            }
        };
        let length = u32::try_from(text.len()).context("a line of a listing is too long")?;
        let mut store = || -> io::Result<()> {
            self.out.write_all(&length.to_le_bytes())?;
            self.out.write_all(&[kind])?;
            if kind != NOTHING {
                self.out.write_all(&place)?;
            }
            self.out.write_all(text)
        };
        store().with_context(|| self.writing())
    }

    fn writing(&self) -> String {
        let scratch = self.scratch.display();
        format!("cannot keep the records of a directory in a temporary file in {scratch}")
    }

    /// Returns the directory, of which all lines are stored. Its files lie in `origin`, their copies in `copies`;
    /// `kept` are copies that are files of their own.
    pub fn finish(
        self,
        origin: Arc<OpenDirectory>,
        kept: Vec<Option<StagedContent>>,
        copies: Arc<File>,
    ) -> Result<StagedListing> {
        let writing = self.writing();
        let file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        let file = file.context(writing)?;
        let (checksum, size) = self.hashing.finish();
        Ok(StagedListing {
            name: self.name,
            directory: self.directory,
            checksum,
            size,
            file: Arc::new(file),
            kept: kept.into_iter().map(|kept| kept.map(Arc::new)).collect(),
            copies,
            origin,
        })
    }
}

/// Returns the failure of a directory with more symbolic links than readers hold in memory.
fn too_many_links(name: &EntryName) -> Failure {
    let most = MAX_LINK_LINES_BYTES >> 20;
    let message = format!("the symbolic links of {name} need more than {most} MiB in the archive");
    Failure::new(Kind::Usage, message)
        .hint("nothing was written: exclude folders of links that can be made again")
}

/// A directory of many files that is ready for the archive.
pub struct StagedListing {
    name: EntryName,
    directory: ListedDirectory,
    checksum: Digest,
    size: u64,
    file: Arc<File>,
    kept: Vec<Option<Arc<StagedContent>>>,
    copies: Arc<File>,
    origin: Arc<OpenDirectory>,
}

impl StagedListing {
    /// Returns what the manifest says of the directory.
    pub fn directory(&self) -> &ListedDirectory {
        &self.directory
    }

    /// Returns the listing's record in the manifest of an archive that is made at `created_at`.
    pub fn record(&self, created_at: i64) -> FileRecord {
        let mut record = FileRecord::new(self.directory.listing.clone(), self.checksum, self.size);
        record.kind = Some(LISTING_KIND.into());
        record.mode = Some(0o600);
        record.mtime = Some(created_at);
        record
    }

    /// Returns the text of the listing.
    pub fn text(&self) -> impl Read + use<> {
        ListingText {
            items: Items::new(self.file.clone()),
            line: Vec::new(),
            given: 0,
        }
    }

    /// Returns the lines of the listing.
    pub fn lines(&self) -> impl Iterator<Item = Result<ListingLine>> + use<> {
        let mut items = Items::new(self.file.clone());
        let mut reader = LineReader::new(self.name.clone());
        let mut line = Vec::new();
        std::iter::from_fn(move || {
            let item = items.next(&mut line).transpose()?;
            Some(item.and_then(|_| read_line(&mut reader, &line)))
        })
    }

    /// Returns its files with their contents, in the order of the listing.
    pub fn files(&self) -> impl Iterator<Item = Result<(FileRecord, ListedContent)>> + '_ {
        let mut items = Items::new(self.file.clone());
        let mut reader = LineReader::new(self.name.clone());
        let mut line = Vec::new();
        std::iter::from_fn(move || {
            loop {
                let item = match items.next(&mut line).transpose()? {
                    Ok(Item { kind: NOTHING, .. }) => continue,
                    Ok(item) => item,
                    Err(error) => return Some(Err(error)),
                };
                return Some(self.file(&mut reader, &line, &item));
            }
        })
    }

    fn file(
        &self,
        reader: &mut LineReader,
        line: &[u8],
        item: &Item,
    ) -> Result<(FileRecord, ListedContent)> {
        let ListingLine {
            name,
            node: ListedNode::File(record),
        } = read_line(reader, line)?
        else {
            return Err(changed());
        };
        let content = match item.kind {
            REOPENED => {
                let (seen, digest) = (item.seen, record.checksum);
                ListedContent::Reopened(Reopened::seen_as(&self.origin, name, seen, digest))
            }
            SPOOLED => {
                let (start, size) = (item.number, record.size);
                ListedContent::Spooled(Spooled::at(&self.copies, start, size, item.seen))
            }
            _ => {
                let kept = usize::try_from(item.number).ok();
                let kept = kept.and_then(|number| self.kept.get(number)?.clone());
                ListedContent::Kept(kept.ok_or_else(changed)?)
            }
        };
        Ok((*record, content))
    }
}

/// Reads the text of a line, with or without its line feed.
pub fn read_line(reader: &mut LineReader, line: &[u8]) -> Result<ListingLine> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    reader.read(text, 0).map_err(|_| changed())
}

fn changed() -> anyhow::Error {
    anyhow::anyhow!("the records of a directory in the temporary folder have changed")
}

/// The content of a file of a listed directory.
pub enum ListedContent {
    /// In the file itself, which is opened again.
    Reopened(Reopened),
    /// In the copies of files that a process may be writing.
    Spooled(Spooled),
    /// In a file of its own.
    Kept(Arc<StagedContent>),
}

impl FileContent for ListedContent {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            ListedContent::Reopened(content) => Ok(Box::new(content.open()?)),
            ListedContent::Spooled(content) => Ok(Box::new(content.open())),
            ListedContent::Kept(content) => content.open(),
        }
    }

    fn append(&self, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
        if let ListedContent::Reopened(content) = self
            && content.append(size, bytes)
        {
            return Ok(());
        }
        self.open()?.read_to_end(bytes)?;
        Ok(())
    }
}

/// The items of a spool, one by one.
struct Items(BufReader<FileRange>);

/// The part before a line.
struct Item {
    kind: u8,
    number: u64,
    seen: Seen,
}

impl Items {
    fn new(file: Arc<File>) -> Items {
        let all = FileRange::new(file, 0, u64::MAX);
        Items(BufReader::with_capacity(BUFFER_BYTES, all))
    }

    /// Reads the next item, and its line with the line feed into `line`; `None` at the end.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<Option<Item>> {
        let reading = "cannot read the records of a directory in the temporary folder";
        if self.0.fill_buf().context(reading)?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        self.0.read_exact(&mut head).context(reading)?;
        let [a, b, c, d, kind] = head;
        let mut place = [0; CONTENT_BYTES];
        if kind != NOTHING {
            self.0.read_exact(&mut place).context(reading)?;
        }
        line.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        self.0.read_exact(line).context(reading)?;
        let (number, seen) = place.split_at(8);
        Ok(Some(Item {
            kind,
            number: u64::from_le_bytes(number.try_into()?),
            seen: Seen::load(seen),
        }))
    }
}

/// The text of a listing out of the spool.
struct ListingText {
    items: Items,
    line: Vec<u8>,
    given: usize,
}

impl Read for ListingText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            if self.given == self.line.len() {
                let next = self.items.next(&mut self.line);
                if next.map_err(io::Error::other)?.is_none() {
                    self.line.clear();
                    self.given = 0;
                    break;
                }
                self.given = 0;
            }
            let left = &self.line[self.given..];
            let taken = left.len().min(buffer.len() - count);
            buffer[count..count + taken].copy_from_slice(&left[..taken]);
            count += taken;
            self.given += taken;
        }
        Ok(count)
    }
}
