//! Cuts messages to the length that a service takes.

/// Cuts a message to `most`, as `length` counts it. Its last lines stay: what to do, and the run.
#[cfg_attr(
    not(feature = "notify"),
    expect(dead_code, reason = "services are told over the network")
)]
pub fn fitted(text: &str, most: usize, length: impl Fn(&str) -> usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let advice = text.rfind("\nWhat to do: ");
    let end = advice.or_else(|| text.rfind('\n')).unwrap_or(text.len());
    let end = match length(&text[end..]) + 1 < most {
        true => end,
        false => text.len(),
    };
    let (begin, last) = text.split_at(end);
    let mut left = most.saturating_sub(length(last) + length("…"));
    let mut kept = String::new();
    for letter in begin.chars() {
        let letter = letter.to_string();
        match left.checked_sub(length(&letter)) {
            Some(less) => left = less,
            None => break,
        }
        kept.push_str(&letter);
    }
    format!("{kept}…{last}")
}

/// Shortens a text to a number of characters.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept = text.chars().take(most.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stays_at_the_end() {
        let end = "\nWhat to do: nothing\nRun id, begun at noon";
        let long = format!("{}{end}", "ä".repeat(5000));
        let bytes = fitted(&long, 4000, str::len);
        assert!((3998..=4000).contains(&bytes.len()), "{}", bytes.len());
        assert!(bytes.ends_with(&format!("ä…{end}")), "{bytes}");
        let letters = fitted(&long, 1900, |text| text.chars().count());
        assert_eq!(letters.chars().count(), 1900);
        assert!(letters.ends_with(&format!("ä…{end}")));
        let bare = fitted(&long.replace("What to do", "Whatever"), 100, str::len);
        assert!(
            bare.len() <= 100 && bare.ends_with("…\nRun id, begun at noon"),
            "{bare}"
        );
    }

    #[test]
    fn a_text_that_fits_stays_as_it_is() {
        assert_eq!(fitted("äöü", 6, str::len), "äöü");
        assert_eq!(fitted("äöü", 5, str::len), "ä…");
        assert_eq!(fitted("one\ntwo lines", 8, str::len), "one\nt…");
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
