//! Measures the steps that exports and imports are made of, one by one: `cargo bench --bench micro [FILTER]`.
//!
//! Packing members is what export does with entries once they are read. Unpacking them is what every reader does, digests
//! included: what is left without those is the difference to `digest`. The walk is the copying of a database that nobody
//! writes to. Data is the same at each run; `state` is a redb database of deployment records.

use std::{collections::BTreeMap, fs::File, io::Cursor, sync::OnceLock};

use divan::{Bencher, black_box, counter::BytesCount};
use hookshot::{
    archive::{
        self, Input,
        reader::Discard,
        writer::{self, Level},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, LineReader, ListedNode, ListingLine, Manifest},
        relative::RelativeName,
        version::FormatVersion,
    },
    source::redb::{
        at_rest::{self, Rest},
        header::Seal,
        walk::{Scope, Walk},
    },
    state::DEPLOYMENTS,
    work::Threads,
};
use redb::Database;

fn main() {
    divan::main();
}

/// Bytes of an entry: some thirty members.
const ENTRY_BYTES: usize = 16 << 20;
/// Records of some 400 bytes, so that the database is about as large.
const RECORDS: u64 = 36_000;
const THREADS: [usize; 2] = [1, 2];

/// What an entry is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    State,
    Random,
    Zeros,
}

/// xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::State, Kind::Random, Kind::Zeros];

    /// An entry of this kind, made once.
    fn content(self) -> &'static [u8] {
        static CONTENTS: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
        CONTENTS[self as usize].get_or_init(|| {
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            let mut content = match self {
                Kind::State => std::fs::read(state().path()).expect("a database"),
                Kind::Random => std::iter::repeat_with(|| random.next().to_le_bytes())
                    .take(ENTRY_BYTES / 8)
                    .flatten()
                    .collect(),
                Kind::Zeros => Vec::new(),
            };
            content.resize(ENTRY_BYTES, 0);
            content
        })
    }

    /// An archive of it, made once.
    fn archive(self) -> &'static [u8] {
        static ARCHIVES: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
        ARCHIVES[self as usize].get_or_init(|| pack(self, Threads::available()))
    }
}

/// The database of a service that has worked for a while.
fn state() -> &'static tempfile::NamedTempFile {
    static STATE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    STATE.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut database = Database::create(file.path()).expect("a database");
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let transaction = database.begin_write().expect("a transaction");
        {
            let mut table = transaction.open_table(DEPLOYMENTS).expect("a table");
            for number in 0..RECORDS {
                let id = format!("dep-{number:09}");
                let mut row = format!(r#"{{"id":"{id}","status":"succeeded","log":""#);
                for step in 0..4 {
                    let (took, image) = (random.next() % 90_000, random.next());
                    row += &format!("step {step}: pushing image {image:016x}: ok in {took} ms\\n");
                }
                row += &format!(r#"","git_ref":"{:016x}"}}"#, random.next());
                table.insert(id.as_str(), row.as_str()).expect("a row");
            }
        }
        transaction.commit().expect("committed");
        database.compact().expect("compacted");
        file
    })
}

fn pack(kind: Kind, threads: Threads) -> Vec<u8> {
    let name = EntryName::new("state.redb").expect("a name");
    let content = kind.content();
    let record = FileRecord::new(name.clone(), digest_of(kind), content.len() as u64);
    let manifest = Manifest {
        version: FormatVersion::PLAIN,
        created_at: 1_790_000_000,
        hookshot_version: semver::Version::new(0, 1, 0),
        files: BTreeMap::from([(name, record)]),
        root: Some("bench-20260101-000000".to_owned()),
        hostname: None,
        app: None,
        app_version: None,
        compression: None,
        tags: BTreeMap::new(),
        trees: BTreeMap::new(),
        directories: BTreeMap::new(),
        secrets_fingerprint: None,
    };
    let open = |_: &EntryName| Ok(content);
    writer::write(Vec::new(), &manifest, Level::DEFAULT, threads, None, open)
        .expect("an archive")
        .out
}

