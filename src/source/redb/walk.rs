//! A snapshot of a database that a service is writing to: its pages are copied along their checksums.
//!
//! A commit slot carries its own checksum and names the roots of two trees with theirs; every page names its children
//! with theirs; and no page of a commit is written again while the commit is the current one. So when every page of the
//! copy hashes to what its parent says, up to a slot that is whole, the copy is exactly that one commit
//! (docs/snapshots.md has the argument). A page that does not match was already used again: the round goes on, since
//! what it has copied need not be read again, and the next one begins at the new root.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use twox_hash::XxHash3_128;

use super::{
    header::{HEADER_BYTES, Header, SUPPORTED_FORMAT},
    pages::{self, Geometry, Root, Tree},
};

/// The deepest tree; no real one comes close (redb 4.4, `MAX_BTREE_DEPTH`).
const MAX_DEPTH: usize = 128;
/// How often a header is read until two readings agree.
const HEADER_READINGS: usize = 1000;
/// How often missing pages are looked for again while the header stays as it is: a commit may be on its way to the file.
const FLUSH_WAITS: usize = 20;
const FLUSH_WAIT: Duration = Duration::from_micros(100);
/// A level of more pages than this is read in the order of the file.
const SORT_FROM: usize = 64;

/// Something that bytes can be read from at any place.
pub trait ReadAt {
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// How long it is now.
    fn length(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// How long a walk may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In time; at least [`Budget::rounds`] are made whatever they take.
    pub time: Duration,
    /// In rounds.
    pub rounds: u64,
}

/// What a walk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Walked {
    /// The commit that the copy holds.
    pub transaction_id: u64,
    /// Rounds that it took.
    pub rounds: u64,
    /// Pages of the commit.
    pub live_pages: u64,
    /// Bytes that were read from the source.
    pub bytes_read: u64,
    /// Pages that did not match, over all rounds.
    pub mismatches: u64,
}

/// Why there is no copy.
#[derive(Debug)]
pub enum Gave {
    /// The budget was used up; the last round missed so many pages.
    Up(Walked, u64),
    /// It is not, or not any more, a database that can be walked.
    Out(String),
}

