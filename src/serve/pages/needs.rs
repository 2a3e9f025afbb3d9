//! The work that is waiting: a card for each problem, the worst first.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::addresses;
use crate::serve::{
    health::{ConfigHealth, Detail},
    parts::{State, ago, card, prose, state},
    services::Service,
};

/// The services that get a card each.
const CARDS: usize = 10;

/// Writes a card for each configuration and service that needs work. `services` has the worst first.
pub fn needs(all: &[ConfigHealth], services: &[Service], now: DateTime<Utc>) -> Markup {
    let ill: Vec<&Service> = services
        .iter()
        .filter(|service| service.state > State::Unknown)
        .collect();
    let shown = ill.get(..CARDS).unwrap_or(&ill);
    html! {
        @for one in all {
            @if let Some(failure) = &one.failure {
                (card(State::Bad, &html! { p { strong { (one.config) } ": " (failure) } }))
            }
            @for detail in one.details.iter().filter(|detail| detail.unhealthy) {
                (card(State::Bad, &told(detail)))
            }
        }
        @for service in shown { (card(service.state, &ailment(service, now))) }
        @if ill.len() > shown.len() {
            p .pages { a href="/hosts?sort=state" { "All " (ill.len()) " that need work" } }
        }
    }
}

fn ailment(service: &Service, now: DateTime<Utc>) -> Markup {
    let places = service.details.iter();
    let places = places.filter(|(_, state, _)| *state > State::Unknown);
    html! {
        p {
            (state(service.state, service.word)) " "
            strong { a href=(addresses::service(&service.prefix)) { (service.prefix) } }
            @if service.newest_at.is_none() {
                span .quiet { ", not protected: no good archive is known" }
            } @else if let Some((destination, newest)) = &service.worst {
                span .quiet {
                    " at " (destination) ", "
                    @match newest {
                        Some(time) => { "newest good archive there " (ago(*time, now)) }
                        None => "no good archive there",
                    }
                }
            }
        }
        @for (destination, _, detail) in places {
            p { (destination) ": " (words(detail)) }
        }
    }
}

/// Writes what is wrong or remarkable, and the remedy.
pub fn told(detail: &Detail) -> Markup {
    html! { p { (words(detail)) } }
}

fn words(detail: &Detail) -> Markup {
    html! { (prose(&detail.message)) @if !detail.hint.is_empty() { br; span .quiet { (prose(&detail.hint)) } } }
}
