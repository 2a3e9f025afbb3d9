//! The surroundings of stores: the variables of the environment, the services of this machine that have no key, and
//! the way to start helpers.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::work::{session::SessionStarter, shell::Masks};

/// The beginnings of variables that the providers' own tools read, and the ends of those that are secret.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const SECRET_ENDS: [&str; 6] = [
    "_KEY",
    "_KEY_BASE64",
    "_SECRET",
    "_TOKEN",
    "_PASSWORD",
    "_CONNECTION_STRING",
];
/// The header of Azure App Service for its identity service.
const IDENTITY_HEADER: &str = "IDENTITY_HEADER";

/// The time for which the other destinations of a run do not ask a service that had no key.
const ABSENT_FOR: Duration = Duration::from_secs(60);

/// The surroundings in which the stores of one run are opened.
#[derive(Clone, Default)]
pub struct Environment {
    /// Variables that the providers' own tools read (`AWS_…`, `GOOGLE_…`, `AZURE_…`): name and value. In values, U+FFFD
    /// stands for bytes that are not UTF-8.
    pub variables: Vec<(String, String)>,
    /// The services of this machine that had no key.
    pub absent: AbsentServices,
    /// The warnings that this run gave already.
    pub said: SaidWarnings,
    /// Begins the session of ssh.
    pub starter: SessionStarter,
}

impl Environment {
    /// Returns an environment of these variables, in which no service was asked yet.
    pub fn of(variables: Vec<(String, String)>) -> Environment {
        Environment {
            variables,
            ..Environment::default()
        }
    }

    /// Returns the value of a variable; an empty one counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.variables.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// Adds the secrets among the variables to `masks`.
    pub fn mask_secrets(&self, masks: &Masks) {
        for (name, value) in &self.variables {
            let is_of_provider = PROVIDERS.iter().any(|begin| name.starts_with(begin));
            let is_secret = SECRET_ENDS.iter().any(|end| name.ends_with(end));
            if is_of_provider && is_secret || name == IDENTITY_HEADER {
                masks.add(value);
                // The parts of a connection string: `AccountName=x;AccountKey=y`.
                for (key, value) in value.split(';').filter_map(|part| part.split_once('=')) {
                    if matches!(key.trim(), "AccountKey" | "SharedAccessSignature") {
                        masks.add(value);
                    }
                }
            } else if name.to_ascii_lowercase().ends_with("_proxy") {
                masks.add_password_of(value);
            }
        }
    }
}

/// The warnings that a run gave: each is given once, however often its cause is met.
#[derive(Debug, Clone, Default)]
pub struct SaidWarnings(Arc<Mutex<BTreeSet<String>>>);

impl SaidWarnings {
    /// Returns true if a warning was not given yet, and remembers it.
    pub fn is_new(&self, warning: String) -> bool {
        self.0.lock().is_ok_and(|mut said| said.insert(warning))
    }
}

/// The metadata services of this machine that had no key: a run with several destinations waits for each of them once.
#[derive(Debug, Clone, Default)]
pub struct AbsentServices(Arc<Mutex<Vec<Absent>>>);

#[derive(Debug)]
struct Absent {
    service: String,
    asked: Instant,
    what: String,
    hint: String,
}

impl AbsentServices {
    /// Returns the fault of a service, and the advice about it, if it was asked a moment ago.
    pub fn find(&self, service: Option<&str>) -> Option<(String, String)> {
        let known = self.0.lock().ok()?;
        let found = (known.iter()).find(|absent| {
            Some(&*absent.service) == service && absent.asked.elapsed() < ABSENT_FOR
        })?;
        Some((found.what.clone(), found.hint.clone()))
    }

    /// Remembers that a service had no key, with the fault and the advice about it.
    pub fn remember(&self, service: Option<&str>, what: &str, hint: &str) {
        if let (Some(service), Ok(mut known)) = (service, self.0.lock()) {
            known.retain(|absent| absent.service != service);
            known.push(Absent {
                service: service.to_owned(),
                asked: Instant::now(),
                what: what.to_owned(),
                hint: hint.to_owned(),
            });
        }
    }
}