/// Copies one commit of the database in `source` to `copy`, an empty file. `pause` is called between rounds with their
/// number, and may end the walk with an error.
pub fn walk(
    source: &dyn ReadAt,
    copy: &File,
    budget: Budget,
    pause: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Result<Walked, Gave>> {
    let begun = Instant::now();
    let Some(header) = stable_header(source)? else {
        return Ok(Err(Gave::Out("it is not a redb database".into())));
    };
    if u64::from(header.geometry.page_size) != Geometry::PAGE_BYTES {
        return Ok(Err(Gave::Out(format!(
            "it has pages of {} bytes",
            header.geometry.page_size
        ))));
    }
    let mut walker = Walker {
        source,
        copy,
        header,
        known: HashMap::new(),
        walked: Walked::default(),
        missed: 0,
    };
    let mut length = 0;
    loop {
        let Some(header) = stable_header(source)? else {
            return Ok(Err(Gave::Out("it is not a redb database any more".into())));
        };
        if header.format != SUPPORTED_FORMAT || header.geometry != walker.header.geometry {
            return Ok(Err(Gave::Out(
                "it became another file while it was read".into(),
            )));
        }
        walker.header = header;
        length = source.length()?.max(length);
        copy.set_len(length)
            .context("cannot make room for the copy")?;
        walker.walked.rounds += 1;
        if walker.round()? {
            copy.write_all_at(&header.sealed(header.primary), 0)
                .context("cannot write the copy")?;
            walker.walked.transaction_id = header.transaction_id;
            return Ok(Ok(walker.walked));
        }
        if begun.elapsed() > budget.time && walker.walked.rounds >= budget.rounds {
            return Ok(Err(Gave::Up(walker.walked, walker.missed)));
        }
        pause(walker.walked.rounds)?;
    }
}

/// Reads the header until two readings agree: a single one may be torn.
fn stable_header(source: &dyn ReadAt) -> Result<Option<Header>> {
    let mut before = [0; HEADER_BYTES];
    if source.length()? < HEADER_BYTES as u64 {
        return Ok(None);
    }
    for reading in 0..HEADER_READINGS {
        let mut bytes = [0; HEADER_BYTES];
        source
            .read_exact_at(&mut bytes, 0)
            .context("cannot read the header")?;
        if reading > 0 && bytes == before {
            return Ok(Header::parse(&bytes));
        }
        before = bytes;
    }
    Ok(None)
}

/// What is known of a page that was copied: half of its checksum, and whether everything below it was copied too. What
/// is known saves reading; what the copy holds is proven in the end, whole checksums and all.
#[derive(Clone, Copy)]
struct Known(u64);

impl Known {
    fn of(checksum: u128, whole: bool) -> Known {
        Known((checksum as u64) << 1 | u64::from(whole))
    }

    fn is(self, checksum: u128) -> bool {
        self.0 >> 1 == (checksum as u64) << 1 >> 1
    }

    fn is_whole(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A page on the way down. Plain halves of the checksum keep it small.
struct Node {
    page: u64,
    checksum: [u64; 2],
    parent: u32,
    tree: u32,
    found: bool,
}

impl Node {
    fn root(&self) -> Root {
        Root {
            page: self.page,
            checksum: u128::from(self.checksum[1]) << 64 | u128::from(self.checksum[0]),
        }
    }
}

const NO_PARENT: u32 = u32::MAX;

struct Walker<'a> {
    source: &'a dyn ReadAt,
    copy: &'a File,
    header: Header,
    known: HashMap<u64, Known>,
    walked: Walked,
    missed: u64,
}

/// Whether pages that are known to be whole are taken for granted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Known,
    Nothing,
}

impl Walker<'_> {
    /// One round: down from the primary slot, and once more over the copy, trusting nothing, when nothing was missed.
    fn round(&mut self) -> Result<bool> {
        let mut complete = self.descend(Trust::Known)?;
        // The header may be in the file before the pages that it names: a look again is cheap.
        for _ in 0..FLUSH_WAITS {
            if complete {
                break;
            }
            match stable_header(self.source)? {
                Some(now) if now.names_the_same(&self.header) => {}
                _ => return Ok(false),
            }
            std::thread::sleep(FLUSH_WAIT);
            complete = self.descend(Trust::Known)?;
        }
        Ok(complete && self.descend(Trust::Nothing)?)
    }

    /// Level by level: the few upper pages, which change most, are caught at once; the many leaves follow in the order
    /// of the file.
    fn descend(&mut self, trust: Trust) -> Result<bool> {
        let slot = *self.header.slot(self.header.primary);
        if !slot.is_whole {
            self.missed = 1;
            return Ok(false);
        }
        let most = self.source.length()? / Geometry::PAGE_BYTES;
        let mut trees: Vec<Tree> = vec![Tree::SystemTables, Tree::Tables];
        let mut nodes: Vec<Node> = Vec::new();
        let tops = [(slot.system, 0), (slot.user, 1)];
        nodes.extend(
            tops.into_iter()
                .filter_map(|(root, tree)| Some(node(root?, NO_PARENT, tree))),
        );
        let (mut low, mut depth) = (0, 0);
        self.missed = 0;
        while low < nodes.len() {
            if depth > MAX_DEPTH || nodes.len() as u64 > most {
                self.missed += 1;
                return Ok(false);
            }
            let high = nodes.len();
            if high - low > SORT_FROM {
                let geometry = self.header.geometry;
                nodes[low..high].sort_unstable_by_key(|node| geometry.locate(node.page));
            }
            for number in low..high {
                let root = nodes[number].root();
                let tree = trees[nodes[number].tree as usize];
                let known = self
                    .known
                    .get(&root.page)
                    .filter(|known| known.is(root.checksum));
                if trust == Trust::Known && known.is_some_and(|known| known.is_whole()) {
                    continue;
                }
                let below = self
                    .page(root, tree, known.is_some())?
                    .and_then(|page| pages::children(&page, tree));
                let Some(below) = below else {
                    nodes[number].found = false;
                    self.missed += 1;
                    continue;
                };
                for (child, tree) in below {
                    nodes.push(node(child, number as u32, tree_number(&mut trees, tree)));
                }
            }
            low = high;
            depth += 1;
        }
        self.walked.mismatches += self.missed;
        self.walked.live_pages = nodes.len() as u64;
        Ok(self.remember(&mut nodes))
    }

    /// Passes what was not found up to the root, and remembers what is whole.
    fn remember(&mut self, nodes: &mut [Node]) -> bool {
        let mut all = true;
        for number in (0..nodes.len()).rev() {
            let (root, parent) = (nodes[number].root(), nodes[number].parent);
            if nodes[number].found {
                self.known.insert(root.page, Known::of(root.checksum, true));
            } else {
                all = false;
                if parent != NO_PARENT {
                    nodes[parent as usize].found = false;
                }
            }
        }
        all
    }

    /// The content of a page, proven, and in the copy; `None` where it is not to be had.
    fn page(&mut self, root: Root, tree: Tree, is_known: bool) -> Result<Option<Vec<u8>>> {
        let Some((offset, length)) = self.header.geometry.locate(root.page) else {
            return Ok(None);
        };
        // A page behind the end is one that was cut off, or never was.
        let Some(end) = offset
            .checked_add(length)
            .filter(|end| u64::try_from(usize::MAX).is_ok_and(|most| *end <= most))
        else {
            return Ok(None);
        };
        if is_known && end <= self.copy.length()? {
            let bytes = read(self.copy, offset, length)?;
            if let Some(bytes) = bytes.filter(|bytes| proves(bytes, root, tree)) {
                return Ok(Some(bytes));
            }
        }
        if end > self.source.length()? {
            return Ok(None);
        }
        let Some(bytes) = read(self.source, offset, length)? else {
            return Ok(None);
        };
        self.walked.bytes_read += length;
        if !proves(&bytes, root, tree) {
            return Ok(None);
        }
        if end > self.copy.length()? {
            self.copy
                .set_len(end)
                .context("cannot make room for the copy")?;
        }
        self.copy
            .write_all_at(&bytes, offset)
            .context("cannot write the copy")?;
        self.known
            .insert(root.page, Known::of(root.checksum, false));
        Ok(Some(bytes))
    }
}

