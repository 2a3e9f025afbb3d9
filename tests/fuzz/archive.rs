//! Reads an archive in memory as every verb does, and checks what the reader promises of one that it accepts.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write},
    path::PathBuf,
};

use hookshot::{
    archive::{self, Input, Sink, Verified, scratch::ScratchFolders},
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::Threads,
};

/// A sink that keeps everything in memory.
#[derive(Default)]
pub struct Collect(pub BTreeMap<String, Vec<u8>>);

impl Sink for Collect {
    fn begin(&mut self, _: &Manifest) -> anyhow::Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> anyhow::Result<Box<dyn Write + '_>> {
        let content = self.0.entry(name.as_str().to_owned()).or_default();
        assert!(content.is_empty(), "an entry is given once");
        Ok(Box::new(content))
    }
}

/// The manifest and the contents of an archive that was accepted.
pub type Accepted = (Manifest, BTreeMap<String, Vec<u8>>);

/// Reads the archive as a file and as a stream, which must agree, and compares each content with its digest.
pub fn read(bytes: &[u8]) -> Option<Accepted> {
    let scratch = ScratchFolders::from(PathBuf::from("/dev/shm"));
    let seekable = Box::new(Cursor::new(bytes.to_vec()));
    let file = judge(Input::Seekable(seekable, scratch.clone()));
    let stream = judge(Input::Stream(
        Box::new(Cursor::new(bytes.to_vec())),
        scratch,
    ));
    assert_eq!(file, stream, "a file and a stream are judged alike");
    file
}

fn judge(input: Input) -> Option<Accepted> {
    let mut found = Collect::default();
    let verified = archive::read("archive", input, Threads::ONE, &mut found).ok()?;
    Some(checked(&verified, found))
}

/// Compares what was given of an archive with its manifest and its listings, and returns both.
pub fn checked(verified: &Verified, found: Collect) -> Accepted {
    let manifest = verified.manifest();
    assert_eq!(
        found.0.len() as u64,
        manifest.count(),
        "each entry is given"
    );
    for (name, record) in &manifest.files {
        check(&found, name, record);
    }
    for name in manifest.directories.keys() {
        let directory = verified.directory(name).expect("it has a listing");
        for line in directory.lines().expect("readable") {
            if let Some(record) = line.expect("proven").file() {
                check(&found, &record.path, record);
            }
        }
    }
    (manifest.clone(), found.0)
}

/// Compares the content of an entry with its record.
fn check(found: &Collect, name: &EntryName, record: &FileRecord) {
    let content = &found.0[name.as_str()];
    assert_eq!(content.len() as u64, record.size, "{name}");
    assert_eq!(Digest::of(content), record.checksum, "{name}");
}
