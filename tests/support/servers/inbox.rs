//! A server of notifications: it records each request, and answers as the test tells it.

use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    http::{BodyReader, Head, Request},
    listening::{Listening, Open, locked},
};

/// An answer of the server.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status without a text.
    Status(u16),
    /// A status with headers and a text.
    With(u16, Vec<(&'static str, String)>, String),
    /// It takes the request and says nothing.
    Hang,
    /// It closes the connection before it has read the request.
    Reset,
    /// A status, and then a body without an end.
    Endless(u16),
    /// A status with headers, and then a body that never comes.
    Halting(u16, Vec<(&'static str, String)>),
}

/// A server that takes notifications.
pub struct Inbox {
    listening: Listening,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Inbox {
    /// Starts a server that gives these answers, one after the other; the last one again and again.
    pub fn start(replies: &[Reply]) -> Inbox {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (record, replies) = (Arc::clone(&seen), replies.to_vec());
        let listening = Listening::start(move |stream, open| {
            let mut reader = BufReader::new(stream);
            loop {
                let head = match Head::read(&mut reader) {
                    Ok(Some(head)) => head,
                    Ok(None) => return Ok(()),
                    // TLS, say.
                    Err(_) => return answer(stream, open, &Reply::Status(400)),
                };
                let number = {
                    let mut seen = locked(&record);
                    let body = Vec::new();
                    let head = head.clone();
                    seen.push(Request { head, body });
                    seen.len() - 1
                };
                let reply = replies.get(number).or(replies.last()).expect("a reply");
                if let Reply::Reset = reply {
                    return Ok(());
                }
                let mut body = Vec::new();
                BodyReader::new(&mut reader, head.framing_of_request()?).read_to_end(&mut body)?;
                locked(&record)[number].body = body;
                answer(stream, open, reply)?;
            }
        });
        Inbox { listening, seen }
    }

    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }

    /// Returns the requests that came.
    pub fn seen(&self) -> Vec<Request> {
        locked(&self.seen).clone()
    }
}

fn answer(mut stream: &TcpStream, open: &Open, reply: &Reply) -> io::Result<()> {
    let (mut head, text) = match reply {
        Reply::Status(status) | Reply::Endless(status) => (Head::answer(*status), String::new()),
        Reply::With(status, headers, text) => (with(*status, headers), text.clone()),
        Reply::Halting(status, headers) => {
            let mut head = with(*status, headers);
            head.set("Content-Length", 9);
            head.write(&mut stream)?;
            open.rest(Duration::from_secs(600));
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Reply::Hang | Reply::Reset => {
            open.rest(Duration::from_secs(600));
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    };
    if let Reply::Endless(_) = reply {
        head.write(&mut stream)?;
        while open.rest(Duration::ZERO) {
            stream.write_all(&[b'x'; 4096])?;
        }
        return Ok(());
    }
    head.set("Content-Length", text.len());
    let mut message = Vec::new();
    head.write(&mut message)?;
    message.extend(text.as_bytes());
    stream.write_all(&message)
}

fn with(status: u16, headers: &[(&'static str, String)]) -> Head {
    let mut head = Head::answer(status);
    for (name, value) in headers {
        head.set(name, value);
    }
    head
}
