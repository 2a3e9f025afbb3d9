//! TLS in front of a server, with certificates that openssl(1) makes for the test.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::program;

/// A server's certificate, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Nothing: for 127.0.0.1, by the authority.
    Well,
    /// It was good until 2020.
    Expired,
    /// It is good from 2090 on.
    NotYet,
    /// It is for another host.
    OtherName,
    /// It is signed by itself, and that of an authority, as `openssl req -x509` makes it.
    AsAuthority,
    /// It is signed by itself, and a server's.
    SelfSigned,
}

const CONFIGURATION: &str = "[ca]
default_ca=d
[d]
database=index.txt
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
unique_subject=no
[p]
commonName=supplied
[server]
basicConstraints=critical,CA:FALSE
subjectAltName=IP:127.0.0.1
[other]
basicConstraints=critical,CA:FALSE
subjectAltName=DNS:store.example.org
";

/// An authority of one's own.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// `None` where openssl is not installed.
    pub fn new() -> Option<Authority> {
        if program::find("openssl").is_none() {
            return program::leave_out("openssl (certificates)");
        }
        let folder = tempfile::Builder::new()
            .prefix("tls-")
            .tempdir()
            .expect("a folder");
        let authority = Authority { folder };
        for (name, text) in [
            ("ca.cnf", CONFIGURATION),
            ("index.txt", ""),
            ("serial", "01\n"),
        ] {
            fs::write(authority.path(name), text).expect("written");
        }
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 100 -subj /CN=Authority");
        Some(authority)
    }

    /// The certificate of the authority.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Makes a certificate; returns its file and that of its key.
    pub fn make(&self, made: Made) -> (PathBuf, PathBuf) {
        let name = format!("{made:?}");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server";
        let own = "-days 100 -addext subjectAltName=IP:127.0.0.1";
        match made {
            Made::AsAuthority => self.openssl(&format!(
                "req -x509 {key} -keyout {name}.key -out {name}.pem {own}"
            )),
            Made::SelfSigned => self.openssl(&format!(
                "req -x509 {key} -keyout {name}.key -out {name}.pem {own} -addext basicConstraints=critical,CA:FALSE"
            )),
            _ => {
                let (from, to) = match made {
                    Made::Expired => ("20200101000000Z", "20200201000000Z"),
                    Made::NotYet => ("20900101000000Z", "20910101000000Z"),
                    _ => ("20200101000000Z", "20900101000000Z"),
                };
                let section = match made {
                    Made::OtherName => "other",
                    _ => "server",
                };
                self.openssl(&format!("req -new {key} -keyout {name}.key -out {name}.csr"));
                self.openssl(&format!(
                    "ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in {name}.csr -out {name}.pem -extensions {section} -startdate {from} -enddate {to} -notext"
                ));
            }
        }
        (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let output = Command::new("openssl")
            .args(words.split(' '))
            .current_dir(self.folder.path())
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {words}: {said}");
    }
}

/// A server that speaks TLS, and passes on to another what it hears.
pub struct Tls {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tls {
    /// Stands in front of `http://ADDRESS:PORT`.
    pub fn in_front_of(endpoint: &str, certificate: &(PathBuf, PathBuf)) -> Tls {
        let store: SocketAddr = endpoint
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(configuration(&certificate.0, &certificate.1)));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::spawn(async move {
                    loop {
                        let Ok((client, _)) = listener.accept().await else {
                            continue;
                        };
                        let acceptor = acceptor.clone();
                        tokio::spawn(async move {
                            let Ok(mut client) = acceptor.accept(client).await else {
                                return;
                            };
                            let Ok(mut server) = TcpStream::connect(store).await else {
                                return;
                            };
                            drop(copy_bidirectional(&mut client, &mut server).await);
                        });
                    }
                });
                drop(stopped.await);
            });
        });
        Tls {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn configuration(certificate: &Path, key: &Path) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(certificate)
        .expect("a file")
        .collect::<Result<Vec<_>, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key")
}
