//! Archives arrive whole or not at all, with uploads that fail at any byte.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::*;
use crate::{
    archive::writer::{self, Level},
    crypt::{ExposeSecret as _, Keyring, PublicKey, Recipients, generate, header::Form},
    error::Kind,
    model::manifest::{FileRecord, Manifest},
    store::{Proof, Upload},
    work::Threads,
};

fn context() -> Context {
    let new = Context::new(chrono::DateTime::UNIX_EPOCH, ".".into());
    Context {
        threads: Threads::new(2).expect("some"),
        ..new.expect("a context")
    }
}

/// Returns a good archive of some megabytes that do not compress.
fn archive() -> Vec<u8> {
    let mut state = 1_u64;
    let content: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let name: crate::model::entry_name::EntryName = "some".parse().expect("a name");
    let record = FileRecord::new(name.clone(), Digest::of(&content), content.len() as u64);
    let files = BTreeMap::from([(name, record)]);
    let manifest = Manifest {
        root: Some("root-20261121-030000".to_owned()),
        ..Manifest::new(0, semver::Version::new(0, 1, 0), files)
    };
    let mut bytes = Vec::new();
    let level = Level::new(1).expect("a level");
    writer::write(&mut bytes, &manifest, level, Threads::ONE, None, |_| {
        Ok(content.as_slice())
    })
    .expect("written");
    bytes
}

/// A destination whose content a test can see.
#[derive(Clone, Default)]
struct Place {
    taken: Arc<Mutex<Vec<u8>>>,
    named: Arc<Mutex<Option<Digest>>>,
    open: Arc<AtomicUsize>,
}

/// The moment at which an upload fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    Never,
    AtByte(usize),
    AtTheEnd,
    Panics,
}

struct Double {
    place: Place,
    fails: Fails,
}

impl Place {
    fn upload(&self, fails: Fails) -> Result<Outgoing> {
        let upload = self.double(fails)?;
        Ok(Outgoing { upload, seal: None })
    }

