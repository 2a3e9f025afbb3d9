//! Notifications by mail: the message, and its delivery to the server of the configuration.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use lettre::{
    Message as Mail, SmtpTransport, Transport as _,
    address::Envelope,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};

use super::{
    fitted::shortened,
    limit::Limit,
    message::Message,
    tries::{Tries, rest},
};
use crate::{
    config::{
        mail_server::{MailServer, MailTls},
        notify::Email,
        secret::Lookup,
    },
    context::Context,
    error::{Failure, Kind},
    model::secret_forms::base64,
    store::{
        Secret,
        authorities::{self, Authorities},
        distrust::{KeyNames, distrust},
    },
    work::shell::Runner,
};

/// The longest subject, in characters.
const MOST_OF_SUBJECT: usize = 200;
/// The longest quotation of a server's words, in characters.
const MOST_QUOTED: usize = 200;

const KEYS: KeyNames = KeyNames {
    ca_file: "`ca_file`",
    address: "`smtp`",
    plain: "smtp://",
};

/// The channel of mails, with its secrets.
pub struct MailChannel {
    server: MailServer,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    ca_file: Option<PathBuf>,
}

/// A mail that is ready to be sent.
pub struct ReadyMail {
    channel: MailChannel,
    tls: Tls,
    client: ClientId,
    content: Vec<u8>,
}

/// A fault of the channel.
struct MailFault {
    text: String,
    may_pass: bool,
}

impl MailChannel {
    /// Resolves the password, and reads the addresses.
    pub fn resolve(email: &Email, lookup: &Lookup<'_>) -> Result<MailChannel> {
        let (from, to) = addresses(email)?;
        let login = match (&email.user, &email.password) {
            (Some(user), Some(password)) => Some((user.clone(), lookup.resolve(password)?)),
            _ => None,
        };
        if let Some((user, password)) = &login {
            let password = password.reveal();
            // A server may repeat the login as it was sent (RFC 4616; `AUTH LOGIN`).
            let plain = format!("\0{user}\0{password}");
            for sent in [&plain, user, password] {
                lookup.runner.masks.add(&base64(sent.as_bytes()));
            }
        }
        Ok(MailChannel {
            server: email.server.clone(),
            login,
            from,
            to,
            ca_file: lookup.path(email.ca_file.as_deref()),
        })
    }

    /// Makes the mail of a message.
    pub fn mail(self, context: &Context, message: &Message) -> Result<ReadyMail> {
        let tls = self.tls(context)?;
        let host = context.hostname.as_deref().filter(|host| {
            let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            !host.is_empty() && host.bytes().all(is_of_host)
        });
        let client = match host {
            Some(host) => ClientId::Domain(host.to_owned()),
            None => ClientId::default(),
        };
        let content = self.content(context, message)?;
        Ok(ReadyMail {
            channel: self,
            tls,
            client,
            content,
        })
    }

    fn content(&self, context: &Context, message: &Message) -> Result<Vec<u8>> {
        let now = context.now + context.begun.elapsed();
        let (run, occasion) = (&message.record.run_id, message.occasion.name());
        let is_of_id = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        let run: String = run.chars().filter(is_of_id).collect();
        let seconds = now.timestamp();
        let id = format!("<{run}.{occasion}.{seconds}@{}>", self.from.email.domain());
        let mut mail = Mail::builder()
            .from(self.from.clone())
            .subject(shortened(&message.words.title, MOST_OF_SUBJECT))
            .date(SystemTime::from(now))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        // Machines do not answer it (RFC 3834).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mail = mail.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
        let mail = mail.body(format!("{}\n", message.words.text))?;
        Ok(mail.formatted())
    }

