//! The addresses of pages, with names in them that may hold any character.

use crate::model::written::percent_encoded;

/// Returns the page of a service.
pub fn service(prefix: &str) -> String {
    format!("/services/{}", word(prefix))
}

/// Returns the archives of a service.
pub fn archives(prefix: &str) -> String {
    format!("/archives?service={}", word(prefix))
}

/// Returns the archives of a service and a day in UTC.
pub fn archives_of_day(prefix: &str, date: &str) -> String {
    format!("{}&day={date}", archives(prefix))
}

/// Encodes a word of an address: no character of it ends the word.
pub fn word(text: &str) -> String {
    percent_encoded(text.as_bytes()).replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_name_ends_its_word() {
        assert_eq!(service("a/b?c#d"), "/services/a%2Fb%3Fc%23d");
        assert_eq!(archives("a&b=ü"), "/archives?service=a%26b%3D%C3%BC");
    }
}
