//! The stores that the tests run against, as hookshot opens them, and what is really in them.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use hookshot::{
    disk::life::Life,
    error::{Failure, Kind},
    model::digest::Digest,
    store::{
        self, Address, Environment, Maker, Options, OwnOptions, Proof, Secret, StopCheck, Store,
        Transfer,
        options::{AzureOptions, BucketOptions, GcsOptions, S3Options, SftpOptions},
    },
};

use support::servers::{Azurite, Gcs, Moto, S3, Sshd, s3::BUCKET};

/// The least size of a part.
pub const PART_BYTES: usize = 5 << 20;

/// A server or a folder that holds archives.
pub trait Place {
    /// Returns the part of its URL before the prefix.
    fn url(&self) -> String;
    /// Returns the options for its own endpoint or that of a proxy.
    fn options(&self, endpoint: &str) -> Options;
    fn endpoint(&self) -> String {
        String::new()
    }
    /// Everything that is in it, finished or not, by its path below the URL.
    fn everything(&self) -> Vec<String>;
    /// Returns true if no object appears under a name that only others begin with.
    fn knows_no_folders(&self) -> bool {
        true
    }
}

fn options(own: OwnOptions) -> Options {
    let transfer = Transfer {
        retry_attempts: 2,
        timeout: Duration::from_secs(20),
        parallel_uploads: 3,
        chunk_bytes: PART_BYTES,
        ..Transfer::default()
    };
    Options { transfer, own }
}

fn bucket(endpoint: &str) -> BucketOptions {
    BucketOptions {
        endpoint: Some(endpoint.to_owned()),
        allow_http: true,
        ..BucketOptions::default()
    }
}

/// The options of S3 among those of a store.
pub fn s3(options: &mut Options) -> &mut S3Options {
    match &mut options.own {
        OwnOptions::S3(own) => own,
        own => panic!("{own:?}"),
    }
}

/// The options of an SSH server among those of a store.
pub fn sftp(options: &mut Options) -> &mut SftpOptions {
    match &mut options.own {
        OwnOptions::Sftp(own) => own,
        own => panic!("{own:?}"),
    }
}

impl Place for S3 {
    fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    fn options(&self, endpoint: &str) -> Options {
        options(OwnOptions::S3(S3Options {
            bucket: bucket(endpoint),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some(Secret::new(S3::ACCESS_KEY)),
            secret_access_key: Some(Secret::new(S3::SECRET_KEY)),
            ..S3Options::default()
        }))
    }

    fn endpoint(&self) -> String {
        S3::endpoint(self)
    }

    fn everything(&self) -> Vec<String> {
        self.objects().into_keys().chain(self.leftovers()).collect()
    }

    /// It takes its own folders for objects, and fails at them.
    fn knows_no_folders(&self) -> bool {
        false
    }
}

impl Place for Moto {
    fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    fn options(&self, endpoint: &str) -> Options {
        options(OwnOptions::S3(S3Options {
            bucket: bucket(endpoint),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some(Secret::new("any")),
            secret_access_key: Some(Secret::new("thing")),
            ..S3Options::default()
        }))
    }

    fn endpoint(&self) -> String {
        Moto::endpoint(self)
    }

    fn everything(&self) -> Vec<String> {
        self.objects().into_iter().chain(self.uploads()).collect()
    }
}

impl Place for Azurite {
    fn url(&self) -> String {
        format!("az://{BUCKET}")
    }

    fn options(&self, endpoint: &str) -> Options {
        options(OwnOptions::Azure(AzureOptions {
            bucket: bucket(&Azurite::account_endpoint(endpoint)),
            account: Some(Azurite::ACCOUNT.to_owned()),
            account_key: Some(Secret::new(Azurite::KEY)),
            ..AzureOptions::default()
        }))
    }

    fn endpoint(&self) -> String {
        Azurite::endpoint(self)
    }

    /// Without the blocks of uploads that ended early: only Azure itself can free them.
    fn everything(&self) -> Vec<String> {
        self.blobs()
    }
}

impl Place for Gcs {
    fn url(&self) -> String {
        format!("gs://{BUCKET}")
    }

    fn options(&self, endpoint: &str) -> Options {
        options(OwnOptions::Gcs(GcsOptions {
            bucket: BucketOptions {
                allow_http: true,
                ..BucketOptions::default()
            },
            service_account_key: Some(Secret::new(Gcs::service_account(endpoint))),
        }))
    }

    fn endpoint(&self) -> String {
        Gcs::endpoint(self)
    }

    fn everything(&self) -> Vec<String> {
        self.objects().into_keys().chain(self.uploads()).collect()
    }
}

