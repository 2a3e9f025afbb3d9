//! An HTTP proxy: tunnels (CONNECT) and requests with a whole URL; it may want a password.

use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::{Arc, Mutex},
    thread,
};

use super::{
    http::{BodyReader, Head, Request},
    keys::forward,
    listening::{Listening, locked},
};

/// A proxy's treatment of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// It wants this, as it stands behind `Proxy-Authorization: Basic`.
    Login(&'static str),
    /// It refuses every client.
    Closed,
}

/// A proxy on 127.0.0.1.
pub struct HttpProxy {
    listening: Listening,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    pub fn start(gate: Gate) -> HttpProxy {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let listening = Listening::start(move |stream, _| {
            let mut reader = BufReader::new(stream);
            while let Some(mut head) = Head::read(&mut reader)? {
                locked(&record).push(format!("{} {}", head.line[0], head.line[1]));
                let mut body = Vec::new();
                let framing = head.framing_of_request()?;
                BodyReader::new(&mut reader, framing).read_to_end(&mut body)?;
                let login = head.header("proxy-authorization").map(str::to_owned);
                let refusal = match gate {
                    Gate::Open => None,
                    Gate::Login(wanted) if login == Some(format!("Basic {wanted}")) => None,
                    Gate::Login(_) => Some(407),
                    Gate::Closed => Some(403),
                };
                if let Some(status) = refusal {
                    let mut head = Head::answer(status);
                    head.set("Content-Type", "text/html");
                    answer(stream, head, b"<html>not through here</html>")?;
                    continue;
                }
                if head.method() == "CONNECT" {
                    return tunnel(stream, &head.line[1]);
                }
                let target = head.line[1].clone();
                let rest = target.strip_prefix("http://").unwrap_or_default();
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let Some(address) = resolved(host) else {
                    answer(stream, Head::answer(502), b"")?;
                    continue;
                };
                head.line[1] = format!("/{path}");
                let request = Request { head, body };
                let (head, content) = forward(address, &request);
                let is_head = request.head.method() == "HEAD";
                let mut head = head;
                head.set("Content-Length", content.len());
                let content = if is_head { Vec::new() } else { content };
                write(stream, &head, &content)?;
            }
            Ok(())
        });
        HttpProxy { listening, seen }
    }

    pub fn url(&self) -> String {
        self.listening.endpoint()
    }

    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// The methods and targets that came.
    pub fn seen(&self) -> Vec<String> {
        locked(&self.seen).clone()
    }
}

fn resolved(host: &str) -> Option<SocketAddr> {
    host.to_socket_addrs().ok()?.next()
}

fn answer(stream: &TcpStream, mut head: Head, content: &[u8]) -> io::Result<()> {
    head.set("Content-Length", content.len());
    write(stream, &head, content)
}

fn write(mut stream: &TcpStream, head: &Head, content: &[u8]) -> io::Result<()> {
    let mut message = Vec::new();
    head.write(&mut message)?;
    message.extend(content);
    stream.write_all(&message)
}

fn tunnel(client: &TcpStream, to: &str) -> io::Result<()> {
    let Some(server) = resolved(to).and_then(|to| TcpStream::connect(to).ok()) else {
        return answer(client, Head::answer(502), b"");
    };
    let mut out = client;
    out.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(io::copy(&mut &*client, &mut &server));
            drop(server.shutdown(Shutdown::Write));
        });
        drop(io::copy(&mut &server, &mut &*client));
        drop(client.shutdown(Shutdown::Both));
    });
    Ok(())
}