/// The digest of an entry, computed once: writing an archive does not compute any.
fn digest_of(kind: Kind) -> Digest {
    static DIGESTS: [OnceLock<Digest>; 3] = [const { OnceLock::new() }; 3];
    *DIGESTS[kind as usize].get_or_init(|| Digest::of(kind.content()))
}

/// Each kind with each number of threads.
fn cases() -> impl Iterator<Item = (Kind, usize)> {
    Kind::ALL
        .into_iter()
        .flat_map(|kind| THREADS.map(|count| (kind, count)))
}

trait Case {
    fn threads(&self) -> Threads;
}

impl Case for (Kind, usize) {
    fn threads(&self) -> Threads {
        Threads::new(self.1).expect("some")
    }
}

#[divan::bench(args = cases(), max_time = 2)]
fn pack_members(bencher: Bencher, case: &(Kind, usize)) {
    black_box(digest_of(case.0));
    bencher
        .counter(BytesCount::new(ENTRY_BYTES))
        .bench(|| pack(case.0, case.threads()));
}

#[divan::bench(args = cases(), max_time = 2)]
fn unpack_members(bencher: Bencher, case: &(Kind, usize)) {
    let archive = case.0.archive();
    bencher.counter(BytesCount::new(ENTRY_BYTES)).bench(|| {
        let input = Input::Seekable(
            Box::new(Cursor::new(archive)),
            tempfile::env::temp_dir().into(),
        );
        archive::read("archive", input, case.threads(), &mut Discard).expect("good")
    });
}

/// The lines of a listing of a folder, as an export writes them.
fn listing(directory: &EntryName) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..10_000 {
        let path = format!("{number:06}.eml");
        let name = RelativeName::new(path.as_bytes()).expect("a path");
        let (entry, _) = name.entry(directory);
        let mut record = FileRecord::new(entry, Digest::of(path.as_bytes()), number);
        record.kind = Some("file".into());
        record.mode = Some(0o640);
        (record.user, record.group) = (Some("mail".into()), Some("mail".into()));
        (record.uid, record.gid) = (Some(8), Some(8));
        (record.mtime, record.mtime_ns) = (Some(1_790_000_000), Some(123_456_789));
        let node = ListedNode::File(Box::new(record));
        ListingLine { name, node }.write(directory, &mut text);
    }
    text
}

#[divan::bench(max_time = 2)]
fn read_listing(bencher: Bencher) {
    let directory = EntryName::new("data").expect("a name");
    let text = listing(&directory);
    bencher.counter(BytesCount::new(text.len())).bench(|| {
        let mut reader = LineReader::new(directory.clone());
        let lines = text.split(|byte| *byte == b'\n');
        let files = lines.filter(|line| reader.read(line, 1).is_ok());
        assert_eq!(files.count(), 10_000);
    });
}

#[divan::bench(max_time = 2)]
fn digest(bencher: Bencher) {
    let content = Kind::Random.content();
    bencher
        .counter(BytesCount::new(ENTRY_BYTES))
        .bench(|| Digest::of(black_box(content)));
}

#[divan::bench(max_time = 2)]
fn walk_database(bencher: Bencher) {
    let database = File::open(state().path()).expect("a database");
    let length = database.metadata().expect("metadata").len();
    bencher
        .counter(BytesCount::new(length))
        .with_inputs(|| tempfile::tempfile().expect("a file"))
        .bench_refs(|copy| {
            let mut walk = Walk::new(&database, copy, Scope::Everything, &|_| Ok(()));
            let rest = at_rest::settle(&mut walk, (), |()| true).expect("readable");
            assert!(matches!(rest, Rest::Whole { .. }), "{rest:?}");
            walk.finish(Seal::Closed).expect("written")
        });
}
