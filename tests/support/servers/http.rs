//! As much of HTTP/1.1 as a test server and a proxy need: heads, and bodies of all three framings.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The longest line of a head that is read.
const LINE_BYTES: u64 = 64 << 10;

/// The longest read or write of a test server: a test that hangs fails with a reason.
const PATIENCE: Duration = Duration::from_secs(60);

/// The head of a request or of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The three words of the first line; the third of an answer may be several words, or none.
    pub line: [String; 3],
    /// Names as they were sent, in their order.
    pub headers: Vec<(String, String)>,
}

/// The rule for the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Head {
    /// The head of an answer; `Content-Length` is the caller's.
    pub fn answer(status: u16) -> Head {
        let reason = match status {
            200 => "OK",
            201 => "Created",
            204 => "No Content",
            206 => "Partial Content",
            304 => "Not Modified",
            403 => "Forbidden",
            404 => "Not Found",
            412 => "Precondition Failed",
            416 => "Range Not Satisfiable",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Answer",
        };
        Head {
            line: ["HTTP/1.1".into(), status.to_string(), reason.into()],
            headers: Vec::new(),
        }
    }

    /// The next head, or `None` where the connection ends instead.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let first = line(from)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut words = first.splitn(3, ' ').map(str::to_owned);
        let line_of_three = [(); 3].map(|()| words.next().unwrap_or_default());
        let mut headers = Vec::new();
        loop {
            let header = line(from)?;
            if header.is_empty() {
                return Ok(Some(Head {
                    line: line_of_three,
                    headers,
                }));
            }
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("not a header: {header}")))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.line.join(" ").trim_end());
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        to.write_all(format!("{text}\r\n").as_bytes())
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        &self.line[0]
    }

    /// The path of a request as it was sent, without the query.
    pub fn path(&self) -> &str {
        self.line[1].split('?').next().unwrap_or_default()
    }

    /// The decoded value of a parameter of a request's query; empty for one without a value.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.line[1].split_once('?')?;
        let pairs = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs
            .into_iter()
            .find(|(given, _)| percent_decoded(given) == name)?;
        Some(percent_decoded(&value.replace('+', " ")))
    }

    /// The status of an answer; 0 if it has none.
    pub fn status(&self) -> u16 {
        self.line[1].parse().unwrap_or(0)
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = (self.headers.iter()).filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// Gives the header that value, whether or not it was there.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_string()));
    }

    pub fn remove(&mut self, name: &str) {
        (self.headers).retain(|(given, _)| !given.eq_ignore_ascii_case(name));
    }

    /// The framing that the headers name; a request without any has no body.
    pub fn framing_of_request(&self) -> io::Result<Framing> {
        Ok(self.framing()?.unwrap_or(Framing::Length(0)))
    }

    /// The framing of an answer to `method`.
    pub fn framing_of_answer(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || ["204", "304"].contains(&self.line[1].as_str()) {
            return Ok(Framing::Length(0));
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }

    fn framing(&self) -> io::Result<Option<Framing>> {
        if let Some(coding) = self.header("transfer-encoding") {
            return match coding.eq_ignore_ascii_case("chunked") {
                true => Ok(Some(Framing::Chunked)),
                false => Err(io::Error::other(format!("transfer coding {coding}"))),
            };
        }
        let length = self.header("content-length").map(str::parse);
        Ok(length
            .transpose()
            .map_err(io::Error::other)?
            .map(Framing::Length))
    }
}

/// The next line without its end; empty at the end of the stream.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.by_ref()
        .take(LINE_BYTES)
        .read_until(b'\n', &mut bytes)?;
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The bytes of a body without its framing.
pub struct BodyReader<'a, R> {
    from: &'a mut R,
    framing: Framing,
    /// The bytes left of the body, or of its present chunk.
    left: u64,
    ended: bool,
}

