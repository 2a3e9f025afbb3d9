//! `[[backup.sources]]`: the sources of a service, as the configuration file describes them.

use std::path::PathBuf;

use super::{
    reader::{Kinds, Section, did_you_mean},
    sources::{CONFIG, Expected, Presence, Source},
};
use crate::{
    model::{
        entry_name::EntryName,
        manifest::{ListedDirectory, MANIFEST_NAME, MAX_LISTED_NAME_BYTES},
        plan::Privacy,
        quantity::Size,
        relative::is_tree_name,
    },
    source::{
        SourceKind,
        behavior::Order,
        command_source::CommandSource,
        file_source::FileSource,
        redb::source::RedbSource,
        sqlite::source::SqliteSource,
        tree::source::{DirectorySource, Links},
    },
};

/// The keys that only some kinds have: the kind, if they are good, and the conditions.
struct Own {
    kind: Option<SourceKind>,
    min_files: u64,
    mounted: bool,
}

/// The kinds of sources.
const KINDS: &Kinds<Own> = &[
    ("redb", redb),
    ("sqlite", sqlite),
    ("file", file),
    ("directory", directory),
    ("command", command),
];

/// Reads `[[backup.sources]]`; `None` if there are none.
pub(super) fn read(backup: &Section<'_>) -> Option<Vec<Source>> {
    let sources = backup.repeated("sources", source)?;
    for (at, one) in sources.iter().enumerate() {
        let is_clash = |other: &&Source| {
            is_within(&other.name, &one.name) || is_within(&one.name, &other.name)
        };
        if let Some(other) = sources[..at].iter().find(is_clash) {
            backup.refuse(format!(
                "the sources {} and {} cannot both have their names",
                other.name, one.name
            ));
        }
        let listing = match &one.kind {
            SourceKind::Directory(_) => ListedDirectory::listing_of(&one.name),
            _ => None,
        };
        if let Some(other) = sources
            .iter()
            .find(|other| Some(&other.name) == listing.as_ref())
        {
            backup.refuse(format!(
                "the source {} has the name that the list of files of the directory {} needs when it has many",
                other.name, one.name
            ));
        }
    }
    Some(sources)
}