impl Place for Sshd {
    fn url(&self) -> String {
        let (user, host, port) = (self.user(), self.host(), self.port());
        format!("sftp://{user}@{host}:{port}/~/archives")
    }

    fn options(&self, _: &str) -> Options {
        options(OwnOptions::Sftp(SftpOptions {
            password: None,
            identity_file: Some(self.identity_file()),
            known_hosts_file: Some(self.known_hosts()),
            // Of no matter for the address, and in place of the user's.
            ssh_config: Some(self.config()),
        }))
    }

    fn everything(&self) -> Vec<String> {
        files_below(&self.files().join("archives"))
    }
}

/// A folder of this machine.
pub struct Local(pub tempfile::TempDir);

impl Place for Local {
    fn url(&self) -> String {
        self.0.path().join("archives").display().to_string()
    }

    fn options(&self, _: &str) -> Options {
        options(OwnOptions::None)
    }

    fn everything(&self) -> Vec<String> {
        files_below(&self.0.path().join("archives"))
    }
}

fn files_below(root: &Path) -> Vec<String> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let path = path.strip_prefix(root).expect("below it");
                files.push(path.display().to_string());
            }
        }
    }
    files
}

/// Goes on for ever.
pub fn on() -> StopCheck {
    Arc::new(|| Ok(()))
}

/// The store at `prefix` of a place, through `endpoint`.
pub fn opened(
    place: &dyn Place,
    prefix: &str,
    endpoint: &str,
    change: impl Fn(&mut Options),
    check: StopCheck,
) -> Box<dyn Store> {
    let mut options = place.options(endpoint);
    change(&mut options);
    let url = match prefix {
        "" => place.url(),
        prefix => format!("{}/{prefix}", place.url()),
    };
    let address = Address::parse(&url).expect("a place");
    store::open(&address, &options, &Environment::default(), check).expect("a store")
}

pub fn direct(place: &dyn Place, prefix: &str) -> Box<dyn Store> {
    opened(place, prefix, &place.endpoint(), |_| {}, on())
}

/// Bytes of which no two neighbourhoods are the same.
pub fn bytes(count: usize, seed: u8) -> Vec<u8> {
    let byte = |at: usize| (at % 251) as u8 ^ (at / 251 % 241) as u8 ^ seed;
    (0..count).map(byte).collect()
}

/// The time at which this process began, as its runs tell it.
fn now() -> DateTime<Utc> {
    static BEGUN: OnceLock<DateTime<Utc>> = OnceLock::new();
    *BEGUN.get_or_init(|| SystemTime::now().into())
}

/// A run of this process.
pub fn alive(run: &str) -> Maker {
    Maker {
        host: "here".to_owned(),
        pid: std::process::id(),
        begun: now(),
        run: run.to_owned(),
        life: Life::here(),
        folders: Vec::new(),
    }
}

/// A run whose process is gone.
pub fn dead(run: &str) -> Maker {
    static GONE: OnceLock<u32> = OnceLock::new();
    let pid = *GONE.get_or_init(|| {
        let mut child = Command::new("true").spawn().expect("a process");
        child.wait().expect("its end");
        child.id()
    });
    Maker { pid, ..alive(run) }
}

/// A run a day and more later, on another machine.
pub fn later(run: &str) -> Maker {
    Maker {
        host: "there".to_owned(),
        begun: now() + TimeDelta::hours(25),
        life: None,
        ..alive(run)
    }
}

/// Writes an archive as an export does.
pub fn export(store: &dyn Store, name: &str, content: &[u8]) -> Result<Proof> {
    export_as(store, name, content, &dead("run-1"))
}

pub fn export_as(store: &dyn Store, name: &str, content: &[u8], maker: &Maker) -> Result<Proof> {
    let mut upload = store.create(name, content.len() as u64, maker)?;
    // Not the sizes of parts.
    for piece in content.chunks(100_000) {
        upload.write_all(piece)?;
    }
    upload.finish(&Digest::of(content))
}

pub fn content(store: &dyn Store, name: &str) -> Result<Vec<u8>> {
    let object = store.open(name)?;
    let mut content = vec![0; object.length()? as usize];
    object.read_exact_at(&mut content, 0)?;
    Ok(content)
}

pub fn names(store: &dyn Store) -> Vec<String> {
    let mut names = Vec::new();
    let listed = store.list(&mut |stored| {
        names.push(stored.name);
        Ok(())
    });
    match listed {
        // A folder is made by the first upload.
        Err(error) if kind(&error) == Kind::NotFound => {}
        listed => listed.expect("a list"),
    }
    names.sort();
    names
}

pub fn kind(error: &anyhow::Error) -> Kind {
    Failure::of(error).kind
}

/// Returns the path of one of hookshot's examples.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_hookshot"))
        .with_file_name("examples")
        .join(name)
}
