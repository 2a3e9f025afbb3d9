//! The reasons why a client of TLS does not trust a server, in words.

/// The words for the keys of the configuration that advice names.
pub struct KeyNames {
    /// The key of the file of authorities.
    pub ca_file: &'static str,
    /// The key of the server's address.
    pub address: &'static str,
    /// The spelling of an address without TLS.
    pub plain: &'static str,
}

/// Explains why a server, or a proxy before it, is not trusted: the reason and the advice. `text` is that of all causes,
/// `shown` the server.
pub fn distrust(text: &str, shown: &str, keys: &KeyNames) -> Option<(String, String)> {
    let KeyNames {
        ca_file,
        address,
        plain,
    } = keys;
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.contains("invalid peer certificate") {
        let (what, hint) = if says(&["UnknownIssuer"]) {
            (
                format!("the certificate of {shown} is from an authority that is not known here"),
                format!(
                    "name the file of your own authority (PEM) by {ca_file} or by SSL_CERT_FILE; public ones come with \
                    the system's package ca-certificates"
                ),
            )
        } else if says(&["CaUsedAsEndEntity"]) {
            (
                format!(
                    "the certificate of {shown} is self-signed, and made for an authority instead of a server"
                ),
                format!(
                    "make one with `basicConstraints = critical,CA:FALSE` and the server's name as `subjectAltName`, \
                    and name its file by {ca_file}"
                ),
            )
        } else if says(&["NotValidYet", "not valid yet", "not yet valid"]) {
            (
                format!("the certificate of {shown} is not valid yet"),
                "look at this machine's clock".to_owned(),
            )
        } else if says(&["Expired", "expired"]) {
            (
                format!("the certificate of {shown} has expired"),
                "renew it on the server; if it is newer than that, look at this machine's clock"
                    .to_owned(),
            )
        } else if says(&["NotValidForName", "not valid for name"]) {
            (
                format!(
                    "the certificate of {shown} is for another name{}",
                    names(text)
                ),
                format!(
                    "write {address} with a name of the certificate, or have one made that names this host as `subjectAltName`"
                ),
            )
        } else if says(&["Revoked", "revoked"]) {
            (
                format!("the certificate of {shown} was revoked"),
                "have a new one made for the server".to_owned(),
            )
        } else {
            let (_, code) = text.split_once("invalid peer certificate: ")?;
            let code: String = code.lines().next()?.chars().take(80).collect();
            (
                format!("the certificate of {shown} is refused: {code}"),
                "have a certificate of version 3 with `subjectAltName` made for the server"
                    .to_owned(),
            )
        };
        return Some((what, hint));
    }
    if says(&["InvalidContentType", "corrupt message"]) {
        return Some((
            format!("{shown} does not speak TLS"),
            format!("look at the port of {address}; a server without TLS is written {plain}"),
        ));
    }
    if says(&["fatal alert", "PeerIncompatible", "peer is incompatible"]) {
        return Some((
            format!("{shown} and hookshot have no version of TLS, or no cipher, in common"),
            "let the server speak TLS 1.2 or 1.3; if it asks for certificates of its clients, hookshot has none"
                .to_owned(),
        ));
    }
    None
}

/// Returns the names in the certificate, as rustls tells them.
fn names(text: &str) -> String {
    let Some((_, rest)) = text.split_once("certificate is only valid for ") else {
        return String::new();
    };
    let names = rest.lines().next().unwrap_or_default();
    let plain = |letter: &char| !letter.is_control() && *letter != '"';
    let names: String = names.chars().filter(plain).take(100).collect();
    format!(": {names}")
}
