//! `smtp` of a notification by mail: the server, and the TLS of the connection to it.

/// The server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The TLS of the connection.
    pub tls: MailTls,
}

/// The TLS of a connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte: `smtps://`.
    Wrapped,
    /// By STARTTLS, if the server offers it.
    Offered,
    /// By STARTTLS; without it nothing is sent.
    Required,
    /// None.
    Never,
}

impl MailTls {
    /// The values of `starttls`.
    pub const NAMES: [(&'static str, MailTls); 2] =
        [("required", MailTls::Required), ("never", MailTls::Never)];
}

impl MailServer {
    /// Reads `smtps://HOST[:465]` or `smtp://HOST[:587]`. The fault repeats nothing of it.
    pub fn parse(url: &str) -> Result<MailServer, &'static str> {
        const FORM: &str = "must be smtps://HOST:465, or smtp://HOST:587 for STARTTLS";
        let (scheme, server) = url.split_once("://").ok_or(FORM)?;
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => (MailTls::Wrapped, 465),
            "smtp" => (MailTls::Offered, 587),
            _ => return Err(FORM),
        };
        if server.contains('@') {
            return Err("holds a user: `user` and `password` have keys of their own");
        }
        let server = server.strip_suffix('/').unwrap_or(server);
        let (host, rest) = match server.strip_prefix('[') {
            Some(server) => server.split_once(']').ok_or(FORM)?,
            None => server.split_at(server.find(':').unwrap_or(server.len())),
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => port,
            None => return Err(FORM),
            Some(digits) => match digits.parse() {
                Ok(port) if port > 0 && !digits.starts_with('+') => port,
                _ => return Err(FORM),
            },
        };
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_of_host) {
            return Err(FORM);
        }
        Ok(MailServer {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// Returns true if the server is this machine.
    pub fn is_here(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Returns its description for messages.
    pub fn words(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_read_and_its_faults_repeat_nothing() {
        for (url, words, tls) in [
            (
                "smtps://mail.example.org",
                "mail.example.org:465",
                MailTls::Wrapped,
            ),
            (
                "smtp://mail.example.org/",
                "mail.example.org:587",
                MailTls::Offered,
            ),
            ("SMTP://127.0.0.1:2525", "127.0.0.1:2525", MailTls::Offered),
            ("smtps://[::1]:9", "[::1]:9", MailTls::Wrapped),
            ("smtps://[::1]", "[::1]:465", MailTls::Wrapped),
        ] {
            let server = MailServer::parse(url).expect(url);
            assert_eq!((server.words().as_str(), server.tls), (words, tls));
        }
        assert!(MailServer::parse("smtp://[::1]").expect("good").is_here());
        assert!(!MailServer::parse("smtp://h").expect("good").is_here());
        for url in [
            "mail.example.org",
            "https://hunter2",
            "smtp://",
            "smtp://h:0",
            "smtp://h:99999",
            "smtp://h:+25",
            "smtp://me:hunter2@h",
            "smtp://h/hunter2",
            "smtp://h hunter2",
            "smtps://[::1",
        ] {
            let fault = MailServer::parse(url).expect_err(url);
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
