//! An S3 server inside the test: s3s-fs on a thread of its own, its objects as files in a folder.
//!
//! It checks signatures and the digests that a client sends, and knows conditional puts, but not under a race: of several
//! creates at the same moment more than one may win. Moto is stricter there.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

/// The one bucket that every server here has.
pub const BUCKET: &str = "bucket";

/// An S3 server with one bucket.
pub struct S3 {
    folder: TempDir,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3 {
    pub const ACCESS_KEY: &str = "AKIAHOOKSHOT";
    pub const SECRET_KEY: &str = "s3-secret-of-the-tests";

    pub fn start() -> S3 {
        let folder = tempfile::Builder::new()
            .prefix("s3-")
            .tempdir()
            .expect("a folder");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let service = {
            let files = FileSystem::new(folder.path()).expect("a folder to serve");
            let mut builder = S3ServiceBuilder::new(files);
            builder.set_auth(SimpleAuth::from_single(S3::ACCESS_KEY, S3::SECRET_KEY));
            builder.build()
        };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::spawn(accept(listener, service));
                // The sender says stop, or is gone.
                drop(stopped.await);
            });
        });
        S3 {
            folder,
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The keys of all objects, with their sizes.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let mut objects = BTreeMap::new();
        let bucket = self.folder.path().join(BUCKET);
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let key = path.strip_prefix(&bucket).expect("a file of the bucket");
                let size_bytes = path.metadata().expect("a file").len();
                objects.insert(key.display().to_string(), size_bytes);
            }
        }
        objects
    }

    /// The file that holds an object: for tests that look at its bytes, or damage them.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    /// Returns the leftovers of uploads in parts that were neither completed nor aborted: files, in order.
    pub fn leftovers(&self) -> Vec<String> {
        let names = entries(self.folder.path()).into_iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            (name.contains(".upload") || name.starts_with(".tmp.")).then_some(name)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Without this each answer waits for the client's acknowledgement of the one before.
        drop(stream.set_nodelay(true));
        let service = service.clone();
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            // A client that goes away in the middle is what many tests are about.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}
