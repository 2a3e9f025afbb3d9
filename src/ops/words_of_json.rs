//! The words from fixed sets that JSON shows: scripts branch on them, so they never change.

use std::{collections::BTreeSet, fmt::Debug};

use serde::Serialize;

use super::{
    check::Ability,
    diff::DiffState,
    list::{ListProof, ListVerdict, TimeFrom},
    verify::InspectedKind,
};
use crate::{
    model::{engine::Engine, plan::Action, retention::Standing},
    source::sqlite::verdict::CheckDepth,
    store::Proof,
    work::remark::RemarkKind,
};

const REMARKS: &str = include_str!("../../docs/cli.md");

/// Returns the word of a kind. A new kind does not compile here before it has one.
fn remark(kind: RemarkKind) -> &'static str {
    match kind {
        RemarkKind::Absent => "absent",
        RemarkKind::AppVersion => "app_version",
        RemarkKind::Attribute => "attribute",
        RemarkKind::Backup => "backup",
        RemarkKind::Check => "check",
        RemarkKind::Cleanup => "cleanup",
        RemarkKind::Command => "command",
        RemarkKind::Configuration => "configuration",
        RemarkKind::Database => "database",
        RemarkKind::Date => "date",
        RemarkKind::Empty => "empty",
        RemarkKind::Excluded => "excluded",
        RemarkKind::Gone => "gone",
        RemarkKind::Index => "index",
        RemarkKind::Key => "key",
        RemarkKind::LargePages => "large_pages",
        RemarkKind::Link => "link",
        RemarkKind::Map => "map",
        RemarkKind::Mark => "mark",
        RemarkKind::MountedElsewhere => "mounted_elsewhere",
        RemarkKind::Name => "name",
        RemarkKind::NoPlace => "no_place",
        RemarkKind::OpenDeleted => "open_deleted",
        RemarkKind::Other => "other",
        RemarkKind::Owner => "owner",
        RemarkKind::Pipe => "pipe",
        RemarkKind::Recipients => "recipients",
        RemarkKind::Reference => "reference",
        RemarkKind::Secrets => "secrets",
        RemarkKind::Service => "service",
        RemarkKind::Special => "special",
        RemarkKind::Stray => "stray",
        RemarkKind::Text => "text",
        RemarkKind::Time => "time",
        RemarkKind::Torn => "torn",
        RemarkKind::Vanished => "vanished",
        RemarkKind::WorkingDirectory => "working_directory",
    }
}

const REMARK_KINDS: [RemarkKind; 37] = [
    RemarkKind::Absent,
    RemarkKind::AppVersion,
    RemarkKind::Attribute,
    RemarkKind::Backup,
    RemarkKind::Check,
    RemarkKind::Cleanup,
    RemarkKind::Command,
    RemarkKind::Configuration,
    RemarkKind::Database,
    RemarkKind::Date,
    RemarkKind::Empty,
    RemarkKind::Excluded,
    RemarkKind::Gone,
    RemarkKind::Index,
    RemarkKind::Key,
    RemarkKind::LargePages,
    RemarkKind::Link,
    RemarkKind::Map,
    RemarkKind::Mark,
    RemarkKind::MountedElsewhere,
    RemarkKind::Name,
    RemarkKind::NoPlace,
    RemarkKind::OpenDeleted,
    RemarkKind::Other,
    RemarkKind::Owner,
    RemarkKind::Pipe,
    RemarkKind::Recipients,
    RemarkKind::Reference,
    RemarkKind::Secrets,
    RemarkKind::Service,
    RemarkKind::Special,
    RemarkKind::Stray,
    RemarkKind::Text,
    RemarkKind::Time,
    RemarkKind::Torn,
    RemarkKind::Vanished,
    RemarkKind::WorkingDirectory,
];

fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("JSON");
    value.as_str().expect("a word").to_owned()
}

fn are<T: Serialize + Debug>(words: &[(T, &str)]) {
    for (value, expected) in words {
        assert_eq!(word(value), *expected, "{value:?}");
    }
}

/// Returns the words in backquotes that begin a row of one of the document's two tables of kinds.
fn documented() -> BTreeSet<&'static str> {
    let rows = REMARKS.lines();
    let rows = rows.skip_while(|line| !line.starts_with("| `left_undone` |"));
    let rows = rows.take_while(|line| !line.starts_with('#'));
    let kinds = rows.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let kinds = kinds
        .flat_map(|kinds| kinds.split(", "))
        .map(|kind| kind.trim_matches('`'));
    kinds
        .filter(|kind| !matches!(*kind, "left_undone" | "warnings"))
        .collect()
}

#[test]
fn the_words_of_json_do_not_change() {
    for kind in REMARK_KINDS {
        assert_eq!(word(&kind), remark(kind));
    }
    let known: BTreeSet<&str> = REMARK_KINDS.into_iter().map(remark).collect();
    assert_eq!(known, documented(), "docs/cli.md has a table of them");
    are(&[
        (Action::Create, "create"),
        (Action::Replace, "replace"),
        (Action::Unchanged, "unchanged"),
        (Action::Remove, "remove"),
        (Action::Feed, "replace"),
        (Action::Skip, "skip"),
    ]);
    are(&[
        (Standing::Good, "good"),
        (Standing::Unproven, "unproven"),
        (Standing::Torn, "torn"),
        (Standing::Cold, "cold"),
        (Standing::Sealed, "sealed"),
        (Standing::Damaged, "damaged"),
        (Standing::Incomplete, "incomplete"),
    ]);
    are(&[
        (Proof::Checksum, "checksum"),
        (Proof::ReadBack, "read-back"),
    ]);
    are(&[
        (CheckDepth::Quick, "quick"),
        (CheckDepth::Integrity, "integrity"),
    ]);
    are(&[
        (InspectedKind::Database(Engine::Redb), "redb"),
        (InspectedKind::Database(Engine::Sqlite), "sqlite"),
        (InspectedKind::Config, "config"),
        (InspectedKind::Toml, "toml"),
    ]);
    are(&[
        (DiffState::Unchanged, "unchanged"),
        (DiffState::Changed, "changed"),
        (DiffState::OnlyHere, "only_here"),
        (DiffState::OnlyThere, "only_there"),
    ]);
    are(&[(TimeFrom::Name, "name"), (TimeFrom::Manifest, "manifest")]);
    are(&[
        (ListProof::Manifest, "manifest"),
        (ListProof::Known, "known"),
        (ListProof::No, "no"),
    ]);
    are(&[(ListVerdict::Keep, "keep"), (ListVerdict::Remove, "remove")]);
    are(&[
        (Ability::Open, "open"),
        (Ability::Sweep, "sweep"),
        (Ability::Write, "write"),
        (Ability::Find, "find"),
        (Ability::Read, "read"),
        (Ability::List, "list"),
        (Ability::CreateOnce, "create_once"),
        (Ability::Delete, "delete"),
        (Ability::Parts, "parts"),
        (Ability::AbortParts, "abort_parts"),
        (Ability::Repository, "repository"),
    ]);
}
