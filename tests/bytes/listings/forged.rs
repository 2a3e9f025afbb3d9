//! An archive with a listed directory, made by hand, every part of which a test can change.

use hookshot::{archive::Verified, error::Failure};
use serde_json::{Value, json};
use support::forge::{self, Collect, EntryType, ROOT, Tar, digest};

/// The time of the archive, which its own members have.
const CREATED_AT: u64 = 1_738_252_822;

/// Marks the headers of the root folder and of the manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Packer {
    /// They are those of an export.
    Hookshot,
    /// They are those of another program.
    Other,
}

/// A member of the tar, after the manifest: its path below the root folder, and its content.
pub type Part = (String, Vec<u8>);

/// An archive with the directory `data`.
#[derive(Clone)]
pub struct Forged {
    /// The lines of the listing, without line feeds.
    pub lines: Vec<String>,
    /// The text of the listing if it is not that of the lines.
    pub text: Option<Vec<u8>>,
    /// The files of the directory: paths below the root folder.
    pub files: Vec<Part>,
    /// The manifest's value of the directory.
    pub promised: Value,
    /// Keys of the record of the listing that are not what the listing is.
    pub record: Value,
}

/// The name of the listing.
pub const LISTING: &str = "data.files.jsonl";

/// The line of a file.
pub fn file(path: &str, content: &[u8]) -> String {
    let record = json!({
        "path": format!("data/{path}"), "size": content.len(), "checksum": digest(content), "mode": "0640",
    });
    record.to_string()
}

/// The line of a folder.
pub fn folder(path: &str) -> String {
    json!({ "path": format!("data/{path}"), "kind": "folder", "mode": "0750" }).to_string()
}

/// The line of a link.
pub fn link(path: &str, target: &str) -> String {
    json!({ "path": format!("data/{path}"), "kind": "link", "target": target }).to_string()
}

/// The line of a file whose name is escaped, and the path of its entry below the root folder.
pub fn escaped(name: &[u8], content: &[u8]) -> (String, String) {
    let path = format!("data/.hookshot-name/{}", digest(name));
    let record = json!({
        "path": path, "size": content.len(), "checksum": digest(content), "name": hex::encode(name),
    });
    (record.to_string(), path)
}

impl Forged {
    /// A good one: folders, a link, an escaped name, an empty file.
    pub fn good() -> Forged {
        let mut forged = Forged::of(&[
            ("a/one", b"first\n"),
            ("a/two", b""),
            ("a-b", b"in the order of components\n"),
            ("c", b"last\n"),
        ]);
        forged.lines.insert(0, folder("a"));
        forged.lines.insert(4, link("b", "a/one"));
        let (line, path) = escaped(b"caf\xe9", b"escaped\n");
        forged.lines.push(line);
        forged.files.push((path, b"escaped\n".to_vec()));
        forged.promise("folders", 1);
        forged.promise("links", 1);
        forged.promise("files", 5);
        forged.promise("bytes", 6 + 27 + 5 + 8);
        forged
    }

    /// One of these files, without the lines of folders.
    pub fn of(files: &[(&str, &[u8])]) -> Forged {
        let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
        let part = |(path, content): &(&str, &[u8])| (format!("data/{path}"), content.to_vec());
        Forged {
            lines: files
                .iter()
                .map(|(path, content)| file(path, content))
                .collect(),
            text: None,
            files: files.iter().map(part).collect(),
            promised: json!({
                "listing": LISTING, "files": files.len(), "folders": 0, "bytes": bytes, "root": {},
            }),
            record: json!({}),
        }
    }

    /// Changes what the manifest says of the directory.
    pub fn promise(&mut self, key: &str, value: impl Into<Value>) {
        self.promised[key] = value.into();
    }

    /// The text of the listing.
    pub fn listing(&self) -> Vec<u8> {
        let lines = self.lines.iter().map(|line| format!("{line}\n"));
        self.text
            .clone()
            .unwrap_or_else(|| lines.collect::<String>().into_bytes())
    }

