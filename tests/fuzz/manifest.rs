//! The text of a manifest: what is accepted is written and read again as the same.
#![no_main]

use hookshot::model::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match Manifest::parse(text) {
        Ok(manifest) => {
            let again = Manifest::parse(&manifest.to_bytes());
            assert_eq!(again.expect("its own text is accepted"), manifest);
        }
        Err(faults) => assert!(!faults.is_empty(), "a refusal names a fault"),
    }
});
