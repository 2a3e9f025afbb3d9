//! Notifications over HTTP: the request of each service, and its retries.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    fitted::{fitted, shortened},
    limit::Limit,
    message::Message,
    tries::{Tries, rest},
    urgency::Urgency,
};
use crate::{
    config::{
        notify::{Web, WebService},
        secret::Lookup,
    },
    error::{Failure, Kind},
    model::{
        occasion::Occasion,
        run_record::{RunResult, SkipReason},
    },
    store::{
        Secret,
        web::{Reads, WebAddress, WebAnswer, WebClient, WebFault, WebRequest},
    },
    work::shell::Runner,
};

/// The longest content of Discord (Discord's documentation, "Execute Webhook"), with some room for its own count.
const MOST_OF_DISCORD: usize = 1900;
/// The longest text of Slack that it shows whole.
const MOST_OF_SLACK: usize = 3900;
/// The longest text of ntfy in bytes: of 4,096 bytes and more it makes a file (ntfy's documentation, "Limitations").
/// Healthchecks keeps as much and more.
const MOST_OF_TEXT: usize = 4000;
/// The longest quotation of a server's words, in characters.
const MOST_QUOTED: usize = 160;

/// A notification over HTTP with its secrets.
pub struct WebChannel {
    service: WebService,
    address: WebAddress,
    headers: Vec<(String, Secret)>,
    priority: Option<u8>,
    tags: Vec<String>,
    ca_file: Option<PathBuf>,
    proxy: Option<Secret>,
}

impl WebChannel {
    /// Resolves the secrets of a notification.
    pub fn resolve(web: &Web, lookup: &Lookup<'_>) -> Result<WebChannel> {
        let url = lookup.resolve(&web.url)?;
        let address = address(&url)?;
        for secret in address.secrets() {
            lookup.runner.masks.add(&secret);
        }
        let proxy = web.proxy.as_ref().map(|proxy| lookup.resolve(proxy));
        let token = web.token.as_ref().map(|token| lookup.resolve(token));
        let mut headers = Vec::new();
        for (name, value) in &web.headers {
            headers.push((name.clone(), lookup.resolve(value)?));
        }
        if let Some(token) = token.transpose()? {
            headers.push(match web.service {
                WebService::Gotify => ("X-Gotify-Key".to_owned(), token),
                _ => {
                    let bearer = format!("Bearer {}", token.reveal());
                    ("Authorization".to_owned(), Secret::new(bearer))
                }
            });
        }
        Ok(WebChannel {
            service: web.service,
            address,
            headers,
            priority: web.priority,
            tags: web.tags.clone(),
            ca_file: lookup.path(web.ca_file.as_deref()),
            proxy: proxy.transpose()?,
        })
    }

    /// Makes the client of the service, which waits for a connection at most `patience`.
    pub fn client(&self, lookup: &Lookup<'_>, patience: Duration) -> Result<WebClient> {
        let (ca_file, proxy) = (self.ca_file.as_deref(), self.proxy.as_ref());
        WebClient::new(&self.address, ca_file, proxy, lookup.environment, patience)
    }