    /// The members after the manifest, as an export writes them.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![(LISTING.to_owned(), self.listing())];
        parts.extend(self.files.iter().cloned());
        parts.push(("secrets".to_owned(), b"hmac_key = forged\n".to_vec()));
        parts
    }

    /// The manifest.
    pub fn manifest(&self) -> Vec<u8> {
        let (listing, secrets) = (self.listing(), b"hmac_key = forged\n");
        let mut record = json!({
            "path": LISTING, "size": listing.len(), "checksum": digest(&listing), "kind": "listing", "mode": "0600",
        });
        for (key, value) in self.record.as_object().expect("an object") {
            record[key] = value.clone();
        }
        let manifest = json!({
            "version": "1.2",
            "created_at": CREATED_AT,
            "hookshot_version": "0.1.0",
            "root": ROOT,
            "directories": { "data": self.promised },
            "files": {
                LISTING: record,
                "secrets": { "path": "secrets", "size": secrets.len(), "checksum": digest(secrets) },
            },
        });
        manifest.to_string().into_bytes()
    }

    /// The archive with its members in the order of an export.
    pub fn archive(&self, packer: Packer) -> Vec<u8> {
        packed(&self.manifest(), &self.parts(), packer)
    }

    /// The faults that a reading finds, as a file and as a stream.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        faults(&self.archive(Packer::Hookshot))
    }
}

/// The archive of a manifest and of members in this order.
pub fn packed(manifest: &[u8], parts: &[Part], packer: Packer) -> Vec<u8> {
    let mut tar = Tar::new();
    begin(&mut tar, manifest, packer);
    for (path, content) in parts {
        tar.entry(path, content);
    }
    tar.gzip()
}

/// Begins a tar with the root folder and the manifest.
pub fn begin(tar: &mut Tar, manifest: &[u8], packer: Packer) {
    let folder = format!("{ROOT}/");
    let file = format!("{ROOT}/manifest.json");
    if packer == Packer::Other {
        tar.folder(&folder).file(file, manifest);
        return;
    }
    let header = |path: &str, kind, mode, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(CREATED_AT);
        header.set_uid(0);
        header.set_gid(0);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header
    };
    tar.raw_header(header(&folder, EntryType::Directory, 0o700, 0))
        .raw_header(header(
            &file,
            EntryType::Regular,
            0o600,
            manifest.len() as u64,
        ))
        .content(manifest);
}

/// The result of a reading as a file and as a stream, which must be the same.
#[track_caller]
pub fn read(archive: &[u8]) -> Result<(Verified, Collect), Failure> {
    let [file, stream] = [true, false].map(|seekable| {
        let mut sink = Collect::default();
        match forge::read(archive, seekable, &mut sink) {
            Ok(verified) => Ok((verified, sink)),
            Err(error) => Err(Failure::of(&error)),
        }
    });
    match (&file, &stream) {
        (Ok((_, file)), Ok((_, stream))) => assert!(file.contents == stream.contents),
        (Err(file), Err(stream)) => assert_eq!(file.faults, stream.faults),
        _ => panic!(
            "a file and a stream are judged alike: {:?} {:?}",
            file.is_ok(),
            stream.is_ok()
        ),
    }
    file
}

/// The faults that a reading finds.
#[track_caller]
pub fn faults(archive: &[u8]) -> Vec<String> {
    match read(archive) {
        Ok(_) => Vec::new(),
        Err(failure) => {
            assert_eq!(failure.kind.code(), 13, "{failure}");
            failure.faults
        }
    }
}

/// Fails the test unless the archive is refused for exactly these reasons, of each a part.
#[track_caller]
pub fn refused(archive: &[u8], reasons: &[&str]) {
    let faults = faults(archive);
    let is_right = faults.len() == reasons.len()
        && faults
            .iter()
            .zip(reasons)
            .all(|(fault, reason)| fault.contains(reason));
    assert!(is_right, "{faults:#?}\nexpected {reasons:#?}");
}
