//! Answers that are a whole object in place of the range that was requested.

use object_store::client::HttpResponse;

/// Turns an answer that is the whole object into a range, if the whole object was requested: some servers then answer
/// 200.
pub(super) fn as_piece(range: &str, answer: &mut HttpResponse) {
    let length = answer.headers().get("content-length");
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length.filter(|length| is_all(range, *length)) else {
        return;
    };
    let shown = format!("bytes 0-{}/{length}", length - 1).parse();
    if let (200, Ok(shown), Ok(piece)) = (answer.status().as_u16(), shown, 206.try_into()) {
        answer.headers_mut().insert("content-range", shown);
        *answer.status_mut() = piece;
    }
}

/// Returns true if a range covers an object of that length completely; the object has at least one byte.
fn is_all(range: &str, length: u64) -> bool {
    let Some((first, last)) =
        (range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return false;
    };
    let is_past =
        |number: &str, least: u64| number.parse().is_ok_and(|number: u64| number >= least);
    length > 0
        && match (first, last) {
            ("0", "") => true,
            ("0", last) => is_past(last, length - 1),
            ("", count) => is_past(count, length),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_all_of_an_object_is_told_from_a_piece() {
        for range in [
            "bytes=0-",
            "bytes=0-9",
            "bytes=0-99",
            "bytes=-10",
            "bytes=-99",
        ] {
            assert!(is_all(range, 10), "{range}");
        }
        for range in [
            "bytes=0-8",
            "bytes=1-",
            "bytes=1-9",
            "bytes=-9",
            "items=0-9",
            "bytes=0-x",
            "",
        ] {
            assert!(!is_all(range, 10), "{range}");
        }
        assert!(!is_all("bytes=0-", 0));
    }
}
