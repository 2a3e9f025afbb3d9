//! The frame of every page.

use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use crate::{
    model::entry_name::printable_lines,
    serve::{assets, identity::Person, role::Role},
};

/// The pages that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Everything that is protected, or needs work.
    Home,
    /// The hosts and their services.
    Hosts,
    /// The archives.
    Archives,
    /// The destinations.
    Destinations,
    /// The policies, and the values in force.
    Policies,
    /// The runs.
    Runs,
    /// The users, the tokens and the audit trail.
    Settings,
}

impl Tab {
    const ALL: [(Tab, &'static str, &'static str); 7] = [
        (Tab::Home, "/", "Home"),
        (Tab::Hosts, "/hosts", "Hosts"),
        (Tab::Archives, "/archives", "Archives"),
        (Tab::Destinations, "/destinations", "Destinations"),
        (Tab::Policies, "/policies", "Policies"),
        (Tab::Runs, "/runs", "Runs"),
        (Tab::Settings, "/settings", "Settings"),
    ];
}

/// Returns a page for a user that is logged in.
pub fn page(person: &Person, tab: Option<Tab>, title: &str, content: &Markup) -> Response {
    let tabs = Tab::ALL
        .iter()
        .filter(|(tab, ..)| *tab != Tab::Settings || person.role == Role::Admin);
    let navigation = html! {
        nav aria-label="Pages" {
            ul {
                @for (one, path, name) in tabs {
                    li { a href=(path) aria-current=[(tab == Some(*one)).then_some("page")] { (name) } }
                }
            }
        }
        form .logout method="post" action="/logout" {
            span { (person.name) ", " (person.role) }
            button type="submit" { "Log out" }
        }
    };
    framed(title, &navigation, content)
}

/// Returns a page for everybody.
pub fn plain_page(title: &str, content: &Markup) -> Response {
    framed(title, &html! {}, content)
}

fn framed(title: &str, navigation: &Markup, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · hookshot" }
                link rel="icon" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                script defer src=(assets::SCRIPT.path()) {}
            }
            body {
                a .skip href="#content" { "Skip to the content" }
                header {
                    a .brand href="/" { "hookshot" }
                    (navigation)
                }
                main #content tabindex="-1" { (content) }
            }
        }
    };
    // Names of entries and hosts may hold what turns text around, or drives a terminal that the page is copied into.
    Html(printable_lines(&page.into_string())).into_response()
}

/// Writes the command line that tells the same.
pub fn same(command: &str) -> Markup {
    html! {
        p .same { "The same on the machine: " code { (command) } }
    }
}
