//! Health, as a word and a shape beside the colour.

use maud::{Markup, html};

/// The health of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing is to be done.
    Good,
    /// Nothing is known.
    Unknown,
    /// It needs a look soon.
    Late,
    /// It needs a look now.
    Bad,
}

impl State {
    /// Returns its class in the style.
    pub fn class(self) -> &'static str {
        match self {
            State::Good => "good",
            State::Unknown => "none",
            State::Late => "late",
            State::Bad => "bad",
        }
    }
}

/// Writes a state with a word of its own.
pub fn state(state: State, word: &str) -> Markup {
    let shape = match state {
        State::Good => html! { circle cx="8" cy="8" r="7" {} },
        State::Unknown => html! { rect x="1" y="6" width="14" height="4" {} },
        State::Late => html! { path d="M8 1 15.5 15h-15z" {} },
        State::Bad => html! { rect x="1" y="1" width="14" height="14" {} },
    };
    html! {
        span .state .(state.class()) {
            svg viewBox="0 0 16 16" aria-hidden="true" { (shape) }
            (word)
        }
    }
}
