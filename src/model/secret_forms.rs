//! The forms in which a server may repeat a secret: parts of a header, Base64, and what `%XX` stands for.

/// The length from which a word of a header is a secret by itself.
const LEAST_BYTES: usize = 6;
/// The digits of Base64 (RFC 4648, section 4).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the words of a header's value that are secrets by themselves, without the scheme: the key of
/// `Bearer KEY`, what the Base64 of `Basic` holds, the value of a cookie.
pub fn of_header(value: &str) -> Vec<String> {
    let words = value.split([' ', '\t', ';', ',']);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_scheme = |word: &&&str| {
        let is_of_scheme = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        words.len() > 1 && word.bytes().all(is_of_scheme)
    };
    let has_scheme = words.first().filter(is_scheme).is_some();
    let mut secrets = Vec::new();
    for word in words.iter().skip(usize::from(has_scheme)) {
        let named = word.split_once('=').map(|(_, value)| value);
        let named = named.filter(|value| value.len() >= LEAST_BYTES);
        let word = named.unwrap_or(word).trim_matches('"');
        if word.len() >= LEAST_BYTES {
            secrets.push(word.to_owned());
            if let Some(login) = base64_text(word)
                && let Some((_, password)) = login.split_once(':')
            {
                secrets.push(password.to_owned());
            }
        }
    }
    secrets
}

/// Returns bytes in Base64.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            text.push(if place > group.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

/// Returns the text that a word of Base64 holds; `None` if it is not Base64, or holds no text.
fn base64_text(word: &str) -> Option<String> {
    String::from_utf8(base64_bytes(word)?).ok()
}

/// Returns the bytes that a word of Base64 holds; `None` if it is not Base64.
pub fn base64_bytes(word: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for digit in word.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).ok()?);
        }
    }
    Some(bytes)
}

/// Returns the text that a part of a URL stands for (RFC 3986, section 2.1); `None` if it is the same, or not text.
pub fn percent_decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        let byte = match (first, after) {
            (b'%', &[high, low, ..]) => {
                let value = hex(high).zip(hex(low));
                value.and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
            }
            _ => None,
        };
        bytes.push(byte.unwrap_or(first));
        rest = match byte {
            Some(_) => &after[2..],
            None => after,
        };
    }
    let text = String::from_utf8(bytes).ok()?;
    (text != part).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), coded);
            assert_eq!(base64_text(coded).as_deref(), Some(text));
        }
        assert_eq!(base64_text("not base64"), None);
    }

    #[test]
    fn the_words_of_a_header_are_secrets_but_not_its_scheme() {
        for (value, secrets) in [
            ("Bearer abc123", &["abc123"][..]),
            ("abc123", &["abc123"]),
            ("Bearer a b", &[]),
            ("Basic bWU6aHVudGVyMg==", &["bWU6aHVudGVyMg==", "hunter2"]),
            ("session=abc123; other=\"def456\"", &["abc123", "def456"]),
        ] {
            assert_eq!(of_header(value), secrets, "{value}");
        }
    }

    #[test]
    fn percent_signs_stand_for_bytes() {
        for (part, text) in [
            ("a%20b", Some("a b")),
            ("%C3%A4", Some("ä")),
            ("plain", None),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%FF", None),
            ("100%25", Some("100%")),
        ] {
            assert_eq!(percent_decoded(part).as_deref(), text, "{part}");
        }
    }
}
