//! Notifications by mail: the server, the login and the addresses.

use std::path::PathBuf;

use toml::Value;

use crate::config::{
    mail_server::{MailServer, MailTls},
    reader::Section,
    secret::{SecretForm, WrittenSecret},
};

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The server that takes it.
    pub server: MailServer,
    /// The user of the server.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<WrittenSecret>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// The certificates of authorities to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Reads a notification by mail.
pub(super) fn email(section: &Section<'_>) -> Option<Email> {
    let server = section.required("smtp").and_then(|url| {
        let refuse = |fault| section.fault("smtp", fault);
        MailServer::parse(&url).map_err(refuse).ok()
    });
    let starttls = section.word("starttls", &MailTls::NAMES);
    let user = section.text("user");
    let password = section.secret("password", SecretForm::Line);
    section.require("from");
    section.require("to");
    let mut from = mailboxes(section, "from");
    let to = mailboxes(section, "to");
    let ca_file = section.path("ca_file");
    if let (Some(_), None) | (None, Some(_)) = (&user, &password) {
        section.refuse(format!(
            "`user` and `password` go together under [{}]",
            section.name()
        ));
    }
    if from.len() > 1 {
        section.fault("from", "must be one address");
    }
    let mut server = server?;
    match (server.tls, starttls) {
        (MailTls::Wrapped, Some(_)) => {
            section.fault("starttls", "goes with smtp://: smtps:// is TLS already");
        }
        (_, Some(starttls)) => server.tls = starttls,
        // A password must not go out because an attacker hides the offer.
        (MailTls::Offered, None) if password.is_some() && !server.is_here() => {
            server.tls = MailTls::Required;
        }
        _ => {}
    }
    (!to.is_empty()).then_some(())?;
    Some(Email {
        server,
        user,
        password,
        from: from.pop()?,
        to,
        ca_file,
    })
}

/// Reads one address, or a list of addresses: `ops@example.org` or `Ops <ops@example.org>`.
fn mailboxes(section: &Section<'_>, key: &'static str) -> Vec<String> {
    let texts = match section.value(key) {
        None => return Vec::new(),
        Some(Value::String(text)) => Some(vec![text.as_str()]),
        Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    let is_mailbox = |text: &&str| {
        let address = match text.rsplit_once('<') {
            Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
            None => text,
        };
        let parts = address.rsplit_once('@');
        let is_bad = |letter: char| letter.is_control() || letter.is_whitespace();
        parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
            && !address.contains(is_bad)
            && !text.contains(char::is_control)
    };
    match texts.filter(|texts| !texts.is_empty() && texts.iter().all(is_mailbox)) {
        Some(texts) => texts.into_iter().map(str::to_owned).collect(),
        None => {
            section.fault(
                key,
                "must be an address, as in \"ops@example.org\", or a list of addresses",
            );
            Vec::new()
        }
    }
}
