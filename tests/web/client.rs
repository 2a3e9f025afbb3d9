//! A client whose requests may be as odd as an attacker's: their bytes go over TCP as they are.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// The longest wait for a part of an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The names of its headers in small letters, with their values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut body = bytes.get(end + 4..)?.to_vec();
        let is_chunked = |(name, value): &(String, String)| {
            name == "transfer-encoding" && value.contains("chunked")
        };
        if headers.iter().any(is_chunked) {
            body = unchunked(&body);
        }
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// Returns all values of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the only value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let values = self.headers(name);
        assert_eq!(values.len(), 1, "{name} in {:?}", self.headers);
        values[0]
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// Fails the test unless the body has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Answer {
        assert!(
            self.text().contains(text),
            "{text:?} is not in {}",
            self.text()
        );
        self
    }
}

/// Returns the content of chunks (RFC 9112, 7.1).
fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let digits = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let size = usize::from_str_radix(digits.trim(), 16).unwrap_or(0);
        let Some(chunk) = bytes.get(end + 2..end + 2 + size) else {
            break;
        };
        if size == 0 {
            break;
        }
        content.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    content
}

/// Opens a connection.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a server");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// Reads until the server closes the connection. One that is reset has ended, too.
pub fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}

/// Sends these bytes, and reads the answer, if there is one.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(address);
    // A server that refuses a request need not read all of it.
    let _ = stream.write_all(request);
    Answer::parse(&rest_of(&mut stream))
}

/// A program or browser, with the headers that it always sends.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    lines: Vec<String>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client {
            address,
            lines: Vec::new(),
        }
    }

    /// Returns the same client with a further header.
    pub fn with(&self, line: impl Into<String>) -> Client {
        let mut client = self.clone();
        client.lines.push(line.into());
        client
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    /// Sends a form, as a page of the server itself does.
    #[track_caller]
    pub fn post(&self, path: &str, form: &str) -> Answer {
        let own = self.with("Sec-Fetch-Site: same-origin");
        own.send("POST", path, form)
    }

    /// Sends a request. `Host` is the server's own unless a header names another one.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = exchange(self.address, self.request(method, path, body).as_bytes());
        answer.unwrap_or_else(|| panic!("{method} {path} has no answer"))
    }

    /// Writes a request, after which the connection ends.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        let has = |name: &str| {
            let mut lines = self.lines.iter();
            lines.any(|line| line.to_ascii_lowercase().starts_with(name))
        };
        if !has("host:") {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !body.is_empty() && !has("content-type:") {
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        }
        if !body.is_empty() || method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for line in &self.lines {
            request.push_str(&format!("{line}\r\n"));
        }
        request + "Connection: close\r\n\r\n" + body
    }
}
