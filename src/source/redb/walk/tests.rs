use std::io::{Read as _, Seek as _, Write as _};

use proptest::prelude::*;
use redb::{Database, MultimapTableDefinition, TableDefinition};

use super::{
    super::{
        at_rest::{self, Rest},
        judge,
    },
    *,
};

const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");
const INDEX: MultimapTableDefinition<u64, &str> = MultimapTableDefinition::new("index");

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

/// Returns a closed database with every kind of tree: rows of variable and of fixed width, large values, a multimap
/// whose collections are inline and trees, a persistent savepoint.
fn database() -> Vec<u8> {
    database_with(Savepoint::Kept)
}

/// The choice to keep a commit in the middle by a savepoint.
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

/// Copies the database at rest in `bytes`.
fn walked(bytes: &Vec<u8>, seal: Seal) -> (File, Rest, Walked) {
    let copy = tempfile::tempfile().expect("a file");
    let mut walk = Walk::new(bytes, &copy, Scope::Everything, &|_| Ok(()));
    let rest = at_rest::settle(&mut walk, (), |()| true).expect("no I/O fails");
    let walked = match rest {
        Rest::Whole { .. } => walk.finish(seal).expect("no I/O fails"),
        _ => walk.walked(),
    };
    (copy, rest, walked)
}

const WHOLE: Rest = Rest::Whole {
    rolled_back_from: None,
};

#[test]
fn the_copy_of_a_database_at_rest_is_whole_after_one_round() {
    let bytes = database();
    let (mut copy, rest, walked) = walked(&bytes, Seal::Verify);
    assert_eq!(rest, WHOLE);
    assert_eq!((walked.rounds, walked.mismatches), (1, 0));
    assert!(
        walked.live_pages > 30 && walked.bytes_read < bytes.len() as u64,
        "{walked:?}"
    );
    judge::close(copy.try_clone().expect("a handle")).expect("redb finds it good");
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
    // redb does not check pages that only a savepoint reaches; this walk does.
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
        let ours = walked(&flipped, Seal::Closed).1 == WHOLE;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&flipped).expect("written");
        let theirs = judge::examine(file).is_ok_and(|judgement| !judgement.repaired);
        assert_eq!(ours, theirs, "a flip in byte {at}");
        if ours { fine += 1 } else { found += 1 }
    }
    assert!(found > 30 && fine > 30, "{found} {fine}");
}

/// Pages that name one page below them many times, each with the right checksum: a tree of more pages than any file
/// has.
#[test]
fn a_tree_that_is_larger_than_its_file_is_refused_at_once() {
    const BELOW: u16 = 100;
    let mut bytes = database();
    let places = bytes.len() / 4096;
    bytes.resize((places + 8) * 4096, 0);
    let mut below = None;
    for level in 0..6 {
        let mut page = vec![0; 4096];
        let at = places + level;
        let used = match below {
            // A leaf with the definition of one table without rows.
            None => {
                page[..12].copy_from_slice(&[1, 0, 1, 0, 16, 0, 0, 0, 26, 0, 0, 0]);
                26
            }
            // A branch whose keys reach to its end.
            Some((checksum, number)) => {
                page[0] = 2;
                page[2..4].copy_from_slice(&(BELOW - 1).to_le_bytes());
                let (sums, numbers) = (8, 8 + 16 * usize::from(BELOW));
                let ends = numbers + 8 * usize::from(BELOW);
                for child in 0..usize::from(BELOW) {
                    let (sum, place) = (sums + 16 * child, numbers + 8 * child);
                    page[sum..sum + 16].copy_from_slice(&u128::to_le_bytes(checksum));
                    page[place..place + 8].copy_from_slice(&u64::to_le_bytes(number));
                }
                for key in 0..usize::from(BELOW) - 1 {
                    page[ends + 4 * key..][..4].copy_from_slice(&4096u32.to_le_bytes());
                }
                4096
            }
        };
        let covered = &page[..used];
        let checksum = twox_hash::XxHash3_128::oneshot(covered);
        bytes[at * 4096..(at + 1) * 4096].copy_from_slice(&page);
        below = Some((checksum, at as u64 - 1));
    }
    let (checksum, number) = below.expect("a root");
    for slot in [64, 192] {
        bytes[slot + 1] = 1;
        bytes[slot + 2] = 0;
        bytes[slot + 8..slot + 16].copy_from_slice(&number.to_le_bytes());
        bytes[slot + 16..slot + 32].copy_from_slice(&checksum.to_le_bytes());
        let sum = twox_hash::XxHash3_128::oneshot(&bytes[slot..slot + 112]);
        bytes[slot + 112..slot + 128].copy_from_slice(&sum.to_le_bytes());
    }
    let (_, rest, walked) = walked(&bytes, Seal::Verify);
    assert!(
        matches!(&rest, Rest::Unfit(reason) if reason.contains("more pages")),
        "{rest:?}"
    );
    assert!(walked.bytes_read <= bytes.len() as u64 * 2, "{walked:?}");
}