/// Returns true if one entry has the name of another, or one below it.
fn is_within(outer: &EntryName, inner: &EntryName) -> bool {
    let rest = inner.as_str().strip_prefix(outer.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn source(section: &Section<'_>) -> Option<Source> {
    let name = section.required("name");
    if let Some(name) = &name {
        section.rename(format!("backup.sources {name}"));
    }
    let kind = section.required("kind");
    let own = match &kind {
        Some(kind) => own(section, kind),
        None => {
            section.of_any_kind(KINDS);
            None
        }
    };
    let presence = match section.flag("optional") {
        Some(true) => Presence::Optional,
        _ => Presence::Required,
    };
    let privacy = match section.flag("secret") {
        Some(true) => Privacy::Private,
        _ => Privacy::Ordinary,
    };
    let order = section.word(
        "order",
        &[
            ("before-files", Order::BeforeFiles),
            ("after-files", Order::AfterFiles),
        ],
    );
    let active_command = section.text("active_command");
    let service = section.text("service");
    let prepare = section.text("prepare");
    let cleanup = section.text("cleanup");
    let shell = section.text("shell");
    let min_bytes = section.size("min_bytes");
    let enabled = section.flag("enabled").unwrap_or(true);
    let name = name.and_then(|name| entry_name(section, &name, kind.as_deref()));
    let own = own?;
    let kind = own.kind?;
    Some(Source {
        name: name?,
        order: order.unwrap_or_else(|| kind.order()),
        kind,
        presence,
        privacy,
        active_command,
        service,
        prepare,
        cleanup,
        shell,
        expected: Expected {
            min_files: own.min_files,
            min_bytes: min_bytes.map_or(0, Size::bytes),
            mounted: own.mounted,
        },
        enabled,
    })
}

/// Reads the keys of a kind.
fn own(section: &Section<'_>, kind: &str) -> Option<Own> {
    let own = section.of_kind("sources", kind, KINDS);
    if own.is_none() {
        let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        let meant = did_you_mean(kind, &words);
        section.fault(
            "kind",
            format!("must be one of {}{meant}", words.join(", ")),
        );
        section.of_any_kind(KINDS);
    }
    own
}

/// Checks the name of an entry.
fn entry_name(section: &Section<'_>, name: &str, kind: Option<&str>) -> Option<EntryName> {
    match EntryName::new(name) {
        Ok(name) if [CONFIG, MANIFEST_NAME].contains(&name.as_str()) => {
            section.refuse(format!("no source may be called {name}"));
            None
        }
        Ok(name) if kind == Some("directory") && !is_tree_name(&name) => {
            section.refuse(format!("the name of a directory has no slash: {name}"));
            None
        }
        Ok(name) if kind == Some("directory") && ListedDirectory::listing_of(&name).is_none() => {
            section.refuse(format!(
                "the name of a directory has at most {MAX_LISTED_NAME_BYTES} bytes: {name}"
            ));
            None
        }
        Ok(name) => Some(name),
        Err(fault) => {
            section.fault("name", fault);
            None
        }
    }
}

/// Reads the keys of every kind that lies at a path.
fn at_path(section: &Section<'_>, kind: impl FnOnce(PathBuf) -> SourceKind) -> Own {
    Own {
        kind: section.required_path("path").map(kind),
        min_files: section.count("min_files").unwrap_or(0),
        mounted: section.flag("mounted").unwrap_or(false),
    }
}

fn redb(section: &Section<'_>) -> Own {
    at_path(section, |path| SourceKind::Redb(RedbSource { path }))
}

fn file(section: &Section<'_>) -> Own {
    at_path(section, |path| SourceKind::File(FileSource { path }))
}

fn sqlite(section: &Section<'_>) -> Own {
    let active_query = section.text("active_query");
    at_path(section, |path| {
        SourceKind::Sqlite(SqliteSource { path, active_query })
    })
}

fn directory(section: &Section<'_>) -> Own {
    let (include, exclude) = (section.list("include"), section.list("exclude"));
    section.check_patterns(&include, &exclude);
    let links = section.word("links", &[("keep", Links::Keep), ("all", Links::All)]);
    at_path(section, |path| {
        SourceKind::Directory(DirectorySource {
            path,
            include,
            exclude,
            links: links.unwrap_or_default(),
        })
    })
}

fn command(section: &Section<'_>) -> Own {
    let (export, import) = (section.required("export"), section.text("import"));
    Own {
        kind: export.map(|export| SourceKind::Command(CommandSource { export, import })),
        min_files: 0,
        mounted: false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reader;

    fn sources(text: &str) -> Result<Option<Vec<Source>>, Vec<String>> {
        reader::read(text, |root| root.section("backup", read).flatten())
    }

    #[test]
    fn each_kind_is_read_with_its_keys() {
        let text = r#"
[[backup.sources]]
name = "db.sqlite3"
kind = "sqlite"
path = "data/db.sqlite3"
active_query = "SELECT name FROM jobs WHERE running"
[[backup.sources]]
name = "keys/rsa.pem"
kind = "file"
path = "/srv/rsa.pem"
optional = true
secret = true
[[backup.sources]]
name = "app.dump"
kind = "command"
export = "pg_dump -Fc app"
import = "pg_restore -d app"
active_command = "pgrep vacuum"
"#;
        let sources = sources(text).expect("good").expect("some");
        assert_eq!(sources.len(), 3);
        let first = sources[0].within(Path::new("/etc/app"));
        assert_eq!(first.path(), Some(Path::new("/etc/app/data/db.sqlite3")));
        assert_eq!(sources[1].presence, Presence::Optional);
        assert_eq!(sources[1].privacy, Privacy::Private);
        assert_eq!(sources[2].path(), None);
        assert_eq!(sources[2].active_command.as_deref(), Some("pgrep vacuum"));
    }

    #[test]
    fn every_fault_is_named() {
        let source = |text: &str| format!("[[backup.sources]]\n{text}\n");
        let file = |name: &str| {
            source(&format!(
                "name = \"{name}\"\nkind = \"file\"\npath = \"/x\""
            ))
        };
        let directory = |name: &str| {
            source(&format!(
                "name = \"{name}\"\nkind = \"directory\"\npath = \"/y\""
            ))
        };
        for (text, says) in [
            (
                "[backup]\nsources = 1".to_owned(),
                "must be sections, [[backup.sources]]",
            ),
            (
                source("kind = \"file\"\npath = \"/x\""),
                "`name` is missing",
            ),
            (
                source("name = \"a\""),
                "`kind` is missing under [backup.sources a]",
            ),
            (
                source("name = \"a\"\nkind = \"sqlit\"\npath = \"/x\""),
                "did you mean `sqlite`?",
            ),
            (
                source("name = \"a\"\nkind = \"file\""),
                "`path` is missing under [backup.sources a]",
            ),
            (
                source("name = \"a\"\nkind = \"command\""),
                "`export` is missing",
            ),
            (
                source("name = \"a\"\nkind = \"file\"\npath = \"/x\"\nactive_query = \"x\""),
                "`active_query` under [backup.sources a] is a key of sources of the kind `sqlite`, and this one is of the kind `file`",
            ),
            (
                source("name = \"a\"\nkind = \"command\"\nexport = \"x\"\nlinks = \"all\""),
                "`links` under [backup.sources a] is a key of sources of the kind `directory`, and this one is of the kind `command`",
            ),
            (
                source("name = \"a\"\nkind = \"command\"\nexport = \"x\"\nmin_files = 1"),
                "of the kind `redb`, `sqlite`, `file`, `directory`, and this one",
            ),
            (
                source("name = \"a\"\nkind = \"file\"\npath = \"/x\"\nlinsk = \"all\""),
                "unknown key `linsk`",
            ),
            (file("../a"), "climbs out"),
            (file("config.toml"), "no source may be called config.toml"),
            (
                file("manifest.json"),
                "no source may be called manifest.json",
            ),
            (file("a") + &file("a"), "cannot both have their names"),
            (
                file("a.files.jsonl") + &directory("a"),
                "the list of files of the directory a needs",
            ),
            (
                directory("a") + &directory("a.files.jsonl"),
                "the list of files of the directory a needs",
            ),
            (directory(&"d".repeat(244)), "at most 243 bytes"),
            (file("a") + &file("a/b"), "cannot both have their names"),
            (
                source("name = \"a/b\"\nkind = \"directory\"\npath = \"/x\""),
                "has no slash",
            ),
            (
                source("name = \"a\"\nkind = \"directory\"\npath = \"/x\"\nexclude = \"x\""),
                "`exclude` under [backup.sources a] must be a list",
            ),
            (
                source("name = \"a\"\nkind = \"directory\"\npath = \"/x\"\nexclude = [\"[a\"]"),
                "under [backup.sources a]",
            ),
        ] {
            let faults = sources(&text).expect_err(&text).join("\n");
            assert!(faults.contains(says), "{says}: {faults}");
        }
        assert!(sources(&(file("a") + &file("ab"))).is_ok());
    }
}
