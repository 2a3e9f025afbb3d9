//! The small blocks of pages: title, card, facts, buttons, and the words for nothing.

use maud::{Markup, html};

use super::state::{State, state};

/// Writes the title of a page, below the path that leads to it.
pub fn title(path: &[(&str, &str)], content: &Markup) -> Markup {
    html! {
        @if !path.is_empty() {
            nav .path aria-label="Path" {
                ol { @for (address, name) in path { li { a href=(address) { (name) } } } }
            }
        }
        h1 { (content) }
    }
}

/// Writes the sentence at the top of a page, with its state in front.
pub fn sentence(how: State, word: &str, text: &str) -> Markup {
    html! {
        h1 .sentence { (state(how, word)) span { (text) } }
    }
}

/// Writes a card about something that has this state.
pub fn card(how: State, content: &Markup) -> Markup {
    let class = how.class();
    html! { div .card.needs.(class) { (content) } }
}

/// Writes facts: each a name and what is true of it.
pub fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl .facts { @for (name, fact) in rows { div { dt { (name) } dd { (fact) } } } }
    }
}

/// Writes a button that asks the server for work: a form without fields.
pub fn button(path: &str, words: &str) -> Markup {
    html! { form method="post" action=(path) { button type="submit" { (words) } } }
}

/// Writes buttons and links side by side.
pub fn actions(all: &[Markup]) -> Markup {
    html! { @if !all.is_empty() { div .actions { @for one in all { (one) } } } }
}

/// Writes a link that looks like a button.
pub fn link(path: &str, words: &str) -> Markup {
    html! { a .button href=(path) { (words) } }
}

/// Writes a sentence in place of what is not there.
pub fn empty(text: &str) -> Markup {
    html! { p .empty { (text) } }
}
