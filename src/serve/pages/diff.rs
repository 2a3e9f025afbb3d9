//! The differences between an archive and the one before it, or this machine. Values of secrets are not in them.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State as Shared},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{addresses, archive::unreadable, wrong::Wrong};
use crate::{
    model::shell_word::quoted,
    serve::{
        Server,
        answer::{Trouble, require_told},
        api::{readable, seen},
        database::{Archive, ArchiveFilter},
        parts::{
            Column, State, Tab, actions, bytes, empty, link, moment, page, same, state, table,
            title,
        },
        person::Viewer,
        program::Asked,
    },
};

/// The differences that are shown.
const ROWS: usize = 1000;

/// The words of the address of the page.
#[derive(Debug, Deserialize)]
pub struct Words {
    with: Option<With>,
}

/// The other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum With {
    /// The archive of the same service before it.
    #[default]
    Previous,
    /// The state of this machine.
    Machine,
}

/// Shows the differences.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Path(id): Path<String>,
    Query(words): Query<Words>,
) -> Result<Response, Wrong> {
    let archive = seen(&server, &person, &id)?;
    let (config, copy) = readable(&server, &archive)?;
    let with = words.with.unwrap_or_default();
    let previous = match with {
        With::Previous => previous(&server, &archive)?,
        With::Machine => None,
    };
    let other = previous
        .as_ref()
        .map(|one| readable(&server, one))
        .transpose()?;
    let asked = match (with, other) {
        (With::Machine, _) => Some(Asked::DiffHere(copy)),
        // The state of then is `here`, as this machine's is.
        (With::Previous, Some((_, earlier))) => Some(Asked::Diff(copy, earlier)),
        (With::Previous, None) => None,
    };
    let mut command = format!("hookshot diff {}", quoted(&copy.location));
    if let Some((_, earlier)) = other {
        command = format!("{command} {}", quoted(&earlier.location));
    }
    let content = match &asked {
        None => empty(
            "This is the first archive of its service: nothing earlier can be compared with it.",
        ),
        Some(asked) => {
            let answer = server.program.ask(config, asked).await;
            let told = answer.map_err(Trouble::from);
            match told.and_then(|answer| require_told(answer.report, "entries")) {
                Ok(report) => differences(&report, sides(with, &archive, previous.as_ref())),
                Err(trouble) => unreadable(&trouble.failure),
            }
        }
    };
    let path = format!("/archives/{id}");
    let above = [
        ("/archives".to_owned(), "Archives"),
        (addresses::service(&archive.prefix), archive.prefix.as_str()),
        (path.clone(), "Archive"),
    ];
    let above = above.each_ref().map(|(path, name)| (path.as_str(), *name));
    let content = html! {
        (title(&above, &html! { "Differences of " (archive.prefix) ", " (moment(archive.created_at)) }))
        (actions(&[choice(&path, With::Previous, with), choice(&path, With::Machine, with)]))
        (content)
        (same(&command))
    };
    Ok(page(&person, Some(Tab::Archives), "Differences", &content))
}

fn choice(path: &str, one: With, now: With) -> Markup {
    let (word, words) = match one {
        With::Previous => ("previous", "With the archive before it"),
        With::Machine => ("machine", "With this machine"),
    };
    let address = format!("{path}/diff?with={word}");
    match one == now {
        true => html! { a .button.main href=(address) aria-current="true" { (words) } },
        false => link(&address, words),
    }
}

/// Returns the archive of the same service before this one.
fn previous(server: &Server, archive: &Archive) -> Result<Option<Archive>, Trouble> {
    let filter = ArchiveFilter {
        prefixes: Some(vec![archive.prefix.clone()]),
        before: Some((archive.created_at, archive.id.clone())),
        count: 10,
        ..ArchiveFilter::default()
    };
    let earlier = server.database.archives(&filter)?.into_iter();
    Ok(earlier.into_iter().find(|one| one.config == archive.config))
}

/// Returns the names of the two sides: `here` and `there` of the report.
fn sides(with: With, archive: &Archive, previous: Option<&Archive>) -> [Markup; 2] {
    match (with, previous) {
        (With::Previous, Some(earlier)) => [moment(archive.created_at), moment(earlier.created_at)],
        _ => [html! { "this machine" }, moment(archive.created_at)],
    }
}

fn differences(report: &Value, [here, there]: [Markup; 2]) -> Markup {
    let entries = report["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let is_unequal = |entry: &&Value| entry["state"] != "unchanged";
    let unequal: Vec<&Value> = entries.iter().filter(is_unequal).collect();
    let same = entries.len() - unequal.len();
    let rows = unequal.iter().take(ROWS).map(|entry| row(entry));
    let rows: Vec<_> = rows.collect();
    let columns = [
        Column::Name("Entry"),
        Column::Text("Difference"),
        Column::Number("Size before"),
        Column::Number("Size after"),
    ];
    html! {
        p {
            @match unequal.len() {
                0 => "Nothing differs",
                1 => "One entry differs",
                count => { (count) " entries differ" }
            }
            " between " (there) " and " (here) "; " (same) " are equal."
        }
        (table("Differences", &columns, &rows, "Every entry is the same on both sides."))
        @if unequal.len() > ROWS { p .quiet { "The first " (ROWS) " are shown." } }
    }
}

fn row(entry: &Value) -> Vec<Markup> {
    let (how, word) = match entry["state"].as_str().unwrap_or("-") {
        "only_here" => (State::Good, "added"),
        "only_there" => (State::Bad, "removed"),
        "changed" => (State::Late, "changed"),
        other => (State::Unknown, other),
    };
    let size = |key: &str| match entry[key].as_u64() {
        Some(size) => bytes(size),
        None => html! { "-" },
    };
    vec![
        html! { (entry["entry"].as_str().unwrap_or("-")) },
        state(how, word),
        size("there_bytes"),
        size("here_bytes"),
    ]
}
