//! Packs the files below a folder with the library, and unpacks them: `bench_pack pack|unpack FOLDER ARCHIVE`.
//!
//! What `export` and `import` do with a state of many small files: digests, archive, proof by reading it back; unpacking
//! with every digest checked, and one sync at the end.
#![expect(
    clippy::disallowed_methods,
    reason = "it is measured against programs that do as much"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use hookshot::{
    archive::{
        self, Input, Sink, Threads,
        reader::Discard,
        writer::{self, Level},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        version::FormatVersion,
    },
};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [verb, folder, archive] = arguments.as_slice() else {
        anyhow::bail!("pack or unpack, a folder, an archive?");
    };
    if verb.as_os_str() == "pack" {
        pack(folder, archive)
    } else {
        unpack(folder, archive)
    }
}

fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    describe(folder, folder, &mut files)?;
    let manifest = Manifest {
        version: FormatVersion::CURRENT,
        created_at: 1_790_000_000,
        hookshot_version: semver::Version::new(0, 1, 0),
        files,
        root: Some("bench-20260101-000000".to_owned()),
        hostname: None,
        app: None,
        app_version: None,
        compression: None,
        tags: BTreeMap::new(),
        trees: BTreeMap::new(),
    };
    let out = BufWriter::with_capacity(1 << 20, File::create(archive)?);
    let threads = Threads::available();
    let out = writer::write(out, &manifest, Level::DEFAULT, threads, None, |name| {
        Ok(File::open(folder.join(name.as_str()))?)
    })?
    .out;
    out.into_inner()?.sync_all()?;
    let verified = read(archive, &mut Discard)?;
    ensure!(*verified.manifest() == manifest, "another manifest");
    Ok(())
}

fn describe(base: &Path, folder: &Path, files: &mut BTreeMap<EntryName, FileRecord>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            describe(base, &path, files)?;
            continue;
        }
        let name = path.strip_prefix(base)?.to_str().context("a name")?;
        let name = EntryName::new(name).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let (digest, size) = Digest::of_reader(File::open(&path)?)?;
        let mut record = FileRecord::new(name.clone(), digest, size);
        record.mode = Some(metadata.mode() & 0o777);
        record.mtime = Some(metadata.mtime());
        files.insert(name, record);
    }
    Ok(())
}

fn unpack(folder: &Path, archive: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut sink = Files {
        folder: folder.to_owned(),
        last: PathBuf::new(),
    };
    read(archive, &mut sink)?;
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(())
}

fn read(archive: &Path, sink: &mut dyn Sink) -> Result<archive::Verified> {
    let input = Input::Seekable(Box::new(File::open(archive)?));
    archive::read(
        &archive.display().to_string(),
        input,
        Threads::available(),
        sink,
    )
}

/// Writes entries into a folder.
struct Files {
    folder: PathBuf,
    last: PathBuf,
}

impl Sink for Files {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        let path = self.folder.join(name.as_str());
        let parent = path.parent().context("a folder")?;
        if parent != self.last {
            fs::create_dir_all(parent)?;
            self.last = parent.to_owned();
        }
        Ok(Box::new(File::create(path)?))
    }
}
