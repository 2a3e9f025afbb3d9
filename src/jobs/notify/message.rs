//! The content of a notification, which holds no secret.

use serde_json::Value;

use super::words::{Words, compose};
use crate::{
    config::Settings,
    context::Context,
    model::{occasion::Occasion, run_record::RunRecord},
    work::shell::Runner,
};

/// The content of a notification.
#[derive(Debug, Clone)]
pub struct Message {
    /// The occasion.
    pub occasion: Occasion,
    /// Title and text.
    pub words: Words,
    /// The record of the run.
    pub record: RunRecord,
    /// The record as JSON, with `occasion` and `message`.
    pub json: Value,
}

impl Message {
    /// Composes the content for a run. The secrets that the run knows are masked, so resolve them before.
    pub fn new(
        context: &Context,
        settings: &Settings,
        occasion: Occasion,
        record: &RunRecord,
    ) -> Message {
        let runner = &context.runner;
        let service = record.app.as_deref().unwrap_or(&settings.schema.app);
        let host = record.host.as_deref().or(context.hostname.as_deref());
        let words = compose(occasion, record, service, host.unwrap_or("this machine"));
        let words = Words {
            title: runner.masked(&words.title),
            text: runner.masked(&words.text),
        };
        let mut json = serde_json::to_value(record).unwrap_or_default();
        mask(&mut json, runner);
        if let Some(keys) = json.as_object_mut() {
            keys.insert("occasion".to_owned(), occasion.name().into());
            keys.insert("message".to_owned(), words.text.clone().into());
        }
        Message {
            occasion,
            words,
            record: record.clone(),
            json,
        }
    }
}

fn mask(value: &mut Value, runner: &Runner) {
    match value {
        Value::String(text) => *text = runner.masked(text),
        Value::Array(values) => values.iter_mut().for_each(|value| mask(value, runner)),
        Value::Object(keys) => keys.values_mut().for_each(|value| mask(value, runner)),
        _ => {}
    }
}
