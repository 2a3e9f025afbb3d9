//! The state that `init` wrote and no service used: a restore of its archive brings nothing back.

use serde_json::Value;

use crate::{
    config::Settings,
    model::{digest::Digest, manifest::Manifest},
    ops::init::{LAST_TRANSACTION, STARTER_SERVICES},
    work::{remark::RemarkKind, remarks::Remarks},
};

const DATABASE: &str = "state.redb";
const MESSAGE: &str = "the archive holds no state: state.redb and services.toml are as `hookshot init` wrote them, and no \
    service used them; the databases and files of an application of your own stand under [[backup.sources]], as \
    `hookshot init --source PATH` writes them";

/// Records that the archive holds the state of no service, if all of it is as `init` wrote it. A service that opens its
/// database changes it.
pub fn note(settings: &Settings, manifest: &Manifest, remarks: &mut Remarks) {
    if settings.schema.sources.is_none() && is_untouched(manifest) {
        remarks.undone(RemarkKind::Empty, DATABASE, MESSAGE);
    }
}

fn is_untouched(manifest: &Manifest) -> bool {
    let found = |name: &str| {
        let mut files = manifest.files.iter();
        files.find_map(|(entry, record)| (entry.as_str() == name).then_some(record))
    };
    let last = found(DATABASE).and_then(|database| {
        let snapshot = database.snapshot.as_ref()?;
        snapshot.get("transaction_id").and_then(Value::as_u64)
    });
    let services = found("services.toml").map(|services| services.checksum);
    last.is_some_and(|last| last <= LAST_TRANSACTION)
        && services == Some(Digest::of(STARTER_SERVICES.as_bytes()))
        && found("secrets").is_none()
}
