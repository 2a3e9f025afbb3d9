//! config.toml: every fault has a name, and what is accepted says the same when it is read again.
#![no_main]

use hookshot::config::schema::Schema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Schema::parse(text) {
        Ok(schema) => {
            let again = Schema::parse(text).expect("accepted before");
            assert_eq!(schema.backup_differences(&again), None);
        }
        Err(faults) => assert!(!faults.is_empty(), "a refusal names a fault"),
    }
});
