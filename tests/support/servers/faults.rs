//! A proxy in front of a store that breaks what passes through it, by rules that a test sets, and remembers every request.

use std::{
    fmt,
    io::{self, BufReader},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    exchange::{Exchange, Next, PIECE_BYTES},
    http::Head,
    listening::{Listening, Open, locked},
};

/// A fault of a request, or of its answer. Bytes are counted in the body, from 0.
#[derive(Clone)]
pub enum Fault {
    /// The answer has this status; the store does not see the request.
    Answer(u16),
    /// The answer is this one; the store does not see the request.
    Say(Words),
    /// The answer is what this says to the request; the store does not see it.
    Tell(Telling),
    /// The store answers, and other words arrive.
    Rewrite(Rewriting),
    /// The answer says that all went well; the store does not see the request.
    Swallow,
    /// Both connections are reset when so many bytes are forwarded.
    ResetRequest { after_bytes: u64 },
    /// The store carries the request out, and the connection is reset instead of an answer.
    LoseAnswer,
    /// The connection is closed after so many bytes of the answer.
    TruncateAnswer { after_bytes: u64 },
    /// The answer has this header with this value, whatever the store says.
    AnswerHeader { name: &'static str, value: String },
    /// One bit of this byte of the request is another.
    FlipRequestByte { at: u64 },
    /// One bit of this byte of the answer is another.
    FlipAnswerByte { at: u64 },
    /// The answer comes in pieces, with a pause before each.
    Trickle { piece_bytes: usize, pause: Duration },
    /// The request is read, and never answered.
    Hang,
    /// The hook is called before this byte of the request is forwarded; then all goes on.
    AtRequestByte { at: u64, hook: Hook },
    /// The hook is called before this byte of the answer is forwarded; then all goes on.
    AtAnswerByte { at: u64, hook: Hook },
}

/// A change to the body of an answer.
pub type Rewriting = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// The answer to a request.
pub type Telling = Arc<dyn Fn(&Head) -> Words + Send + Sync>;

/// A whole answer. One to HEAD goes without its body.
#[derive(Clone)]
pub struct Words {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Words {
    /// A refusal as S3 words it.
    pub fn refusal(status: u16, code: &str, message: &str) -> Words {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Words {
            status,
            headers: vec![("Content-Type", "application/xml".to_owned())],
            body,
        }
    }

    /// A page of the web.
    pub fn page() -> Words {
        Words {
            status: 200,
            headers: vec![("Content-Type", "text/html; charset=utf-8".to_owned())],
            body: "<!DOCTYPE html>\n<html><body><h1>Log in</h1></body></html>".to_owned(),
        }
    }
}

/// An action of a test in the middle of a request, such as to kill its client.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// A fault, and which requests it strikes; the first rule that strikes a request is the only one.
pub struct Rule {
    method: &'static str,
    whose: Box<dyn Fn(&Head) -> bool + Send>,
    passes: usize,
    strikes: usize,
    fault: Fault,
}

impl Rule {
    /// Strikes the first request with that method, or with any method if it is `*`.
    pub fn on(method: &'static str, fault: Fault) -> Rule {
        Rule {
            method,
            whose: Box::new(|_| true),
            passes: 0,
            strikes: 1,
            fault,
        }
    }

    /// Only requests of which this is true.
    pub fn whose(mut self, is_meant: impl Fn(&Head) -> bool + Send + 'static) -> Rule {
        self.whose = Box::new(is_meant);
        self
    }

    /// Lets so many of the requests that are meant pass first.
    pub fn after(mut self, requests: usize) -> Rule {
        self.passes = requests;
        self
    }

    /// Strikes so many requests instead of one.
    pub fn times(mut self, requests: usize) -> Rule {
        self.strikes = requests;
        self
    }

    /// Strikes every request instead of one.
    pub fn always(self) -> Rule {
        self.times(usize::MAX)
    }

