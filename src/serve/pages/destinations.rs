//! The destinations: how each is, and how much it holds.

use std::sync::Arc;

use axum::{extract::State as Shared, response::Response};
use maud::html;

use super::{destination::newest_of, home, wrong::Wrong};
use crate::serve::{
    Server,
    database::id_of,
    health::health,
    index::freshen,
    parts::{Column, State, Tab, bytes, page, same, state, table, title},
    person::Viewer,
};

/// Shows the destinations.
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    freshen(&server);
    let all = health(&server)?;
    let now = server.now();
    let places = all.iter().flat_map(|one| one.places());
    let rows: Vec<_> = places
        .map(|place| {
            let worst = place.worst(now.timestamp());
            let how = worst.map_or(State::Unknown, |worst| worst.state(now.timestamp()));
            let word = worst.map_or("unknown", |worst| worst.word(now.timestamp()));
            vec![
                html! { a href={ "/destinations/" (id_of(place.config, place.name)) } { (place.name) } },
                state(how, word),
                home::newest(newest_of(&place), now),
                html! { (place.services.len()) },
                html! { (place.archives()) },
                bytes(place.size_bytes()),
                html! { @match place.room_bytes() { Some(room) => (bytes(room)), None => "-" } },
            ]
        })
        .collect();
    let columns = [
        Column::Name("Destination"),
        Column::Text("State"),
        Column::Text("Newest"),
        Column::Number("Services"),
        Column::Number("Archives"),
        Column::Number("Size"),
        Column::Number("Free"),
    ];
    let content = html! {
        (title(&[], &html! { "Destinations" }))
        p .quiet { "The places that hold archives. Two of them, in two buildings, survive more than one." }
        (table("Destinations", &columns, &rows, "No destination is known yet. Name one in the configuration."))
        (same("hookshot status --all-hosts"))
    };
    Ok(page(
        &person,
        Some(Tab::Destinations),
        "Destinations",
        &content,
    ))
}
