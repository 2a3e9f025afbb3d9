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
        let record = masked(record, runner);
        let service = record.app.as_deref().unwrap_or(&settings.schema.app);
        let host = record.host.as_deref().or(context.hostname.as_deref());
        let (service, host) = (plain(service), plain(host.unwrap_or("this machine")));
        let words = compose(occasion, &record, &service, &host);
        // The names that are composed with it may hold a secret, too.
        let words = Words {
            title: runner.masked(&words.title),
            text: runner.masked(&words.text),
        };
        let mut json = serde_json::to_value(&record).unwrap_or_default();
        if let Some(keys) = json.as_object_mut() {
            keys.insert("occasion".to_owned(), occasion.name().into());
            keys.insert("message".to_owned(), words.text.clone().into());
        }
        Message {
            occasion,
            words,
            record,
            json,
        }
    }
}

/// Returns a record without the secrets that the run knows. Only its sentences may repeat one; a secret that equals a
/// name or a number spoils neither.
fn masked(record: &RunRecord, runner: &Runner) -> RunRecord {
    let mut record = record.clone();
    let of_run = [&mut record.error, &mut record.hint];
    let of_destinations = record.destinations.iter_mut();
    let of_destinations = of_destinations.map(|destination| &mut destination.error);
    for text in of_run.into_iter().chain(of_destinations).flatten() {
        *text = runner.masked(text);
    }
    record
}

/// Returns a name without control characters: it stands in titles and headers.
fn plain(name: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    name.chars().map(plain).collect()
}
