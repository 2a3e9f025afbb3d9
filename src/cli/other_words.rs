//! Verbs of other programs, and the verbs of ours that do the same.

use clap::{
    Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Words of other programs for backups, each with a sentence about the verb that does it here.
const WORDS: [(&[&str], &str); 16] = [
    (
        &["restore", "recover", "load", "apply"],
        "`hookshot import ARCHIVE` replaces this machine's state with an archive's; `hookshot extract` extracts single files",
    ),
    (
        &[
            "backup", "create", "save", "dump", "snapshot", "archive", "run", "push",
        ],
        "`hookshot export` makes an archive of this machine's state",
    ),
    (
        &["snapshots", "archives", "backups"],
        "`hookshot list` shows the archives of destinations",
    ),
    (
        &["health", "monitor", "metrics", "doctor", "ping"],
        "`hookshot status` says whether every destination holds a fresh, good archive (`--prometheus` for metrics), \
            `hookshot check` what a destination can do, and `hookshot validate` whether the configuration is good",
    ),
    (
        &["remove", "rm", "purge", "expire", "clean", "cleanup", "gc"],
        "`hookshot prune` removes what the retention policy does not keep, `hookshot delete ARCHIVE` single archives",
    ),
    (
        &["undo", "revert", "rewind"],
        "`hookshot rollback` undoes the last import",
    ),
    (
        &["info", "stat", "describe", "contents"],
        "`hookshot inspect ARCHIVE` shows the manifest and the entries of an archive",
    ),
    (
        &["test", "validate-archive", "fsck"],
        "`hookshot verify ARCHIVE` verifies an archive; `hookshot validate` checks the configuration",
    ),
    (
        &["rehearse", "test-restore", "restore-test"],
        "`hookshot drill` restores archives into a sandbox, and checks them there",
    ),
    (&["compare"], "`hookshot diff ARCHIVE` shows what differs"),
    (
        &["get", "cat", "mount", "unpack", "fetch", "pull"],
        "`hookshot extract ARCHIVE ENTRY` extracts single entries; `-o -` prints one",
    ),
    (
        &[
            "sync",
            "mirror",
            "replicate",
            "cp",
            "upload",
            "download",
            "mv",
        ],
        "`hookshot copy FROM TO` copies archives between destinations",
    ),
    (
        &["config", "configure", "configtest"],
        "`hookshot validate` says whether the configuration is good, `hookshot init` writes one",
    ),
    (
        &["pin", "lock", "protect", "hold", "mark", "tag"],
        "`hookshot keep ARCHIVE` marks an archive, so that no policy removes it",
    ),
    (
        &["keygen", "keys", "encrypt", "decrypt"],
        "`hookshot key generate` makes a key pair, `[backup.encryption]` seals archives, and `--identity FILE` opens them",
    ),
    (
        &["unlock", "break-lock"],
        "no lock has to be removed: the locks of hookshot end with their process",
    ),
];

/// Returns the error, with a tip if the unknown verb is one of another program.
pub fn explained(mut error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word.to_ascii_lowercase(),
        _ => return error,
    };
    let found = WORDS
        .iter()
        .find(|(words, _)| words.contains(&word.as_str()));
    if let Some((_, tip)) = found {
        error.remove(ContextKind::SuggestedSubcommand);
        let tips = vec![StyledStr::from(*tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}
