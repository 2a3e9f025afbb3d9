//! The description of types that have other types flattened into them: one object, as their JSON is one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const FOLDER: &str = "#/components/schemas/";

/// Makes one object of each schema that is said by several (`allOf`), and lets bodies without a required field be left out.
///
/// In parts, one that takes no further fields would refuse the fields of the others (JSON Schema 2020-12, 10.3.2.3).
pub fn flatten(document: &mut Value) {
    let schemas = &document["components"]["schemas"];
    let all: BTreeMap<String, Value> = (schemas.as_object().into_iter().flatten())
        .map(|(name, schema)| (name.clone(), flat(schemas, schema)))
        .collect();
    let is_needed = |body: &Value| {
        let schema = &body["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().and_then(|name| name.strip_prefix(FOLDER));
        let required = schema.and_then(|name| all[name]["required"].as_array());
        required.is_some_and(|required| !required.is_empty())
    };
    let routes = document["paths"].as_object_mut().into_iter().flatten();
    for (_, route) in routes {
        for (_, operation) in route.as_object_mut().into_iter().flatten() {
            if operation["requestBody"].is_object() {
                operation["requestBody"]["required"] = is_needed(&operation["requestBody"]).into();
            }
        }
    }
    document["components"]["schemas"] = json!(all);
}

fn flat(schemas: &Value, schema: &Value) -> Value {
    let named = schema["$ref"].as_str();
    if let Some(name) = named.and_then(|name| name.strip_prefix(FOLDER)) {
        return flat(schemas, &schemas[name]);
    }
    let Some(parts) = schema["allOf"].as_array() else {
        return schema.clone();
    };
    let mut whole = Map::from_iter([("type".to_owned(), "object".into())]);
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut others = None;
    for part in parts {
        let part = flat(schemas, part);
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        if let Some(more) = part.get("additionalProperties") {
            let is_open = others
                .as_ref()
                .is_some_and(|others| *others != Value::Bool(false));
            if !is_open {
                others = Some(more.clone());
            }
        }
    }
    whole.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        whole.insert("required".to_owned(), required.into());
    }
    if let Some(others) = others {
        whole.insert("additionalProperties".to_owned(), others);
    }
    if let Some(words) = schema.get("description") {
        whole.insert("description".to_owned(), words.clone());
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_object() {
        let mut document = json!({
            "paths": {"/x": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Outer"}}}}}}},
            "components": {"schemas": {
                "Inner": {"type": "object", "properties": {"a": {}}, "additionalProperties": false},
                "Outer": {"allOf": [{"$ref": "#/components/schemas/Inner"}, {"properties": {"b": {}}, "required": ["b"]}]},
                "Open": {"allOf": [{"additionalProperties": {}}, {"$ref": "#/components/schemas/Outer"}]},
            }},
        });
        flatten(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(
            schemas["Outer"],
            json!({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"], "additionalProperties": false})
        );
        assert_eq!(schemas["Open"]["additionalProperties"], json!({}));
        assert_eq!(
            document["paths"]["/x"]["post"]["requestBody"]["required"],
            true
        );
    }
}
