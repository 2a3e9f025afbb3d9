//! The delay of a start, so that many machines do not start at once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{digest::Digest, run_record::Job};

/// The facts by which delays differ.
#[derive(Debug, Clone, Copy)]
pub struct Spread<'a> {
    /// The name of the machine.
    pub host: &'a str,
    /// The name of the application.
    pub app: &'a str,
    /// The job.
    pub job: Job,
}

impl Spread<'_> {
    /// Returns a delay of whole seconds, at most `most`, that the facts and the moment alone decide.
    pub(super) fn delay(&self, moment: DateTime<Utc>, most: Duration) -> Duration {
        let facts = [self.host, self.app, self.job.name()].join("\0");
        let facts = format!("{facts}\0{}", moment.timestamp());
        let digest = Digest::of(facts.as_bytes()).to_string();
        // The first 15 hexadecimal digits are 60 bits.
        let number = u64::from_str_radix(&digest[..15], 16).unwrap_or_default();
        Duration::from_secs(number % (most.as_secs() + 1))
    }
}
