//! The entries of an archive as a tree: one folder at a time.

use maud::{Markup, html};

use super::addresses::word;
use crate::serve::{
    cursor,
    inspected::{Entry, Folder, Inspected},
    parts::{Column, bytes, table},
    role::Role,
};

/// Writes what is directly below a path. Only roles that may read content get links to it.
pub fn tree(archive: &str, path: Option<&str>, inspected: &Inspected, role: Role) -> Markup {
    let rows = merged(inspected);
    let last = rows.last().filter(|_| inspected.has_more);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| row.cells(archive, path, role))
        .collect();
    let columns = [
        Column::Name("Name"),
        Column::Text("Kind"),
        Column::Number("Size"),
        Column::Text("Changed"),
        Column::Text("Mode"),
        Column::Text("Owner"),
    ];
    let here = path
        .map(|path| format!("path={}&", word(path)))
        .unwrap_or_default();
    html! {
        (above(archive, path))
        (table("Entries", &columns, &rows, "Nothing is here."))
        @if let Some(last) = merged(inspected).last().filter(|_| last.is_some()) {
            p .pages {
                a href={ "/archives/" (archive) "?" (here) "after=" (cursor::after_name(&last.end())) "#entries" } { "Further entries" }
            }
        }
        p .quiet { (inspected.count) " entries in all." }
    }
}

/// Writes the path, each folder of it as a link.
fn above(archive: &str, path: Option<&str>) -> Markup {
    let Some(path) = path else {
        return html! {};
    };
    let ends = path.match_indices('/').map(|(end, _)| end);
    let folders: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
    html! {
        nav .path aria-label="Folder" { ol {
            li { a href={ "/archives/" (archive) "#entries" } { "All entries" } }
            @for folder in folders { li { a href=(address(archive, folder)) { (leaf(folder)) } } }
            li aria-current="true" { (leaf(path)) }
        } }
    }
}

/// A line of the tree.
enum Row<'a> {
    Folder(&'a Folder),
    Entry(&'a Entry),
}

impl Row<'_> {
    fn name(&self) -> &str {
        match self {
            Row::Folder(folder) => &folder.name,
            Row::Entry(entry) => &entry.entry,
        }
    }

    /// Returns a name behind which the next line begins.
    fn end(&self) -> String {
        match self {
            Row::Folder(folder) => format!("{}/{}", folder.name, char::MAX),
            Row::Entry(entry) => entry.entry.clone(),
        }
    }

    fn cells(&self, archive: &str, path: Option<&str>, role: Role) -> Vec<Markup> {
        let below = path.and_then(|path| self.name().strip_prefix(path));
        let below = below.map_or(self.name(), |below| below.trim_start_matches('/'));
        // The path itself may be an entry.
        let shown = if below.is_empty() {
            leaf(self.name())
        } else {
            below
        };
        match self {
            Row::Folder(folder) => vec![
                html! { a href=(address(archive, &folder.name)) { (shown) "/" } },
                html! { (folder.entries) @if folder.entries == 1 { " entry" } @else { " entries" } },
                bytes(folder.size_bytes),
                html! {},
                html! {},
                html! {},
            ],
            Row::Entry(entry) => vec![
                html! {
                    @if role >= Role::Operator {
                        a download href={ "/archives/" (archive) "/content?entry=" (word(&entry.entry)) } { (shown) }
                    } @else { (shown) }
                },
                html! { (entry.kind) @if entry.secret { ", secret" } },
                bytes(entry.size_bytes),
                html! { @if let Some(time) = &entry.modified_at { (time.replace('T', " ").replace('Z', " UTC")) } },
                html! { @if let Some(mode) = &entry.mode { (mode) } },
                html! { @if let Some(user) = &entry.user { (user) } },
            ],
        }
    }
}

/// Returns folders and entries in the order of names.
fn merged(inspected: &Inspected) -> Vec<Row<'_>> {
    let folders = inspected.folders.iter().map(Row::Folder);
    let mut rows: Vec<Row<'_>> = folders
        .chain(inspected.entries.iter().map(Row::Entry))
        .collect();
    rows.sort_by_key(Row::end);
    rows
}

fn address(archive: &str, folder: &str) -> String {
    format!("/archives/{archive}?path={}#entries", word(folder))
}

fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