    /// Returns the request that sends a message.
    pub fn request(&self, message: &Message) -> WebRequest {
        let words = &message.words;
        let letters = |text: &str| text.chars().count();
        let mut headers = self.headers.clone();
        let plain = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let mut address = self.address.clone();
        let body = match self.service {
            WebService::Webhook => Some(message.json.clone()),
            WebService::Slack => {
                let text = fitted(&words.text, MOST_OF_SLACK, letters);
                Some(json!({ "text": for_slack(&text) }))
            }
            WebService::Discord => Some(json!({
                "content": fitted(&words.text, MOST_OF_DISCORD, letters),
                "allowed_mentions": { "parse": [] },
            })),
            WebService::Gotify => {
                if address.last_segment() != "message" {
                    address = address.below("message");
                }
                Some(self.for_gotify(message))
            }
            WebService::Ntfy | WebService::Healthchecks => None,
        };
        let body = match body {
            Some(body) => {
                headers.insert(0, plain("Content-Type", "application/json"));
                body.to_string()
            }
            None => {
                headers.insert(0, plain("Content-Type", "text/plain; charset=utf-8"));
                fitted(&words.text, MOST_OF_TEXT, str::len)
            }
        };
        match self.service {
            WebService::Ntfy => {
                let priority = self
                    .priority
                    .unwrap_or(match Urgency::of(message.occasion) {
                        Urgency::Alarm => 5,
                        Urgency::Warning => 4,
                        Urgency::Notice => 3,
                    });
                headers.push(plain("Title", &on_one_line(&words.title)));
                headers.push(plain("Priority", &priority.to_string()));
                headers.push(plain("Tags", &self.tags(message).join(",")));
            }
            WebService::Healthchecks => address = ping(&address, message),
            _ => {}
        }
        WebRequest {
            address,
            headers,
            body: Some(body.into_bytes()),
            reads: match self.service {
                WebService::Healthchecks => Reads::Successes,
                _ => Reads::Refusals,
            },
        }
    }

    fn for_gotify(&self, message: &Message) -> Value {
        let priority = self
            .priority
            .unwrap_or(match Urgency::of(message.occasion) {
                Urgency::Alarm => 8,
                Urgency::Warning => 6,
                Urgency::Notice => 4,
            });
        json!({
            "title": message.words.title,
            "message": message.words.text,
            "priority": priority,
            "extras": {
                "client::display": { "contentType": "text/plain" },
                "hookshot::run": {
                    "occasion": message.occasion.name(),
                    "run_id": message.record.run_id,
                    "tags": self.tags(message),
                },
            },
        })
    }

    /// Returns the tag of the occasion, which ntfy shows as a picture, and those of the configuration.
    fn tags(&self, message: &Message) -> Vec<String> {
        let own = match message.occasion {
            Occasion::Start => "hourglass_flowing_sand",
            Occasion::Success | Occasion::Recovered => "white_check_mark",
            Occasion::Skipped => "fast_forward",
            Occasion::Partial => "warning",
            Occasion::Failure | Occasion::Stale | Occasion::DrillFailed => "rotating_light",
            Occasion::Test => "bell",
        };
        let tags = std::iter::once(own.to_owned());
        tags.chain(self.tags.iter().cloned()).collect()
    }
}

/// Returns the address of a URL. The failure repeats nothing of it.
pub fn address(url: &Secret) -> Result<WebAddress, Failure> {
    let refuse = |fault| Failure::new(Kind::Usage, format!("`url` {fault}"));
    WebAddress::parse(url.reveal()).map_err(refuse)
}

/// Sends a request, until it succeeds, the tries are used up, or the time is over. The error holds no secret.
///
/// The first answer may take all of the time. A request that had no answer in time is not repeated: the message may have
/// arrived.
pub fn send(
    client: &WebClient,
    request: &WebRequest,
    tries: Tries,
    limit: &Limit,
    runner: &Runner,
) -> Result<(), String> {
    let mut count = 1;
    loop {
        let time = limit.left();
        if time.is_zero() {
            return Err(limit.reason());
        }
        let (fault, asked) = match client.send(request, time) {
            Ok(answer) if (200..300).contains(&answer.status) => match lost_ping(client, &answer) {
                None => return Ok(()),
                Some(fault) => (fault, None),
            },
            Ok(answer) => (refusal(client, request, &answer, runner), answer.rest),
            Err(fault) => (fault, None),
        };
        let text = format!("{}; {}", fault.what, fault.hint);
        if !fault.may_pass || count >= tries.count {
            return Err(text);
        }
        let pause = tries.pause(count).max(asked.unwrap_or_default());
        if !rest(limit, pause) {
            return Err(match asked {
                Some(asked) if asked == pause => {
                    let seconds = asked.as_secs();
                    format!(
                        "{}; it asks for a pause of {seconds} s, which `timeout` does not permit",
                        fault.what
                    )
                }
                _ => text,
            });
        }
        count += 1;
    }
}