    fn strikes(&mut self, head: &Head) -> bool {
        if self.strikes == 0 || !["*", head.method()].contains(&self.method) || !(self.whose)(head)
        {
            return false;
        }
        if self.passes > 0 {
            self.passes -= 1;
            return false;
        }
        self.strikes -= 1;
        true
    }
}

/// A request that came through the proxy.
#[derive(Clone)]
pub struct Seen {
    pub head: Head,
    /// The bytes of its body that were read.
    pub body_bytes: u64,
    /// The status that the client was given.
    pub status: Option<u16>,
    /// The fault that took effect; a body may end before the byte that one waits for.
    pub fault: Option<Fault>,
}

/// One line for a failing test, without the headers.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [method, target, _] = &self.head.line;
        let (bytes, status, fault) = (self.body_bytes, self.status, &self.fault);
        write!(
            f,
            "{method} {target} ({bytes} bytes) -> {status:?} {fault:?}"
        )
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Answer(status) => write!(f, "Answer({status})"),
            Fault::Say(words) => write!(f, "Say({})", words.status),
            Fault::Tell(_) => write!(f, "Tell"),
            Fault::Rewrite(_) => write!(f, "Rewrite"),
            Fault::Swallow => write!(f, "Swallow"),
            Fault::ResetRequest { after_bytes } => write!(f, "ResetRequest({after_bytes})"),
            Fault::LoseAnswer => write!(f, "LoseAnswer"),
            Fault::TruncateAnswer { after_bytes } => write!(f, "TruncateAnswer({after_bytes})"),
            Fault::AnswerHeader { name, value } => write!(f, "AnswerHeader({name}: {value})"),
            Fault::FlipRequestByte { at } => write!(f, "FlipRequestByte({at})"),
            Fault::FlipAnswerByte { at } => write!(f, "FlipAnswerByte({at})"),
            Fault::Trickle { piece_bytes, pause } => write!(f, "Trickle({piece_bytes}, {pause:?})"),
            Fault::Hang => write!(f, "Hang"),
            Fault::AtRequestByte { at, .. } => write!(f, "AtRequestByte({at})"),
            Fault::AtAnswerByte { at, .. } => write!(f, "AtAnswerByte({at})"),
        }
    }
}

/// The proxy. Signatures stay good through it: it forwards the `Host` that the client has signed.
pub struct Faults {
    listening: Listening,
    shared: Arc<Shared>,
}

/// The state that the connections of the proxy share.
pub struct Shared {
    store: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
}

impl Faults {
    /// Stands in front of `http://ADDRESS:PORT`, with or without a path behind it.
    pub fn in_front_of(endpoint: &str) -> Faults {
        let address = endpoint.trim_start_matches("http://").split('/').next();
        let shared = Arc::new(Shared {
            store: address
                .and_then(|address| address.parse().ok())
                .expect("an address with a port"),
            rules: Mutex::default(),
            seen: Mutex::default(),
        });
        let listening = {
            let shared = Arc::clone(&shared);
            Listening::start(move |client, open| shared.serve(client, open))
        };
        Faults { listening, shared }
    }

    /// Returns the endpoint of the store through the proxy.
    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }

    pub fn add(&self, rule: Rule) {
        locked(&self.shared.rules).push(rule);
    }

    /// From now on everything passes.
    pub fn clear(&self) {
        locked(&self.shared.rules).clear();
    }

    /// Every request so far, also one that is under way.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.shared.seen).clone()
    }

    /// Counts the requests with that method.
    pub fn count(&self, method: &str) -> usize {
        (self.seen().iter())
            .filter(|seen| seen.head.method() == method)
            .count()
    }

    /// Counts the requests that a fault took effect on.
    pub fn struck(&self) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.fault.is_some())
            .count()
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream, open: &Open) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(PIECE_BYTES, client);
        while let Some(head) = Head::read(&mut reader)? {
            let fault = (locked(&self.rules).iter_mut())
                .find_map(|rule| rule.strikes(&head).then(|| rule.fault.clone()));
            let number = self.note_request(&head);
            let mut exchange = Exchange::new(self, number, client, open, fault);
            match exchange.run(head, &mut reader)? {
                Next::Request => {}
                Next::Close => return Ok(()),
            }
        }
        Ok(())
    }

    /// Remembers a request; its number is where what becomes of it is noted.
    fn note_request(&self, head: &Head) -> usize {
        let mut seen = locked(&self.seen);
        seen.push(Seen {
            head: head.clone(),
            body_bytes: 0,
            status: None,
            fault: None,
        });
        seen.len() - 1
    }

    pub fn store(&self) -> SocketAddr {
        self.store
    }

    pub fn note(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut locked(&self.seen)[number]);
    }
}
