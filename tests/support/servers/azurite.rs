//! An Azure blob server: Azurite, which checks signatures.

use std::{fmt::Write as _, net::SocketAddr, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;

use super::{
    http,
    program::{self, Program},
    s3::BUCKET,
};

/// The version of the protocol that the few requests of the tests themselves speak.
const VERSION: &str = "2021-08-06";

/// An Azure blob server with one container.
pub struct Azurite {
    program: Program,
    // Dropped after the program.
    _folder: TempDir,
}

impl Azurite {
    /// Returns the section of a configuration for a destination here.
    pub fn destination(&self) -> String {
        format!(
            "url = \"az://{BUCKET}/host\"\nendpoint = \"{}\"\nallow_http = true\naccount = \"{}\"\naccount_key = \"{}\"",
            Azurite::account_endpoint(&self.endpoint()),
            Azurite::ACCOUNT,
            Azurite::KEY,
        )
    }

    /// The account that every Azurite has, and its well-known key.
    pub const ACCOUNT: &str = "devstoreaccount1";
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// `None` where Azurite is not installed.
    pub fn start() -> Option<Azurite> {
        let Some(azurite) = program::find("azurite-blob") else {
            return program::leave_out("azurite (an Azure blob server)");
        };
        let folder = tempfile::Builder::new()
            .prefix("azurite-")
            .tempdir()
            .expect("a folder");
        let command = |port: u16| {
            let mut command = Command::new(&azurite);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.args(["--skipApiVersionCheck", "--disableTelemetry", "--location"]);
            command.arg(folder.path()).env("HOME", folder.path());
            command.current_dir(folder.path());
            command
        };
        let answers = |address: SocketAddr| {
            let made = call(address, "PUT", &[("restype", "container")]);
            made.is_ok_and(|(head, _)| head.status() == 201)
        };
        let program = Program::start(folder.path(), command, answers);
        Some(Azurite {
            program,
            _folder: folder,
        })
    }

    /// A shared access signature for the container, good until `expiry`, for a query; its version is that of the tests.
    /// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>
    pub fn signature(expiry: &str) -> String {
        let (account, rights) = (Azurite::ACCOUNT, "rcwdl");
        // The empty lines are fields that this signature does not have.
        let signed = format!(
            "{rights}\n\n{expiry}\n/blob/{account}/{BUCKET}\n\n\n\n{VERSION}\nc\n\n\n\n\n\n\n"
        );
        let key = BASE64_STANDARD.decode(Azurite::KEY).expect("a key");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
        mac.update(signed.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let encoded = |text: &str| {
            text.replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
                .replace(':', "%3A")
        };
        let (signature, expiry) = (encoded(&signature), encoded(expiry));
        format!("sv={VERSION}&sr=c&sp={rights}&se={expiry}&sig={signature}")
    }

    /// The server itself, for `Faults`; a client needs the account too.
    pub fn endpoint(&self) -> String {
        self.program.endpoint()
    }

    /// Returns the endpoint of a client for the server or proxy at `endpoint`.
    pub fn account_endpoint(endpoint: &str) -> String {
        format!("{endpoint}/{}", Azurite::ACCOUNT)
    }

    pub fn container(&self) -> &'static str {
        BUCKET
    }

    /// The names of all blobs, in order; of the first five thousand.
    pub fn blobs(&self) -> Vec<String> {
        self.list(&[("comp", "list"), ("restype", "container")])
    }

    /// The names of all blobs, also of those that have blocks and were never committed.
    pub fn blobs_and_uploads(&self) -> Vec<String> {
        self.list(&[
            ("comp", "list"),
            ("include", "uncommittedblobs"),
            ("restype", "container"),
        ])
    }

    /// Returns the output of the server.
    pub fn log(&self) -> String {
        self.program.log()
    }

    fn list(&self, query: &[(&str, &str)]) -> Vec<String> {
        let answer = call(self.program.address(), "GET", query);
        let (head, body) = answer.unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        let text = String::from_utf8(body).expect("XML");
        assert_eq!(head.status(), 200, "{text}");
        http::elements(&text, "Name")
    }
}

/// Sends a request about the container, signed with the shared key; the parameters come in order. Errors are the network's.
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
fn call(
    address: SocketAddr,
    method: &str,
    query: &[(&str, &str)],
) -> std::io::Result<(http::Head, Vec<u8>)> {
    let account = Azurite::ACCOUNT;
    let date = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    // The empty lines are headers that these requests do not have.
    let mut signed = format!(
        "{method}\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}/{account}/{BUCKET}"
    );
    let mut target = format!("/{account}/{BUCKET}?");
    for (name, value) in query {
        write!(signed, "\n{name}:{value}").expect("a string");
        write!(target, "{name}={value}&").expect("a string");
    }
    let key = BASE64_STANDARD.decode(Azurite::KEY).expect("a key");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(signed.as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let headers = [
        ("x-ms-date", date.as_str()),
        ("x-ms-version", VERSION),
        ("Authorization", &format!("SharedKey {account}:{signature}")),
    ];
    http::call(address, method, target.trim_end_matches('&'), &headers, &[])
}
