//! One request on its way through the proxy and its answer on the way back, with the fault that strikes them.

use std::{
    io::{self, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use md5::{Digest as _, Md5};

use super::{
    faults::{Fault, Seen, Shared, Words},
    http::{self, BodyReader, Framing, Head},
    listening::Open,
};

/// The bytes of a body that are forwarded at a time.
pub const PIECE_BYTES: usize = 16 << 10;

/// The fate of the client's connection.
pub enum Next {
    Request,
    Close,
}

/// One request and its answer.
pub struct Exchange<'a> {
    shared: &'a Shared,
    number: usize,
    client: &'a TcpStream,
    open: &'a Open,
    fault: Option<Fault>,
}

impl<'a> Exchange<'a> {
    pub fn new(
        shared: &'a Shared,
        number: usize,
        client: &'a TcpStream,
        open: &'a Open,
        fault: Option<Fault>,
    ) -> Exchange<'a> {
        Exchange {
            shared,
            number,
            client,
            open,
            fault,
        }
    }

    pub fn run(&mut self, head: Head, reader: &mut BufReader<&TcpStream>) -> io::Result<Next> {
        if head.header("expect").is_some() {
            (&mut &*self.client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let framing = head.framing_of_request()?;
        let body = BodyReader::new(reader, framing);
        match self.fault {
            Some(Fault::Say(ref words)) => self.say(words, &head, body),
            Some(Fault::Tell(ref telling)) => self.say(&telling(&head), &head, body),
            Some(Fault::Answer(status)) => self.refuse(status, &head, body),
            Some(Fault::Swallow) => self.swallow(&head, body),
            Some(Fault::Hang) => self.hang(body),
            _ => self.forward(head, framing, body),
        }
    }

    fn say(&self, words: &Words, head: &Head, body: impl Read) -> io::Result<Next> {
        self.strike();
        self.drain(body)?;
        let mut answer = Head::answer(words.status);
        for (name, value) in &words.headers {
            answer.set(name, value);
        }
        let content = match head.method() {
            "HEAD" => "",
            _ => words.body.as_str(),
        };
        self.answer(answer, content)
    }

    fn refuse(&self, status: u16, head: &Head, body: impl Read) -> io::Result<Next> {
        self.strike();
        self.drain(body)?;
        let code = match status {
            403 => "AccessDenied",
            429 | 503 => "SlowDown",
            _ => "InternalError",
        };
        let content = match head.method() {
            "HEAD" => String::new(),
            _ => {
                format!("<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>")
            }
        };
        self.answer(Head::answer(status), &content)
    }

    /// Answers as the XML dialects of S3 and GCS do, which Azure's client understands for a single put.
    fn swallow(&self, head: &Head, body: impl Read) -> io::Result<Next> {
        self.strike();
        let body = self.drain(body)?;
        let etag = format!("\"{}\"", hex::encode(Md5::digest(&body)));
        let multipart = |name: &str, inner: &str| format!("<{name}>{inner}</{name}>");
        let content = match (
            head.method(),
            head.parameter("uploads"),
            head.parameter("uploadId"),
        ) {
            ("POST", Some(_), _) => multipart(
                "InitiateMultipartUploadResult",
                "<UploadId>nowhere</UploadId>",
            ),
            ("POST", None, Some(_)) => {
                let etag = format!("<ETag>{}</ETag>", http::escaped(&etag));
                multipart("CompleteMultipartUploadResult", &etag)
            }
            _ => String::new(),
        };
        let status = match head.method() {
            "DELETE" => 204,
            _ => 200,
        };
        let mut answer = Head::answer(status);
        answer.set("ETag", etag);
        answer.set("x-goog-generation", 1);
        self.answer(answer, &content)
    }

    fn hang(&self, body: impl Read) -> io::Result<Next> {
        self.strike();
        self.drain(body)?;
        // Until the client gives up, or the proxy is dropped.
        self.client.set_read_timeout(None)?;
        drop((&mut &*self.client).read(&mut [0]));
        Ok(Next::Close)
    }

    fn forward(&mut self, mut head: Head, framing: Framing, body: impl Read) -> io::Result<Next> {
        let method = head.method().to_owned();
        let store = Upstream::connect(self.shared.store(), self.open)?;
        head.remove("expect");
        head.set("Connection", "close");
        head.write(&mut &store.stream)?;
        if !self.forward_request(framing, body, &store.stream)? {
            self.strike();
            reset(&store.stream)?;
            return self.reset();
        }
        let mut reader = BufReader::with_capacity(PIECE_BYTES, &store.stream);
        let answer = loop {
            match Head::read(&mut reader) {
                Ok(Some(head)) if (100..200).contains(&head.status()) => {}
                Ok(Some(head)) => break head,
                // The store went away: so it is for the client.
                Ok(None) | Err(_) => return self.reset(),
            }
        };
        let framing = answer.framing_of_answer(&method)?;
        let content = BodyReader::new(&mut reader, framing);
        if let Some(Fault::LoseAnswer) = self.fault {
            io::copy(&mut { content }, &mut io::sink())?;
            self.strike();
            return self.reset();
        }
        if let Some(Fault::Rewrite(rewriting)) = &self.fault {
            let mut text = String::new();
            BufReader::new(content).read_to_string(&mut text)?;
            self.strike();
            let mut answer = answer;
            answer.remove("Connection");
            answer.remove("Transfer-Encoding");
            return self.answer(answer, &rewriting(&text));
        }
        self.forward_answer(answer, framing, content)
    }

    /// Forwards the body; says no where the connection must be reset instead of going on.
    fn forward_request(
        &self,
        framing: Framing,
        body: impl Read,
        store: &TcpStream,
    ) -> io::Result<bool> {
        let stop = match self.fault {
            Some(Fault::ResetRequest { after_bytes: at })
            | Some(Fault::FlipRequestByte { at })
            | Some(Fault::AtRequestByte { at, .. }) => at,
            _ => u64::MAX,
        };
        let mut pieces = Pieces::new(body, stop, PIECE_BYTES);
        // A store may refuse a body before its end; then its answer says why.
        let mut listens = true;
        loop {
            if pieces.at_stop() {
                match &self.fault {
                    Some(Fault::ResetRequest { .. }) => return Ok(false),
                    Some(Fault::AtRequestByte { hook, .. }) => {
                        self.strike();
                        hook();
                    }
                    _ => {}
                }
            }
            let Some(flips) = pieces.next()? else { break };
            self.note(|seen| seen.body_bytes += pieces.piece().len() as u64);
            if flips && matches!(self.fault, Some(Fault::FlipRequestByte { .. })) {
                self.strike();
                pieces.flip();
            }
            listens = listens && http::write_piece(&mut &*store, framing, pieces.piece()).is_ok();
        }
        if listens {
            drop(http::write_end(&mut &*store, framing));
        }
        Ok(true)
    }

    fn forward_answer(
        &self,
        mut head: Head,
        framing: Framing,
        content: impl Read,
    ) -> io::Result<Next> {
        head.remove("Connection");
        if let Some(Fault::AnswerHeader { name, value }) = &self.fault {
            self.strike();
            head.set(name, value);
        }
        self.note(|seen| seen.status = Some(head.status()));
        let client = &mut &*self.client;
        head.write(client)?;
        let (stop, most) = match self.fault {
            Some(Fault::TruncateAnswer { after_bytes: at })
            | Some(Fault::FlipAnswerByte { at })
            | Some(Fault::AtAnswerByte { at, .. }) => (at, PIECE_BYTES),
            Some(Fault::Trickle { piece_bytes, .. }) => (u64::MAX, piece_bytes),
            _ => (u64::MAX, PIECE_BYTES),
        };
        let mut pieces = Pieces::new(content, stop, most);
        loop {
            if pieces.at_stop() {
                match &self.fault {
                    Some(Fault::TruncateAnswer { .. }) => {
                        self.strike();
                        return Ok(Next::Close);
                    }
                    Some(Fault::AtAnswerByte { hook, .. }) => {
                        self.strike();
                        hook();
                    }
                    _ => {}
                }
            }
            let Some(flips) = pieces.next()? else { break };
            match self.fault {
                Some(Fault::FlipAnswerByte { .. }) if flips => {
                    self.strike();
                    pieces.flip();
                }
                Some(Fault::Trickle { pause, .. }) => {
                    self.strike();
                    if !self.open.rest(pause) {
                        return Ok(Next::Close);
                    }
                }
                _ => {}
            }
            http::write_piece(client, framing, pieces.piece())?;
        }
        http::write_end(client, framing)?;
        Ok(match framing {
            Framing::UntilClose => Next::Close,
            Framing::Length(_) | Framing::Chunked => Next::Request,
        })
    }

    fn answer(&self, mut head: Head, content: &str) -> io::Result<Next> {
        self.note(|seen| seen.status = Some(head.status()));
        if head.status() != 204 {
            head.set("Content-Length", content.len());
        }
        let mut message = Vec::new();
        head.write(&mut message)?;
        message.extend(content.as_bytes());
        (&mut &*self.client).write_all(&message)?;
        Ok(Next::Request)
    }

    /// Reads what the store does not get to see.
    fn drain(&self, mut body: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let result = body.read_to_end(&mut bytes);
        self.note(|seen| seen.body_bytes = bytes.len() as u64);
        result.map(|_| bytes)
    }

    fn reset(&self) -> io::Result<Next> {
        reset(self.client)?;
        Ok(Next::Close)
    }

    fn strike(&self) {
        self.note(|seen| seen.fault.clone_from(&self.fault));
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.shared.note(self.number, change);
    }
}

/// The pieces of a body, one of them beginning at a byte of which something is wanted.
struct Pieces<R> {
    body: R,
    buffer: Vec<u8>,
    filled: usize,
    /// The bytes before the next piece.
    at: u64,
    stop: u64,
}

impl<R: Read> Pieces<R> {
    fn new(body: R, stop: u64, most_bytes: usize) -> Pieces<R> {
        Pieces {
            body,
            buffer: vec![0; most_bytes],
            filled: 0,
            at: 0,
            stop,
        }
    }

    /// Returns true if the next piece begins at the byte.
    fn at_stop(&self) -> bool {
        self.at == self.stop
    }

    /// Reads the next piece, and says whether it begins at the byte; `None` at the end of the body.
    fn next(&mut self) -> io::Result<Option<bool>> {
        let before = self.stop.checked_sub(self.at).filter(|bytes| *bytes > 0);
        let most = before
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(usize::MAX);
        let most = most.min(self.buffer.len());
        let is_stop = self.at_stop();
        self.filled = self.body.read(&mut self.buffer[..most])?;
        self.at += self.filled as u64;
        Ok((self.filled > 0).then_some(is_stop))
    }

    fn piece(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Changes the first byte of the piece.
    fn flip(&mut self) {
        self.buffer[0] ^= 1;
    }
}

/// A connection to the store, closed with the proxy.
struct Upstream<'a> {
    stream: TcpStream,
    open: &'a Open,
    number: u64,
}

impl<'a> Upstream<'a> {
    fn connect(store: SocketAddr, open: &'a Open) -> io::Result<Upstream<'a>> {
        let stream = TcpStream::connect(store)?;
        http::patient(&stream)?;
        let number = open.keep(&stream).ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(Upstream {
            stream,
            open,
            number,
        })
    }
}

impl Drop for Upstream<'_> {
    fn drop(&mut self) {
        self.open.forget(self.number);
    }
}

/// Has the stream end in a reset instead of an orderly close, when its last handle is dropped (socket(7), SO_LINGER).
fn reset(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(
        stream,
        Some(Duration::ZERO),
    )?)
}