/// A file that becomes another one between two rounds, and whose first state cannot be read whole.
struct Changing {
    first: Vec<u8>,
    then: Vec<u8>,
    has_changed: std::cell::Cell<bool>,
}

impl ReadAt for Changing {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.has_changed.get() {
            false => self.first.read_exact_at(buffer, offset),
            true => self.then.read_exact_at(buffer, offset),
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.then.len() as u64)
    }
}

#[test]
fn what_earlier_rounds_copied_does_not_stay_in_the_copy() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let db = Database::create(file.path()).expect("a database");
    let put = |text: &str| {
        let tx = db.begin_write().expect("a transaction");
        let mut rows = tx.open_table(ROWS).expect("a table");
        for row in 0..300u32 {
            let value = format!("{text} {row}").repeat(20);
            rows.insert(row.to_string().as_str(), value.as_bytes())
                .expect("a row");
        }
        drop(rows);
        tx.commit().expect("committed");
        std::fs::read(file.path()).expect("the file")
    };
    let mut first = put("an earlier commit");
    let then = put("the last commit");
    first.resize(then.len(), 0);
    let alone = tempfile::tempfile().expect("a file");
    let mut walk = Walk::new(&then, &alone, Scope::Everything, &|_| Ok(()));
    assert_eq!(
        walk.round(SlotRole::Primary, SourceState::AtRest)
            .expect("read"),
        Round::Whole
    );
    walk.finish(Seal::Verify).expect("written");

    let needle = b"an earlier commit 299".repeat(2);
    let torn = first
        .windows(needle.len())
        .position(|window| window == needle)
        .expect("the row");
    first[torn] ^= 1;
    let source = Changing {
        first,
        then,
        has_changed: false.into(),
    };
    let copy = tempfile::tempfile().expect("a file");
    let mut walk = Walk::new(&source, &copy, Scope::Everything, &|_| Ok(()));
    let missed = walk
        .round(SlotRole::Primary, SourceState::AtRest)
        .expect("read");
    assert!(
        matches!(&missed, Round::Missed(missed) if missed.pages == 1 && missed.first.table.as_deref() == Some("rows")),
        "{missed:?}"
    );
    source.has_changed.set(true);
    assert_eq!(
        walk.round(SlotRole::Primary, SourceState::AtRest)
            .expect("read"),
        Round::Whole
    );
    walk.finish(Seal::Verify).expect("written");
    assert!(content(copy) == content(alone));
}

fn content(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("readable");
    bytes
}

#[test]
fn what_a_page_does_not_use_is_cleared() {
    let mut bytes = database();
    let (copy, rest, _) = walked(&bytes, Seal::Closed);
    assert_eq!(rest, WHOLE);
    let clean = content(copy);
    let mut changed = 0;
    for (page, clean) in bytes.chunks_exact_mut(4096).zip(clean.chunks_exact(4096)) {
        // A live page that ends in nothing.
        if clean[0] != 0 && clean.ends_with(&[0; 64]) {
            page[4095] = !page[4095];
            changed += 1;
        }
    }
    assert!(changed > 5, "{changed}");
    let (copy, rest, _) = walked(&bytes, Seal::Closed);
    assert_eq!(rest, WHOLE, "only bytes that no page uses were changed");
    assert!(content(copy) == clean);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_make_the_walk_panic_or_run_for_ever(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
        in_the_head in any::<bool>(),
    ) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = GOOD.get_or_init(database).clone();
        for (at, byte) in changes {
            let within = if in_the_head { 400 } else { bytes.len() };
            let at = at.index(within);
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.index(8192));
        let _ = walked(&bytes, Seal::Verify);
    }
}
