//! `[[backup.notify]]`: messages about runs, and the channels over which they go.

mod headers;
mod mail;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use toml::Value;

pub use self::mail::Email;
use super::{
    reader::{Kinds, Section, did_you_mean},
    secret::{SecretForm, WrittenSecret, is_reference},
};
use crate::model::{occasion::Occasion, run_record::Job, user_command::UserCommand};

/// The time in which a notification has to be sent, unless the configuration says otherwise.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// A notification as the file describes it; secrets are not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its name in messages, and in `told` of the history.
    pub name: String,
    /// The channel over which it goes.
    pub channel: Channel,
    /// The occasions on which it is sent.
    pub on: Vec<Occasion>,
    /// The time limit of everything, retries included.
    pub timeout: Duration,
    /// False if it is not sent.
    pub enabled: bool,
}

/// The channel over which a notification goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A request of HTTP.
    Web(Box<Web>),
    /// A mail.
    Email(Box<Email>),
    /// A command of the user.
    Command(UserCommand),
}

/// A request of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The service that takes it.
    pub service: WebService,
    /// The URL, which holds a secret.
    pub url: WrittenSecret,
    /// The token of ntfy and Gotify.
    pub token: Option<WrittenSecret>,
    /// Further headers of a webhook: those whose names tell of a secret, and references, have secret values.
    pub headers: BTreeMap<String, WrittenSecret>,
    /// The priority of ntfy and Gotify, in place of one by the occasion.
    pub priority: Option<u8>,
    /// Tags of ntfy and Gotify, beside that of the occasion.
    pub tags: Vec<String>,
    /// The certificates of authorities to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// The proxy in place of those of the environment.
    pub proxy: Option<WrittenSecret>,
}

/// A service that takes notifications over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebService {
    /// A server of the user, which gets the record of the run as JSON.
    Webhook,
    /// Slack, and others that take its incoming webhooks.
    Slack,
    /// Discord.
    Discord,
    /// ntfy.
    Ntfy,
    /// Gotify.
    Gotify,
    /// Healthchecks, which alarms if a ping is missing.
    Healthchecks,
}

/// The kinds of notifications; the keys of each are those that its function asks for.
const KINDS: &Kinds<Option<Channel>> = &[
    ("webhook", webhook),
    ("slack", |section| web(section, WebService::Slack)),
    ("discord", |section| web(section, WebService::Discord)),
    ("ntfy", |section| pushed(section, WebService::Ntfy)),
    ("gotify", |section| pushed(section, WebService::Gotify)),
    ("healthchecks", |section| {
        web(section, WebService::Healthchecks)
    }),
    ("email", |section| {
        mail::email(section).map(|email| Channel::Email(Box::new(email)))
    }),
    ("command", command),
];

impl Notification {
    /// Returns true if it is sent on `occasion`. `recovered` follows `stale`, and each is tried when the user asks.
    pub fn is_for(&self, occasion: Occasion) -> bool {
        let named = match occasion {
            Occasion::Test => return true,
            Occasion::Recovered => &[Occasion::Recovered, Occasion::Stale][..],
            _ => &[occasion],
        };
        self.on.iter().any(|on| named.contains(on))
    }

    /// Returns true if it is sent on `occasion` of a run of `job`. A monitor that waits for good runs must not take that
    /// of another job for a backup.
    pub fn is_for_run(&self, occasion: Occasion, job: Job) -> bool {
        let is_good = matches!(
            occasion,
            Occasion::Start | Occasion::Success | Occasion::Skipped
        );
        let is_of_backup = job == Job::Backup || !is_good || !self.channel.waits_for_good_runs();
        self.is_for(occasion) && is_of_backup
    }

    /// Returns true if it runs a command: its channel, or the lookup of a secret.
    pub fn runs_command(&self) -> bool {
        let is_command = matches!(self.channel, Channel::Command(_));
        is_command || self.secrets().iter().any(|secret| !secret.is_at_hand())
    }

    /// Returns every secret.
    pub fn secrets(&self) -> Vec<&WrittenSecret> {
        match &self.channel {
            Channel::Web(web) => {
                let optional = [&web.token, &web.proxy].into_iter().flatten();
                let first = std::iter::once(&web.url).chain(optional);
                first.chain(web.headers.values()).collect()
            }
            Channel::Email(email) => email.password.iter().collect(),
            Channel::Command(_) => Vec::new(),
        }
    }
}

impl Channel {
    /// Returns the name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::Web(web) => match web.service {
                WebService::Webhook => "webhook",
                WebService::Slack => "slack",
                WebService::Discord => "discord",
                WebService::Ntfy => "ntfy",
                WebService::Gotify => "gotify",
                WebService::Healthchecks => "healthchecks",
            },
            Channel::Email(_) => "email",
            Channel::Command(_) => "command",
        }
    }

    /// Returns true if its service alarms when no good run is told.
    fn waits_for_good_runs(&self) -> bool {
        match self {
            Channel::Web(web) => web.service == WebService::Healthchecks,
            Channel::Email(_) | Channel::Command(_) => false,
        }
    }

    /// Returns the occasions unless the configuration names some.
    fn default_occasions(&self) -> Vec<Occasion> {
        let mut occasions = vec![
            Occasion::Failure,
            Occasion::Partial,
            Occasion::Stale,
            Occasion::DrillFailed,
        ];
        if self.waits_for_good_runs() {
            occasions.extend([Occasion::Start, Occasion::Success, Occasion::Skipped]);
        }
        occasions
    }
}

