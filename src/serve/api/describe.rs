//! `GET openapi.json`: the description of all routes (OpenAPI 3.1).
//!
//! The least role of a route is the role in its `security`, as OpenAPI 3.1 has it for other schemes than OAuth.

use std::sync::Arc;

use axum::{Extension, Json};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema as _, ToSchema,
    openapi::{
        Components, ContentBuilder, InfoBuilder, OpenApi, Ref, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::flat::flatten;
use crate::serve::{
    answer::{ErrorAnswer, Trouble},
    person::Viewer,
};

/// The failures that every route may answer.
const FAILURES: [(&str, &str); 6] = [
    ("400", "A word of the request cannot be read"),
    ("401", "The token is missing, unknown, or over"),
    (
        "403",
        "The token has not the role, or does not see all services",
    ),
    ("404", "It does not exist, or the token does not see it"),
    ("421", "The server has another name than the request says"),
    ("default", "It failed otherwise"),
];

/// The document as it is answered.
#[derive(Debug, Clone)]
pub struct Document(Arc<Value>);

impl Document {
    /// Keeps the document.
    pub fn new(document: Value) -> Document {
        Document(Arc::new(document))
    }
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", security(("token" = ["viewer"])),
    responses((status = 200, description = "All routes", body = Value))
)]
pub async fn openapi(
    Viewer(_): Viewer,
    Extension(document): Extension<Document>,
) -> Result<Json<Value>, Trouble> {
    Ok(Json(document.0.as_ref().clone()))
}

/// Adds what all routes have in common.
pub fn finished(mut document: OpenApi) -> Value {
    document.info = InfoBuilder::new()
        .title("hookshot")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Archives, their destinations, and their health."))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert(ErrorAnswer::name().into_owned(), ErrorAnswer::schema());
    let mut below = Vec::new();
    ErrorAnswer::schemas(&mut below);
    components.schemas.extend(below);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("hs_ID_SECRET")
        .description(Some("`hookshot serve token add` makes a token."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        operations.into_iter().flatten().for_each(add_failures);
    }
    // A map of its own order would change from run to run.
    let mut document = serde_json::to_value(document)
        .unwrap_or_else(|error| json!({ "error": error.to_string() }));
    flatten(&mut document);
    document
}

fn add_failures(operation: &mut Operation) {
    for (status, description) in FAILURES {
        let error = Ref::from_schema_name(ErrorAnswer::name());
        let content = ContentBuilder::new().schema(Some(error)).build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/json", content);
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), response.build().into());
    }
}

#[cfg(test)]
mod tests {
    use crate::serve::{api::document, role::Role};

    #[test]
    fn every_route_has_a_role_a_summary_and_answers() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().expect("paths");
        assert!(paths.len() >= 16, "{paths:#?}");
        for (path, methods) in paths {
            assert!(path.starts_with("/api/v1/backup/"), "{path}");
            for (method, operation) in methods.as_object().expect("methods") {
                let role = operation["security"][0]["token"][0].as_str();
                let role = role.unwrap_or_else(|| panic!("{method} {path} has no role"));
                role.parse::<Role>().expect("a role");
                assert!(operation["summary"].is_string(), "{path}");
                assert!(!operation["summary"].as_str().expect("text").ends_with('.'));
                let answers = operation["responses"].as_object().expect("answers");
                let is_answered = |status: &str| answers.contains_key(status);
                let status = if is_answered("202") { "202" } else { "200" };
                assert!(answers[status]["content"].is_object(), "{path}");
                let error = &answers["404"]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(error, "#/components/schemas/ErrorAnswer", "{path}");
                let names = path.matches('{').count();
                let parameters = operation["parameters"].as_array();
                let parameters = parameters.map(Vec::as_slice).unwrap_or_default();
                let in_path = parameters.iter().filter(|one| one["in"] == "path");
                assert_eq!(in_path.count(), names, "{path}");
            }
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            let schema = &document["components"]["schemas"][name];
            assert!(schema.is_object(), "{name}: {schema}");
        }
    }
}
