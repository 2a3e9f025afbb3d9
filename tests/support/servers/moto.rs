//! A strict S3 server: moto, which knows races, object locks and the list of multipart uploads, and checks no signatures.

use std::{net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::{
    http,
    program::{self, Program},
    s3::BUCKET,
};

/// An S3 server with one bucket, in memory.
pub struct Moto {
    program: Program,
    // Dropped after the program.
    _folder: TempDir,
}

impl Moto {
    /// Returns the section of a configuration for a destination here.
    pub fn destination(&self) -> String {
        format!(
            "url = \"s3://{BUCKET}/host\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\nallow_http = true\n\
             access_key_id = \"any\"\nsecret_access_key = \"thing\"",
            self.endpoint(),
        )
    }

    /// `None` where moto is not installed.
    pub fn start() -> Option<Moto> {
        let Some(moto) = program::find("moto_server") else {
            return program::leave_out("moto (an S3 server)");
        };
        let folder = tempfile::Builder::new()
            .prefix("moto-")
            .tempdir()
            .expect("a folder");
        let command = |port: u16| {
            let mut command = Command::new(&moto);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
                .current_dir(folder.path())
                .env("HOME", folder.path());
            command
        };
        let bucket = format!("/{BUCKET}");
        let answers = |address: SocketAddr| {
            let made = http::call(address, "PUT", &bucket, &[], &[]);
            made.is_ok_and(|(head, _)| head.status() == 200)
        };
        let program = Program::start(folder.path(), command, answers);
        Some(Moto {
            program,
            _folder: folder,
        })
    }

    pub fn endpoint(&self) -> String {
        self.program.endpoint()
    }

    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The keys of all objects, in order; of the first thousand.
    pub fn objects(&self) -> Vec<String> {
        http::elements(&self.get("list-type=2"), "Key")
    }

    /// The keys of all multipart uploads that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        http::elements(&self.get("uploads"), "Key")
    }

    /// Returns the output of the server.
    pub fn log(&self) -> String {
        self.program.log()
    }

    fn get(&self, query: &str) -> String {
        let target = format!("/{BUCKET}?{query}");
        // Without a date moto takes a request for an anonymous one, which may see everything.
        let answer = http::call(self.program.address(), "GET", &target, &[], &[]);
        let (head, body) = answer.unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        assert_eq!(head.status(), 200, "{}", self.log());
        String::from_utf8(body).expect("XML")
    }
}
