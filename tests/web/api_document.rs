//! The tables in docs/api.md are made from the OpenAPI document of the server.
//!
//! With HOOKSHOT_WRITE_DOCS=1 the test writes what it otherwise compares.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::Value;

const BEGIN: &str = "<!-- routes -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn the_routes_of_the_document_are_those_of_the_server() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let before = fs::read_to_string(&page).expect("docs/api.md");
    let (head, rest) = before.split_once(BEGIN).expect("a begin");
    let (_, tail) = rest.split_once(END).expect("an end");
    let routes = routes(&hookshot::serve::document());
    let after = format!("{head}{BEGIN}\n{routes}{END}{tail}");
    if std::env::var_os("HOOKSHOT_WRITE_DOCS").is_some() {
        fs::write(&page, after).expect("written");
    } else {
        assert_eq!(after, before, "run this test with HOOKSHOT_WRITE_DOCS=1");
    }
}

/// Writes a table of all routes, and below it the parameters, the body and the answer of each.
fn routes(document: &Value) -> String {
    let mut table = "| route | least role | answer |\n|---|---|---|\n".to_owned();
    let mut below = String::new();
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths {
        for (method, route) in methods.as_object().expect("methods") {
            let name = format!("{} {path}", method.to_uppercase());
            let role = text(&route["security"][0]["token"][0]);
            let summary = text(&route["summary"]);
            let _ = writeln!(table, "| `{name}` | {role} | {summary} |");
            below.push_str(&described(&name, route));
        }
    }
    format!("{table}\n{below}")
}

/// Writes what a route takes and answers.
fn described(name: &str, route: &Value) -> String {
    let mut out = format!("### {name}\n\n{}.", text(&route["summary"]));
    if let Some(more) = route["description"].as_str() {
        let _ = write!(out, " {}", more.replace('\n', " "));
    }
    out.push_str("\n\n");
    for one in route["parameters"].as_array().into_iter().flatten() {
        let place = text(&one["in"]);
        let _ = writeln!(
            out,
            "- `{}` ({place}): {}",
            text(&one["name"]),
            text(&one["description"])
        );
    }
    if let Some(content) = route["requestBody"]["content"].as_object() {
        let kinds = content.iter().map(|(kind, media)| shape(kind, media));
        let _ = writeln!(out, "- body: {}", kinds.collect::<Vec<_>>().join(", "));
    }
    for (status, answer) in route["responses"].as_object().expect("answers") {
        if !status.starts_with('2') {
            continue;
        }
        let content = answer["content"].as_object();
        let kinds = content.into_iter().flatten();
        let kinds: Vec<_> = kinds.map(|(kind, media)| shape(kind, media)).collect();
        let what = text(&answer["description"]);
        let _ = writeln!(out, "- {status}: {what} ({})", kinds.join(", "));
    }
    out.push('\n');
    out
}

/// Names the type of a body.
fn shape(kind: &str, media: &Value) -> String {
    match media["schema"]["$ref"].as_str() {
        Some(name) => format!("`{}`", name.rsplit('/').next().unwrap_or(name)),
        None => format!("`{kind}`"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
