//! The right name that was most likely meant.

/// Returns the one of `known` that is nearest to `name`, if any is near at all.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Two letters of a short name that changed places look less alike than they are.
    let score = |candidate: &str| match strsim::osa_distance(name, candidate) {
        1 if candidate.len() > 2 => 0.8,
        _ => 0.0,
    };
    let scored = known.iter().map(|candidate| {
        let alike = strsim::jaro_winkler(name, candidate);
        (alike.max(score(candidate)), *candidate)
    });
    scored
        .filter(|(score, _)| *score > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_a_stranger_is_not() {
        let known = ["prefix", "app", "app_version", "level"];
        assert_eq!(nearest("prefx", &known), Some("prefix"));
        assert_eq!(nearest("appversion", &known), Some("app_version"));
        assert_eq!(nearest("zzz", &known), None);
        assert_eq!(nearest("ulr", &["url", "region", "user"]), Some("url"));
    }
}