    fn double(&self, fails: Fails) -> Result<Box<dyn Upload>> {
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Double {
            place: self.clone(),
            fails,
        }))
    }

    fn bytes(&self) -> Vec<u8> {
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn named(&self) -> Option<Digest> {
        *self.named.lock().expect("not poisoned")
    }

    /// Returns the number of uploads that are neither finished nor gone.
    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Write for Double {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.place.taken.lock().expect("not poisoned");
        match self.fails {
            Fails::AtByte(at) if taken.len() + bytes.len() > at => {
                Err(Failure::new(Kind::Space, "the bucket is full").into())
            }
            Fails::Panics => panic!("made to panic"),
            _ => {
                taken.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Double {
    fn finish(self: Box<Self>, digest: &Digest) -> Result<Proof> {
        if self.fails == Fails::AtTheEnd {
            return Err(Failure::new(Kind::Unproven, "it is not there").into());
        }
        *self.place.named.lock().expect("not poisoned") = Some(*digest);
        Ok(Proof::Checksum)
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.place.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sends `bytes` to two destinations.
fn send(bytes: &[u8], places: [(&Place, Fails); 2]) -> Result<Proven> {
    let uploads = places.map(|(place, fails)| (String::from("x"), place.upload(fails)));
    let mut shipment = Shipment::begin(&context(), "a.tar.gz", uploads)?;
    // Pieces of any size.
    for piece in bytes.chunks(70_001) {
        shipment.write_all(piece)?;
    }
    shipment.prove()
}

fn results(proven: Proven) -> Vec<Result<Proof, Kind>> {
    let arrivals = proven.deliver().into_iter();
    arrivals
        .map(|arrival| arrival.result.map(|held| held.proof))
        .map(|result| result.map_err(|error| Failure::of(&error).kind))
        .collect()
}

#[test]
fn every_destination_gets_every_byte_and_names_it_after_the_proof() {
    let (bytes, one, two) = (archive(), Place::default(), Place::default());
    let proven = send(&bytes, [(&one, Fails::Never), (&two, Fails::Never)]).expect("good");
    assert_eq!((one.named(), two.named()), (None, None));
    assert_eq!(proven.size_bytes(), bytes.len() as u64);
    assert_eq!(proven.digest(), Digest::of(&bytes));
    assert_eq!(
        proven.verified().expect("by a reader").root(),
        "root-20261121-030000"
    );
    assert_eq!(results(proven), [Ok(Proof::Checksum), Ok(Proof::Checksum)]);
    for place in [one, two] {
        assert!(place.bytes() == bytes);
        assert_eq!((place.named(), place.open()), (Some(Digest::of(&bytes)), 0));
    }
}

#[test]
fn a_destination_that_fails_at_any_byte_does_not_stop_the_others() {
    let bytes = archive();
    for at in [0, 1, BUFFER_BYTES, bytes.len() / 2, bytes.len() - 1] {
        let (good, bad) = (Place::default(), Place::default());
        let sent = send(&bytes, [(&bad, Fails::AtByte(at)), (&good, Fails::Never)]);
        assert_eq!(
            results(sent.expect("good")),
            [Err(Kind::Space), Ok(Proof::Checksum)],
            "byte {at}"
        );
        assert!(good.bytes() == bytes && good.named().is_some());
        assert_eq!((bad.named(), bad.open()), (None, 0));
    }
    for (fails, kind) in [
        (Fails::AtTheEnd, Kind::Unproven),
        (Fails::Panics, Kind::Failed),
    ] {
        let (good, bad) = (Place::default(), Place::default());
        let sent = send(&bytes, [(&good, Fails::Never), (&bad, fails)]);
        let results = results(sent.expect("good"));
        assert_eq!(results, [Ok(Proof::Checksum), Err(kind)]);
        assert!(good.named().is_some() && bad.named().is_none());
    }
}

#[test]
fn nothing_goes_on_where_no_destination_is_left() {
    let (bytes, one, two) = (archive(), Place::default(), Place::default());
    let sent = send(
        &bytes,
        [(&one, Fails::AtByte(9)), (&two, Fails::AtByte(300_000))],
    );
    let failure = Failure::of(&sent.err().expect("no destination takes it"));
    assert_eq!(failure.kind, Kind::Space);
    assert_eq!(failure.faults.len(), 2, "{failure:?}");
    assert_eq!((one.open(), two.open()), (0, 0));
    let none: [(String, Result<Outgoing>); 1] = [(
        "x".to_owned(),
        Err(Failure::new(Kind::NotFound, "no bucket").into()),
    )];
    let begun = Shipment::begin(&context(), "a.tar.gz", none);
    assert_eq!(
        Failure::of(&begun.err().expect("none")).kind,
        Kind::NotFound
    );
}

#[test]
fn what_is_no_good_archive_arrives_nowhere() {
    let good = archive();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let short = good[..good.len() - 100].to_vec();
    let long = [good.as_slice(), &[7; 600_000]].concat();
    for (bytes, what) in [
        (flipped, "damaged"),
        (short, "truncated"),
        (long, "longer"),
        (vec![7; 5_000_000], "something else"),
        (Vec::new(), "nothing"),
    ] {
        let (one, two) = (Place::default(), Place::default());
        let sent = send(&bytes, [(&one, Fails::Never), (&two, Fails::Never)]);
        let failure = Failure::of(&sent.err().expect(what));
        assert_eq!(failure.kind, Kind::Refused, "{what}: {failure:?}");
        assert_eq!((one.named(), two.named()), (None, None), "{what}");
        assert_eq!((one.open(), two.open()), (0, 0), "{what}");
    }
}

#[test]
fn an_archive_that_is_known_has_to_have_its_digest() {
    let bytes = archive();
    let otherwise = Failure::new(Kind::Unproven, "other bytes");
    let send = |place: &Place, bytes: &[u8], digest| {
        let upload = [("x".to_owned(), place.upload(Fails::Never))];
        let mut shipment = Shipment::of_known(digest, otherwise.clone(), upload).expect("begun");
        shipment.write_all(bytes).expect("taken");
        shipment.prove()
    };
    let place = Place::default();
    let proven = send(&place, &bytes, Digest::of(&bytes)).expect("good");
    assert!(proven.verified().is_none());
    assert_eq!(results(proven), [Ok(Proof::Checksum)]);
    assert!(place.bytes() == bytes && place.named() == Some(Digest::of(&bytes)));
    let place = Place::default();
    let sent = send(&place, &bytes[..bytes.len() - 1], Digest::of(&bytes));
    assert_eq!(
        Failure::of(&sent.err().expect("other bytes")).kind,
        Kind::Unproven
    );
    assert_eq!((place.named(), place.open()), (None, 0));
}

#[test]
fn a_sealed_upload_arrives_sealed_and_its_digest_is_that_of_the_sealed_bytes() {
    let (bytes, plain, sealed) = (archive(), Place::default(), Place::default());
    let pair = generate();
    let key = PublicKey::parse(&pair.public).expect("a key");
    let seal = Some(Recipients::keys(vec![key]).expect("recipients"));
    let outgoing = |seal: &Option<Recipients>| Outgoing {
        upload: sealed.double(Fails::Never).expect("begun"),
        seal: seal.clone(),
    };
    let uploads = [
        ("plain".to_owned(), plain.upload(Fails::Never)),
        ("sealed".to_owned(), Ok(outgoing(&seal))),
    ];
    let mut shipment = Shipment::begin(&context(), "a.tar.gz", uploads).expect("begun");
    shipment.write_all(&bytes).expect("taken");
    let arrivals = shipment.prove().expect("good").deliver();
    let held: Vec<Delivered> = arrivals
        .into_iter()
        .map(|one| one.result.expect("held"))
        .collect();
    assert!(plain.bytes() == bytes);
    let there = sealed.bytes();
    assert_eq!(held[1].digest, Digest::of(&there));
    assert_eq!(held[1].size_bytes, there.len() as u64);
    assert_eq!(sealed.named(), Some(held[1].digest));
    let mut ring = Keyring::default();
    let secret = pair.secret.expose_secret().as_bytes();
    ring.add_file("key", secret, None, &|_| ()).expect("a key");
    let mut opened = Vec::new();
    let reader = ring.open("a", Form::Binary, &there[..]);
    io::Read::read_to_end(&mut reader.expect("it opens"), &mut opened).expect("read");
    assert!(opened == bytes);
    // One that fails in the middle keeps nothing, and the other arrives.
    let (full, whole) = (Place::default(), Place::default());
    let upload = full.double(Fails::AtByte(1_000_000)).expect("begun");
    let uploads = [
        ("full".to_owned(), Ok(Outgoing { upload, seal })),
        ("whole".to_owned(), whole.upload(Fails::Never)),
    ];
    let mut shipment = Shipment::begin(&context(), "a.tar.gz", uploads).expect("begun");
    shipment.write_all(&bytes).expect("taken");
    let proven = shipment.prove().expect("good");
    assert_eq!(results(proven), [Err(Kind::Space), Ok(Proof::Checksum)]);
    assert_eq!((full.named(), full.open()), (None, 0));
}

#[test]
fn what_is_given_up_is_gone_everywhere_when_that_returns() {
    let (bytes, place) = (archive(), Place::default());
    let upload = [("x".to_owned(), place.upload(Fails::Never))];
    let mut shipment = Shipment::begin(&context(), "a.tar.gz", upload).expect("begun");
    shipment.write_all(&bytes[..1_000_000]).expect("taken");
    drop(shipment);
    assert_eq!((place.named(), place.open()), (None, 0));
    let proven = send(&bytes, [(&place, Fails::Never), (&place, Fails::Never)]);
    drop(proven.expect("good"));
    assert_eq!((place.named(), place.open()), (None, 0));
}

#[test]
fn a_slow_destination_is_waited_for_and_memory_stays_bounded() {
    /// An upload that takes no bytes before it is released.
    struct Slow(Arc<AtomicBool>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            while !self.0.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Upload for Slow {
        fn finish(self: Box<Self>, _: &Digest) -> Result<Proof> {
            Ok(Proof::ReadBack)
        }
    }
    let (bytes, go) = (archive(), Arc::new(AtomicBool::new(false)));
    let upload: Box<dyn Upload> = Box::new(Slow(go.clone()));
    let uploads = [("slow".to_owned(), Ok(Outgoing { upload, seal: None }))];
    let mut shipment = Shipment::begin(&context(), "a.tar.gz", uploads).expect("begun");
    let sent = Arc::new(AtomicUsize::new(0));
    let most = (AHEAD + 3) * BUFFER_BYTES;
    assert!(bytes.len() > most);
    let writer = {
        let sent = sent.clone();
        thread::spawn(move || {
            for piece in bytes.chunks(10_000) {
                shipment.write_all(piece).expect("taken");
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
            shipment.prove().expect("good").deliver().remove(0).result
        })
    };
    let full = (AHEAD + 1) * BUFFER_BYTES;
    while sent.load(Ordering::SeqCst) < full {
        thread::yield_now();
    }
    thread::sleep(std::time::Duration::from_millis(50));
    assert!(sent.load(Ordering::SeqCst) <= most);
    go.store(true, Ordering::SeqCst);
    let result = writer.join().expect("no panic");
    assert_eq!(result.expect("delivered").proof, Proof::ReadBack);
}