impl<'a, R: BufRead> BodyReader<'a, R> {
    pub fn new(from: &'a mut R, framing: Framing) -> BodyReader<'a, R> {
        let left = match framing {
            Framing::Length(bytes) => bytes,
            Framing::Chunked => 0,
            Framing::UntilClose => u64::MAX,
        };
        BodyReader {
            from,
            framing,
            left,
            ended: left == 0 && framing != Framing::Chunked,
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let size = line(self.from)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
        if self.left == 0 {
            while !line(self.from)?.is_empty() {}
            self.ended = true;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for BodyReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        if count == 0 {
            return match self.framing {
                Framing::UntilClose => {
                    self.ended = true;
                    Ok(0)
                }
                Framing::Length(_) | Framing::Chunked => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        self.left -= count as u64;
        match self.framing {
            Framing::Length(_) => self.ended = self.left == 0,
            Framing::Chunked if self.left == 0 => drop(line(self.from)?),
            Framing::Chunked | Framing::UntilClose => {}
        }
        Ok(count)
    }
}

/// Writes one piece of a body in its framing.
pub fn write_piece(to: &mut impl Write, framing: Framing, piece: &[u8]) -> io::Result<()> {
    match framing {
        Framing::Chunked if piece.is_empty() => Ok(()),
        Framing::Chunked => {
            write!(to, "{:x}\r\n", piece.len())?;
            to.write_all(piece)?;
            to.write_all(b"\r\n")
        }
        Framing::Length(_) | Framing::UntilClose => to.write_all(piece),
    }
}

/// Writes what ends a body in its framing.
pub fn write_end(to: &mut impl Write, framing: Framing) -> io::Result<()> {
    match framing {
        Framing::Chunked => to.write_all(b"0\r\n\r\n"),
        Framing::Length(_) | Framing::UntilClose => Ok(()),
    }
}

/// A request with its whole body.
#[derive(Debug, Clone)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// A text with every `%XX` replaced by its byte.
pub fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Serves whole requests on a connection, one after the other, until the client closes it.
pub fn serve(stream: &TcpStream, answer: impl Fn(&Request) -> (Head, Vec<u8>)) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(head) = Head::read(&mut reader)? {
        if head.header("expect").is_some() {
            (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        BodyReader::new(&mut reader, head.framing_of_request()?).read_to_end(&mut body)?;
        let request = Request { head, body };
        let (mut head, content) = answer(&request);
        // An answer to HEAD says the length of a body that it does not have.
        head.set("Content-Length", content.len());
        let mut message = Vec::new();
        head.write(&mut message)?;
        if request.head.method() != "HEAD" {
            message.extend(content);
        }
        (&mut &*stream).write_all(&message)?;
    }
    Ok(())
}

/// Sends one request on a connection of its own and reads the whole answer.
pub fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(Head, Vec<u8>)> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    patient(&stream)?;
    let mut head = Head {
        line: [method.into(), target.into(), "HTTP/1.1".into()],
        headers: vec![
            ("Host".into(), address.to_string()),
            ("Connection".into(), "close".into()),
            ("Content-Length".into(), body.len().to_string()),
        ],
    };
    for (name, value) in headers {
        head.set(name, value);
    }
    let mut message = Vec::new();
    head.write(&mut message)?;
    message.extend(body);
    (&stream).write_all(&message)?;
    let mut reader = BufReader::new(&stream);
    let answer = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut content = Vec::new();
    let framing = answer.framing_of_answer(method)?;
    BodyReader::new(&mut reader, framing).read_to_end(&mut content)?;
    Ok((answer, content))
}

/// Every text between `<name>` and `</name>`, with the five entities of XML resolved.
pub fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = xml
        .split(&open)
        .skip(1)
        .filter_map(|rest| rest.split(&close).next());
    let entities = [
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    let resolved = |text: &str| {
        (entities.iter()).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    inner.map(resolved).collect()
}

/// A text as the content of an XML element.
pub fn escaped(text: &str) -> String {
    let entities = [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
    ];
    (entities.iter()).fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// No delay for small writes, and an end to every wait.
pub fn patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}