fn node(root: Root, parent: u32, tree: u32) -> Node {
    Node {
        page: root.page,
        checksum: [root.checksum as u64, (root.checksum >> 64) as u64],
        parent,
        tree,
        found: true,
    }
}

/// The number of `tree` in the list of those that were met; there are few.
fn tree_number(trees: &mut Vec<Tree>, tree: Tree) -> u32 {
    let known = trees.iter().rposition(|known| *known == tree);
    known.unwrap_or_else(|| {
        trees.push(tree);
        trees.len() - 1
    }) as u32
}

fn proves(bytes: &[u8], root: Root, tree: Tree) -> bool {
    pages::covered(bytes, tree)
        .is_some_and(|covered| XxHash3_128::oneshot(covered) == root.checksum)
}

/// `None` where the file became shorter meanwhile.
fn read(from: &dyn ReadAt, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::try_from(length).context("a page is larger than memory")?];
    match from.read_exact_at(&mut bytes, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result.context("cannot read a page").map(|()| Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use proptest::prelude::*;
    use redb::{Database, MultimapTableDefinition, TableDefinition};

    use super::{super::judge, *};

    const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
    const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");
    const INDEX: MultimapTableDefinition<u64, &str> = MultimapTableDefinition::new("index");
    const ONCE: Budget = Budget {
        time: Duration::ZERO,
        rounds: 1,
    };

    impl ReadAt for Vec<u8> {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let from = usize::try_from(offset)
                .ok()
                .and_then(|offset| self.get(offset..)?.get(..buffer.len()));
            buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn length(&self) -> io::Result<u64> {
            Ok(self.len() as u64)
        }
    }

    /// A closed database with every kind of tree: rows of any and of fixed width, large values, a multimap whose
    /// collections are inline and trees, a persistent savepoint.
    fn database() -> Vec<u8> {
        database_with(Savepoint::Kept)
    }

    /// Whether a commit in the middle is kept by a savepoint.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Savepoint {
        Kept,
        None,
    }

    fn database_with(savepoint: Savepoint) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let db = Database::create(file.path()).expect("a database");
        for round in 0..12u64 {
            let tx = db.begin_write().expect("a transaction");
            {
                let mut rows = tx.open_table(ROWS).expect("a table");
                let mut numbers = tx.open_table(NUMBERS).expect("a table");
                let mut index = tx.open_multimap_table(INDEX).expect("a table");
                for row in 0..40u64 {
                    let key = format!("row {}", row * 7 % 40 + round);
                    let length = if row == 3 { 20_000 } else { 200 };
                    rows.insert(key.as_str(), vec![round as u8; length].as_slice())
                        .expect("a row");
                    numbers.insert(row * 1000 + round, row).expect("a row");
                    index
                        .insert(
                            row % 2,
                            format!("{key} of a long collection {}", "x".repeat(60)).as_str(),
                        )
                        .expect("a value");
                }
            }
            tx.commit().expect("committed");
            if round == 5 && savepoint == Savepoint::Kept {
                let tx = db.begin_write().expect("a transaction");
                tx.persistent_savepoint().expect("a savepoint");
                tx.commit().expect("committed");
            }
        }
        drop(db);
        let mut bytes = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut bytes).expect("readable");
        bytes
    }

    fn walked(bytes: &Vec<u8>, budget: Budget) -> (File, Result<Walked, Gave>) {
        let copy = tempfile::tempfile().expect("a file");
        let result = walk(bytes, &copy, budget, &mut |_| Ok(())).expect("no I/O fails");
        (copy, result)
    }

    #[test]
    fn the_copy_of_a_database_at_rest_is_whole_after_one_round() {
        let bytes = database();
        let (mut copy, result) = walked(&bytes, ONCE);
        let walked = result.expect("a copy");
        assert_eq!((walked.rounds, walked.mismatches), (1, 0));
        assert!(
            walked.live_pages > 30 && walked.bytes_read < bytes.len() as u64,
            "{walked:?}"
        );
        judge::repair(copy.try_clone().expect("a handle")).expect("redb finds it good");
        let mut content = Vec::new();
        copy.rewind().expect("a file");
        copy.read_to_end(&mut content).expect("readable");
        let mut named = tempfile::NamedTempFile::new().expect("a file");
        named.write_all(&content).expect("written");
        let db = Database::open(named.path()).expect("a database");
        use redb::{ReadableDatabase as _, ReadableTableMetadata as _};
        let tx = db.begin_read().expect("a transaction");
        assert_eq!(
            tx.open_table(NUMBERS)
                .expect("a table")
                .len()
                .expect("a length"),
            480
        );
        assert_eq!(
            db.begin_write()
                .expect("a transaction")
                .list_persistent_savepoints()
                .expect("savepoints")
                .count(),
            1
        );
    }

    #[test]
    fn this_walk_and_the_check_of_redb_agree_on_every_flipped_bit() {
        // redb does not check what only a savepoint reaches; this walk does.
        let bytes = database_with(Savepoint::None);
        let (mut found, mut fine) = (0, 0);
        let mut random = 88_172_645_463_325_252u64;
        for _ in 0..300 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = 4096 + (random >> 8) as usize % (bytes.len() - 4096);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (random & 7);
            let ours = walked(&flipped, ONCE).1.is_ok();
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&flipped).expect("written");
            let theirs = judge::examine(file).is_ok_and(|judgement| !judgement.repaired);
            assert_eq!(ours, theirs, "a flip in byte {at}");
            if ours { fine += 1 } else { found += 1 }
        }
        assert!(found > 30 && fine > 30, "{found} {fine}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn no_bytes_make_the_walk_panic_or_run_for_ever(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40), cut in any::<prop::sample::Index>(), in_the_head in any::<bool>()) {
            static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = GOOD.get_or_init(database).clone();
            for (at, byte) in changes {
                let within = if in_the_head { 400 } else { bytes.len() };
                let at = at.index(within);
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.index(8192));
            let _ = walked(&bytes, ONCE);
        }
    }
}
