//! Warns of a database that comes without its secrets to a machine with other ones.

use std::io;

use super::unpacked::Unpacked;
use crate::{
    config::{Settings, sources::Source},
    disk::open_regular,
    model::secrets_fingerprint::SecretsFingerprint,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Warns if stored state is imported without the secrets file, and this machine's is not the one that the archive's
/// machine had. An archive without a fingerprint tells nothing.
pub fn warn_of_others(settings: &Settings, unpacked: &Unpacked<'_>, remarks: &mut Remarks) {
    let manifest = unpacked.verified.manifest();
    let (Some(archived), Some(root)) = (manifest.secrets_fingerprint, manifest.root.as_deref())
    else {
        return;
    };
    let path = settings.secrets_file();
    let mut restored = unpacked.sources();
    if restored.any(|source| source.path() == Some(path)) {
        return;
    }
    let Some(stored) = unpacked.sources().find(|source| is_stored_state(source)) else {
        return;
    };
    let (name, shown) = (&stored.name, path.display());
    let here = open_regular(path).and_then(|content| SecretsFingerprint::of(root, content));
    let found = match here {
        Ok(here) if here == archived => return,
        Ok(_) => format!("{shown} holds other secrets than the machine that made the archive had"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{shown} does not exist, and the machine that made the archive had secrets")
        }
        Err(error) => format!(
            "{shown} cannot be compared with the secrets of the machine that made the archive: {error}"
        ),
    };
    let message = format!(
        "{name} comes without its secrets: {found}; the service may be unable to read what it stored, until it has those"
    );
    remarks.warning(RemarkKind::Secrets, name, message);
}

/// Returns true if the service writes the source itself, so that its secrets may protect what is in it.
fn is_stored_state(source: &Source) -> bool {
    source.kind.engine().is_some() || source.is_directory() || source.kind.is_command()
}
