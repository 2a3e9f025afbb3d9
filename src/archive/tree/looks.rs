//! The look of a `manifest.json`: whether it is that of an archive, or of another program.

use memchr::memmem;

use crate::model::manifest::Manifest;

/// A key that no other program's manifest has.
const OURS: &[u8] = b"\"hookshot_version\"";
/// Keys that hardly another program's manifest has together: one that was cut off may have lost the other.
const TOGETHER: [&[u8]; 2] = [b"\"created_at\"", b"\"checksum\""];

/// Returns true if the text is that of an archive's manifest. One that is damaged, or of a version to come, counts as well;
/// one that another program wrote does not.
pub fn is_ours(text: &[u8]) -> bool {
    let has = |key: &[u8]| memmem::find(text, key).is_some();
    has(OURS) || TOGETHER.into_iter().all(has) || Manifest::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_another_program_is_told_from_a_damaged_one_of_ours() {
        let ours = r#"{"version":"1.0","created_at":1,"hookshot_version":"0.1.0","files":{}}"#;
        let later = ours.replace("1.0\"", "7.0\"");
        let damaged = ours.replace(":1,", ":1;");
        for text in [ours, &later, &damaged] {
            assert!(is_ours(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "{}",
            r#"{"manifest_version":3,"version":"1.0","name":"an extension"}"#,
        ] {
            assert!(!is_ours(text.as_bytes()), "{text}");
        }
    }
}
