//! The identity of a run.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use uuid::Builder;

/// Returns a new identity of a run: a random UUID (RFC 9562, section 5.4).
///
/// The random bits are those with which the standard library protects its tables. They need no device file, which a bare
/// root folder does not have. Not promised: that they cannot be guessed.
pub fn new_run_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let bits = u128::from(random()) << 64 | u128::from(random());
    let uuid = Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
    uuid.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn identities_are_random_uuids_and_differ() {
        let ids: HashSet<String> = (0..1000).map(|_| new_run_id()).collect();
        assert_eq!(ids.len(), 1000);
        for id in &ids {
            let uuid = uuid::Uuid::parse_str(id).expect("a UUID");
            assert_eq!(uuid.get_version_num(), 4);
        }
        // No bit is the same in all but those of the version and the variant.
        let all = ids
            .iter()
            .map(|id| uuid::Uuid::parse_str(id).expect("a UUID").as_u128());
        let (and, or) = all.fold((u128::MAX, 0), |(and, or), one| (and & one, or | one));
        assert_eq!((and.count_ones(), or.count_zeros()), (2, 4));
    }
}