/// Explains a success by which Healthchecks says that it did not take the ping (its documentation, "Pinging API").
fn lost_ping(client: &WebClient, answer: &WebAnswer) -> Option<WebFault> {
    let text = answer.text.to_ascii_lowercase();
    let hint = match &text {
        text if text.contains("not found") => "look at `url`: the service has no such check",
        text if text.contains("rate limited") => {
            "look at `url`: the check gets too many pings a minute"
        }
        _ => return None,
    };
    let shown = client.shown();
    Some(WebFault {
        what: format!("{shown} did not take the ping: {}", quoted(&answer.text)),
        hint: hint.to_owned(),
        may_pass: false,
    })
}

/// Explains an answer that is not a success.
fn refusal(
    client: &WebClient,
    request: &WebRequest,
    answer: &WebAnswer,
    runner: &Runner,
) -> WebFault {
    if let Some(fault) = client.proxy_fault(answer) {
        return fault;
    }
    let (shown, status) = (client.shown(), answer.status);
    let fault = |what: String, hint: &str, may_pass: bool| WebFault {
        what,
        hint: hint.to_owned(),
        may_pass,
    };
    if (300..400).contains(&status) {
        let to = answer.leads_to.as_deref().unwrap_or("another address");
        return fault(
            format!(
                "{shown} answers with status {status} and leads to {to}, which is not followed"
            ),
            "write the address to which it leads as `url`",
            false,
        );
    }
    // A server may repeat the whole path, of which the run masks the secret parts alone.
    let mut masks = runner.masks.clone();
    for part in request.address.parts() {
        masks = masks.with(&part);
    }
    let words = masks.masked(answer.text.as_bytes());
    let words = quoted(&String::from_utf8_lossy(&words));
    // A proxy that does not reach the server answers itself.
    let by = match status {
        502..=504 => client.answering(),
        _ => shown,
    };
    let what = match words.is_empty() {
        true => format!("{by} answers with status {status}"),
        false => format!("{by} answers with status {status}: {words}"),
    };
    match status {
        408 | 429 | 500.. => fault(what, "try again later, or look at the service", true),
        401 | 403 => fault(
            what,
            "look at the secret: `url`, `token` or `headers`",
            false,
        ),
        404 | 405 | 410 => fault(
            what,
            "look at `url`: the service does not know this address",
            false,
        ),
        _ => fault(
            what,
            "look at `url` and at the kind of the notification",
            false,
        ),
    }
}

/// Returns some words of a server, which are not a page: one line without URLs.
fn quoted(text: &str) -> String {
    if text.trim_start().starts_with('<') {
        return String::new();
    }
    let words = text
        .split_whitespace()
        .map(|word| if word.contains("://") { "(URL)" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    shortened(&line, MOST_QUOTED)
}

/// Escapes the letters with a meaning in Slack: `<!channel>` would ping everyone there.
fn for_slack(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the address of the ping: `/start` when a run begins, `/EXITCODE` if it did not end well, and `/log` for what
/// says nothing about the backups.
fn ping(address: &WebAddress, message: &Message) -> WebAddress {
    let record = &message.record;
    let below = |segment: &str| address.below(segment).with("rid", &record.run_id);
    let code = match message.occasion {
        Occasion::Start => return below("start"),
        Occasion::Test => return below("log"),
        Occasion::Skipped if record.skipped == Some(SkipReason::Hook) => return below("log"),
        Occasion::Success | Occasion::Skipped | Occasion::Recovered => 0,
        // A run that was killed has no exit code.
        _ => match record.exit_code {
            Some(code) if code > 0 => code,
            _ if record.result == RunResult::Partial => 3,
            _ => 1,
        },
    };
    match code {
        0 => address.with("rid", &record.run_id),
        code => below(&code.to_string()),
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