/// Reads `[[backup.notify]]`.
pub(super) fn read(backup: &Section<'_>) -> Vec<Notification> {
    let notifications = backup.repeated("notify", notification);
    let notifications = notifications.unwrap_or_default();
    let mut names = BTreeSet::new();
    for notification in &notifications {
        if !names.insert(&notification.name) {
            let name = &notification.name;
            backup.fault("notify", format!("has two sections of the name `{name}`"));
        }
    }
    notifications
}

fn notification(section: &Section<'_>) -> Option<Notification> {
    section.foreign(&[
        ("events", "it is `on`"),
        ("states", "it is `on`"),
        ("type", "it is `kind`"),
        ("webhook_url", "it is `url`"),
        ("ping_url", "it is `url`"),
        (
            "topic",
            "it is the end of `url`, as in https://ntfy.sh/TOPIC",
        ),
        ("host", "it is `smtp`, as in smtps://HOST:465"),
        ("server", "it is `url`, and for mail `smtp`"),
        ("username", "it is `user`"),
        ("command", "it is `run`"),
    ]);
    let name = section.required("name").filter(|name| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_good = name.bytes().all(is_of_name);
        if !is_good {
            section.fault("name", "may have letters, digits, `.`, `_` and `-`");
        }
        is_good
    });
    section.require("kind");
    let kinds: Vec<(&str, &str)> = KINDS.iter().map(|(kind, _)| (*kind, *kind)).collect();
    let channel = match section.word("kind", &kinds) {
        Some(kind) => section.of_kind("notifications", kind, KINDS).flatten(),
        None => {
            section.of_any_kind(KINDS);
            None
        }
    };
    let on = occasions(section);
    let timeout = section.limit("timeout");
    let enabled = section.flag("enabled").unwrap_or(true);
    let channel = channel?;
    Some(Notification {
        name: name?,
        on: on.unwrap_or_else(|| channel.default_occasions()),
        channel,
        timeout: timeout.unwrap_or(NOTIFY_TIMEOUT),
        enabled,
    })
}

fn occasions(section: &Section<'_>) -> Option<Vec<Occasion>> {
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    if section.value("on").is_some_and(is_empty) {
        section.fault("on", "names nothing: `enabled = false` turns it off");
    }
    let known: Vec<&str> = Occasion::NAMES.iter().map(|(name, _)| *name).collect();
    let mut occasions = Vec::new();
    for word in section.list("on") {
        match Occasion::NAMES.iter().find(|(name, _)| *name == word) {
            Some((_, occasion)) => occasions.push(*occasion),
            None => {
                let meant = did_you_mean(&word, &known);
                let known = known.join(", ");
                section.fault("on", format!("has words of {known}{meant}"));
            }
        }
    }
    section.value("on").map(|_| occasions)
}

fn web(section: &Section<'_>, service: WebService) -> Option<Channel> {
    request(section, service).map(|web| Channel::Web(Box::new(web)))
}

fn webhook(section: &Section<'_>) -> Option<Channel> {
    let headers = headers::headers(section);
    let web = request(section, WebService::Webhook)?;
    Some(Channel::Web(Box::new(Web { headers, ..web })))
}

/// Reads a kind that has priorities.
fn pushed(section: &Section<'_>, service: WebService) -> Option<Channel> {
    let token = section.secret("token", SecretForm::Key);
    let tags = section.list("tags");
    let is_plain = |tag: &String| {
        !tag.is_empty() && !tag.contains(|letter: char| letter.is_control() || letter == ',')
    };
    if !tags.iter().all(is_plain) {
        section.fault("tags", "has words without commas and control characters");
    }
    let (says, range) = match service {
        WebService::Gotify => ("a number from 0 to 10", 0..=10),
        _ => ("a number from 1 to 5", 1..=5),
    };
    let priority = section.number("priority", says, |number| range.contains(number));
    let web = request(section, service)?;
    Some(Channel::Web(Box::new(Web {
        token,
        tags,
        priority,
        ..web
    })))
}

fn request(section: &Section<'_>, service: WebService) -> Option<Web> {
    section.require("url");
    let url = section.secret("url", SecretForm::Url);
    let proxy = section.proxy("proxy");
    let ca_file = section.path("ca_file");
    let url = url?;
    let text = url.text.reveal();
    let begin = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let is_web = begin.starts_with("http://") || begin.starts_with("https://");
    if !is_web && !is_reference(text) {
        section.fault("url", "must begin with https:// or http://, or refer to a place, as in \"file:/etc/hookshot/url\"");
        return None;
    }
    Some(Web {
        service,
        url,
        token: None,
        headers: BTreeMap::new(),
        priority: None,
        tags: Vec::new(),
        ca_file,
        proxy,
    })
}

fn command(section: &Section<'_>) -> Option<Channel> {
    section.require("run");
    section.command("run").map(Channel::Command)
}

#[cfg(test)]
mod tests;