    fn tls(&self, context: &Context) -> Result<Tls> {
        if self.server.tls == MailTls::Never {
            return Ok(Tls::None);
        }
        let ca_file = self.ca_file.as_deref();
        let authorities = Authorities::read(ca_file, None, &context.environment, parse)?;
        let mut parameters = TlsParameters::builder(self.server.host.clone());
        if authorities.has_system {
            parameters = parameters.certificate_store(CertificateStore::None);
        }
        for certificate in authorities.named {
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.build_rustls()?;
        Ok(match self.server.tls {
            MailTls::Wrapped => Tls::Wrapper(parameters),
            MailTls::Required => Tls::Required(parameters),
            MailTls::Offered | MailTls::Never => Tls::Opportunistic(parameters),
        })
    }
}

impl ReadyMail {
    /// Sends a mail to each recipient. The error names those that did not get it, and holds no secret.
    pub fn send(&self, tries: Tries, limit: &Limit, runner: &Runner) -> Result<(), String> {
        let mut faults: Vec<(String, Vec<String>)> = Vec::new();
        let mut missed = 0;
        for to in &self.channel.to {
            let Err(fault) = self.send_to(to, tries, limit, runner) else {
                continue;
            };
            missed += 1;
            let address = to.email.to_string();
            match faults.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, addresses)) => addresses.push(address),
                None => faults.push((fault, vec![address])),
            }
        }
        let all = self.channel.to.len();
        let said = |(fault, to): &(String, Vec<String>)| format!("{}: {fault}", to.join(", "));
        match &faults[..] {
            [] => Ok(()),
            [(fault, _)] if all == 1 => Err(fault.clone()),
            _ => {
                let faults: Vec<String> = faults.iter().map(said).collect();
                let faults = faults.join("; ");
                Err(format!("sent to {} of {all}; {faults}", all - missed))
            }
        }
    }

    fn send_to(
        &self,
        to: &Mailbox,
        tries: Tries,
        limit: &Limit,
        runner: &Runner,
    ) -> Result<(), String> {
        let from = Some(self.channel.from.email.clone());
        let envelope = Envelope::new(from, vec![to.email.clone()]);
        let envelope = envelope.map_err(|error| error.to_string())?;
        let mut count = 1;
        loop {
            let time = limit.left() / (tries.count - count + 1).max(1);
            if time.is_zero() {
                return Err(limit.reason());
            }
            let server = &self.channel.server;
            let mut transport = SmtpTransport::builder_dangerous(server.host.clone())
                .port(server.port)
                .tls(self.tls.clone())
                .hello_name(self.client.clone())
                .timeout(Some(time));
            if let Some((user, password)) = &self.channel.login {
                let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
                transport = transport.credentials(credentials);
            }
            let Err(error) = transport.build().send_raw(&envelope, &self.content) else {
                return Ok(());
            };
            let fault = self.fault(&error, runner);
            if !fault.may_pass || count >= tries.count || !rest(limit, tries.pause(count)) {
                return Err(fault.text);
            }
            count += 1;
        }
    }

    /// Explains why a mail was not taken.
    fn fault(&self, error: &Error, runner: &Runner) -> MailFault {
        let shown = self.channel.server.words();
        // Connections end in a chain of causes, answers of the server in its words.
        let mut chain = vec![error.to_string()];
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        let words = chain.last().cloned().unwrap_or_default();
        let words = quoted(&runner.masked(&words));
        let text = chain.join("\n");
        let lasting = |text: String| MailFault {
            text,
            may_pass: false,
        };
        if let Some((what, hint)) = distrust(&text, &shown, &KEYS) {
            return lasting(format!("{what}; {hint}"));
        }
        let code = error.status().map(u16::from);
        let user = self.channel.login.as_ref().map(|(user, _)| user.as_str());
        match (code, user) {
            (Some(534 | 535), Some(user)) => {
                return lasting(format!(
                    "{shown} does not accept the login of {user}: {words}; look at `user` and `password`"
                ));
            }
            (Some(530 | 550 | 554), None)
                if text.to_ascii_lowercase().contains("authentication") =>
            {
                return lasting(format!(
                    "{shown} wants a login: {words}; set `user` and `password`"
                ));
            }
            (Some(code), _) => {
                return MailFault {
                    text: format!(
                        "{shown} refuses the mail with status {code}: {words}; look at `from` and `to`"
                    ),
                    may_pass: error.is_transient(),
                };
            }
            _ => {}
        }
        if text.contains("STARTTLS is not supported") {
            return lasting(format!(
                "{shown} offers no STARTTLS, so nothing was sent; write smtps:// for TLS from the beginning, or \
                `starttls = \"never\"` to send without"
            ));
        }
        if text.contains("authentication mechanism") {
            return lasting(format!(
                "{shown} offers no way to log in that hookshot knows; it may do so only under TLS"
            ));
        }
        let hint = "look at `smtp` and at the network";
        match error.is_timeout()
            || text.contains("timed out")
            || text.contains("temporarily unavailable")
        {
            true => MailFault {
                text: format!("{shown} gave no answer in time; {hint}"),
                may_pass: true,
            },
            false => MailFault {
                text: format!("no mail could be given to {shown}: {words}; {hint}"),
                may_pass: !error.is_client(),
            },
        }
    }
}

/// Checks the file of authorities, without a connection.
pub fn check_authorities(ca_file: Option<&Path>) -> Result<()> {
    authorities::look_over(ca_file, parse)
}

/// Reads the sender and the recipients of a mail.
pub fn addresses(email: &Email) -> Result<(Mailbox, Vec<Mailbox>), Failure> {
    let to = email.to.iter().map(|to| mailbox("to", to));
    Ok((mailbox("from", &email.from)?, to.collect::<Result<_, _>>()?))
}

/// Reads an address.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|_| {
        let message = format!("`{key}` holds an address that a mail cannot have");
        Failure::new(Kind::Usage, message)
            .hint("write it as ops@example.org, or NAME <ops@example.org>")
    })
}

fn parse(pem: &[u8]) -> Option<Vec<Certificate>> {
    let begin = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begin.len()).any(|bytes| bytes == begin) {
        return Some(Vec::new());
    }
    Some(vec![Certificate::from_pem(pem).ok()?])
}

fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
    shortened(&line, MOST_QUOTED)
}
