//! A person that clicks at random: follows links, starts work by the buttons of pages, and is refused what the role forbids.

use std::time::Instant;

use super::Shared;
use crate::{
    client::{Answer, Client},
    looks::addresses,
};

/// The pages that everybody finds in the navigation.
const PAGES: [&str; 6] = [
    "/",
    "/hosts",
    "/archives",
    "/destinations",
    "/policies",
    "/runs",
];
/// The links of one kind that a person remembers.
const MOST_KNOWN: usize = 20;

/// The role of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    /// Returns the user that has it.
    pub fn user(self) -> &'static str {
        match self {
            Role::Viewer => "vera",
            Role::Operator => "olga",
            Role::Admin => "anna",
        }
    }
}

/// A person with a browser.
pub struct Person {
    role: Role,
    client: Client,
    dice: u64,
    /// The addresses on the page that is seen.
    links: Vec<String>,
    /// The addresses of things that were seen.
    archives: Vec<String>,
    destinations: Vec<String>,
    runs: Vec<String>,
    downloads: Vec<String>,
}

impl Person {
    pub fn new(number: usize, role: Role, client: Client) -> Person {
        Person {
            role,
            client,
            // Each run of the test clicks alike, as far as the server answers alike.
            dice: 0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1),
            links: Vec::new(),
            archives: Vec::new(),
            destinations: Vec::new(),
            runs: Vec::new(),
            downloads: Vec::new(),
        }
    }

    /// Returns a number below `most` (xorshift64, Marsaglia 2003).
    fn roll(&mut self, most: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 33).unwrap_or_default() % most
    }

    fn one_of(&mut self, words: &[String]) -> Option<String> {
        let number = self.roll(words.len().max(1));
        words.get(number).cloned()
    }

    /// Clicks until all stop.
    pub fn click(&mut self, shared: &Shared) {
        while !shared.has_ended() {
            match self.roll(100) {
                0..68 => self.follow(shared),
                68..74 => self.download(shared),
                74..79 => self.simulate(shared),
                79..84 => self.act(shared, "verify"),
                84..86 => self.act(shared, "drill"),
                86..90 => self.act(shared, "mark"),
                90..93 => self.act(shared, "release"),
                93..95 => self.act(shared, "check"),
                95..97 => self.act(shared, "cancel"),
                97..98 => self.act(shared, "plan"),
                _ => self.return_home(),
            }
        }
    }

    fn return_home(&mut self) {
        let number = self.roll(PAGES.len());
        self.links = vec![PAGES[number].to_owned()];
    }

    /// Follows a link of the page that is seen.
    fn follow(&mut self, shared: &Shared) {
        let links = std::mem::take(&mut self.links);
        let Some(link) = self.one_of(&links) else {
            return self.return_home();
        };
        let link = link.split('#').next().unwrap_or_default().to_owned();
        // A form that is sent by POST has no page of its own.
        let Some(answer) = self.get(shared, "page", &link, &[200, 405]) else {
            return;
        };
        let kind = answer.headers("content-type").join(" ");
        if !kind.starts_with("text/html") {
            self.links = links;
            return;
        }
        let text = answer.text();
        if link.contains("/part") {
            return;
        }
        if answer.status == 200 && !text.ends_with("</html>") {
            shared.fault(format!("{link} is not whole: {text}"));
        }
        self.links = addresses(&text);
        self.remember();
    }

    fn remember(&mut self) {
        for link in &self.links {
            let path = link.split(['?', '#']).next().unwrap_or_default();
            let parts: Vec<&str> = path.split('/').collect();
            let (known, link) = match parts.as_slice() {
                ["", "archives", _, "content"] => (&mut self.downloads, link.clone()),
                ["", "archives", id, ..] => (&mut self.archives, format!("/archives/{id}")),
                ["", "destinations", id, ..] => {
                    (&mut self.destinations, format!("/destinations/{id}"))
                }
                ["", "runs", id, ..] => (&mut self.runs, format!("/runs/{id}")),
                _ => continue,
            };
            if !known.contains(&link) {
                known.truncate(MOST_KNOWN - 1);
                known.insert(0, link);
            }
        }
    }

    fn download(&mut self, shared: &Shared) {
        let downloads = self.downloads.clone();
        let Some(link) = self.one_of(&downloads) else {
            return;
        };
        // Too many downloads at once are refused.
        let answer = self.get(shared, "download", &link, &[200, 409]);
        let is_page = link.ends_with("entry=page");
        if let Some(answer) = answer
            && is_page
            && answer.status == 200
            && answer.body != b"first"
        {
            shared.fault(format!("{link} gives {}", answer.text()));
        }
    }

    fn simulate(&mut self, shared: &Shared) {
        let count = self.roll(5) + 1;
        let link =
            format!("/policies/default?simulate=1&name=Default&generation=1&keep_last={count}");
        self.get(shared, "simulation", &link, &[200]);
    }

    /// Starts work by a form, as far as the role may.
    fn act(&mut self, shared: &Shared, act: &str) {
        let (known, path, form) = match act {
            "check" => (&self.destinations, "check", ""),
            "cancel" => (&self.runs, "cancel", ""),
            "mark" => (&self.archives, "mark", "reason=a+soak"),
            "release" => (&self.archives, "mark", "act=release"),
            "plan" => (&self.archives, "plan", "entry=page&entry=data"),
            _ => (&self.archives, act, ""),
        };
        let known = known.clone();
        let Some(known) = self.one_of(&known) else {
            return;
        };
        let path = format!("{known}/{path}");
        let start = Instant::now();
        let answer = self.client.post(&path, form);
        shared.count(act, answer.status, start.elapsed());
        let expected: &[u16] = match self.role {
            Role::Viewer => &[403],
            _ => &[303, 409],
        };
        if !expected.contains(&answer.status) {
            let (status, text) = (answer.status, answer.text());
            shared.fault(format!("POST {path}, {:?}: {status} {text}", self.role));
        }
        if answer.status == 303 {
            self.links = vec![answer.header("location").to_owned()];
        }
    }

    /// Asks for a page. An answer that is not expected is a fault.
    fn get(&self, shared: &Shared, kind: &str, path: &str, expected: &[u16]) -> Option<Answer> {
        let start = Instant::now();
        let answer = self.client.get(path);
        shared.count(kind, answer.status, start.elapsed());
        if expected.contains(&answer.status) {
            return Some(answer);
        }
        let (status, text) = (answer.status, answer.text());
        shared.fault(format!("GET {path}, {:?}: {status} {text}", self.role));
        None
    }
}
