//! `[backup.import]`: how the service is stopped and started around an import, and how its health is asked.

use std::time::Duration;

use toml::Value;

use super::{hooks::COMMAND_TIMEOUT, reader::Section};
use crate::{
    model::{quantity::TimeLimit, user_command::UserCommand},
    store::Secret,
};

/// The time that a service has to become healthy, unless the configuration says otherwise.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(60);
/// The time for which a service has to stay healthy, unless the configuration says otherwise.
pub const HEALTHY_FOR: Duration = Duration::from_secs(2);

/// The way in which the service is stopped, started and asked for its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSettings {
    /// The commands that stop and start it.
    pub control: Option<ServiceControl>,
    /// The question for its health.
    pub health: Option<HealthCheck>,
    /// The time that it has to become healthy.
    pub health_timeout: Duration,
    /// The time for which it has to stay healthy.
    pub healthy_for: Duration,
    /// The time limit of each of the commands.
    pub timeout: Duration,
}

impl Default for ImportSettings {
    fn default() -> ImportSettings {
        ImportSettings {
            control: None,
            health: None,
            health_timeout: HEALTH_TIMEOUT,
            healthy_for: HEALTHY_FOR,
            timeout: COMMAND_TIMEOUT,
        }
    }
}

/// The commands that stop and start the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceControl {
    /// Stops it.
    pub stop: UserCommand,
    /// Starts it.
    pub start: UserCommand,
}

/// A question for the health of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// A command that ends with exit code 0 if the service is healthy.
    Command(UserCommand),
    /// A URL of HTTP that answers with a status of 2xx if it is. It may hold a secret.
    Url(Secret),
}

impl HealthCheck {
    /// Reads a line: an URL, or a command for a shell. The error completes "the health check ...".
    pub fn parse(text: &str) -> Result<HealthCheck, String> {
        let text = text.trim();
        let schemes = ["http://", "https://"];
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        let Some(scheme) = schemes.into_iter().find(|scheme| lower.starts_with(scheme)) else {
            let first = text.split_whitespace().next().unwrap_or_default();
            // RFC 3986, section 3.1.
            let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            let scheme = first.split_once("://").map(|(scheme, _)| scheme);
            let is_url = scheme.is_some_and(|scheme| scheme.bytes().all(is_of_scheme));
            return match first.is_empty() || is_url {
                true => Err("must be a command, or a URL of HTTP".to_owned()),
                false => Ok(HealthCheck::Command(UserCommand::Line(text.to_owned()))),
            };
        };
        let rest = &text[scheme.len()..];
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_written =
            !rest.contains(|letter: char| letter.is_whitespace() || letter.is_control());
        match host.is_empty() || !is_written {
            true => Err("begins like a URL, and is none".to_owned()),
            false => Ok(HealthCheck::Url(Secret::new(text))),
        }
    }
}

/// Reads `[backup.import]`.
pub(super) fn read(section: &Section<'_>) -> ImportSettings {
    let (stop, start) = (section.command("stop"), section.command("start"));
    let has = |key: &'static str| section.value(key).is_some();
    for (one, other) in [("stop", "start"), ("start", "stop")] {
        if has(one) && !has(other) && !section.is_part() {
            section.fault(one, format!("needs `{other}` beside it"));
        }
    }
    let limit = |key| section.limit(key);
    let (health_timeout, timeout) = (limit("health_timeout"), limit("timeout"));
    let says = "a time, as in \"0s\" or \"10s\"";
    let healthy_for = section.written("healthy_for", says, |_: &TimeLimit| true);
    let default = ImportSettings::default();
    ImportSettings {
        control: stop
            .zip(start)
            .map(|(stop, start)| ServiceControl { stop, start }),
        health: health(section),
        health_timeout: health_timeout.unwrap_or(default.health_timeout),
        healthy_for: healthy_for.map_or(default.healthy_for, |time| time.duration()),
        timeout: timeout.unwrap_or(default.timeout),
    }
}

fn health(section: &Section<'_>) -> Option<HealthCheck> {
    let Some(Value::String(line)) = section.value("health") else {
        return section
            .value("health")
            .and(section.command("health"))
            .map(HealthCheck::Command);
    };
    HealthCheck::parse(line)
        .map_err(|fault| section.fault("health", fault))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    fn settings(text: &str) -> Result<ImportSettings, Vec<String>> {
        reader::read(text, read)
    }

    #[test]
    fn a_service_is_stopped_started_and_asked() {
        let text = "stop = \"systemctl stop app\"\nstart = [\"systemctl\", \"start\", \"app\"]\n\
            health = \"HTTPS://app.example.org/health?key=hunter2\"\nhealth_timeout = \"2m\"\n\
            healthy_for = \"0s\"\ntimeout = \"30s\"\n";
        let read = settings(text).expect("good");
        let control = read.control.as_ref().expect("commands");
        assert_eq!(
            control.stop,
            UserCommand::Line("systemctl stop app".to_owned())
        );
        assert_eq!(control.start.text(), "systemctl start app");
        assert!(matches!(read.health, Some(HealthCheck::Url(_))));
        assert!(!format!("{read:?}").contains("hunter2"));
        assert_eq!(
            (read.health_timeout, read.healthy_for, read.timeout),
            (
                Duration::from_secs(120),
                Duration::ZERO,
                Duration::from_secs(30)
            )
        );
        assert_eq!(settings("").expect("good"), ImportSettings::default());
        let read = settings("health = [\"curl\", \"http://127.0.0.1\"]\n").expect("good");
        assert!(matches!(
            read.health,
            Some(HealthCheck::Command(UserCommand::Words(_)))
        ));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is() {
        for text in [
            "stop = \"hunter2\"\n",
            "start = \"hunter2\"\n",
            "health = \"http://\"\n",
            "health = \"http:///hunter2\"\n",
            "health = \"http://h/hunter2 x\"\n",
            "health = \"unix:///run/hunter2\"\n",
            "health = \"ftp://h/hunter2\"\n",
            "health = \"\"\n",
            "health = 1\n",
            "health_timeout = \"0s\"\n",
            "timeout = \"hunter2\"\n",
            "healthy_for = \"hunter2\"\n",
            "helth = \"hunter2\"\n",
        ] {
            let faults = settings(text).expect_err(text);
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert!(!faults[0].contains("hunter2"), "{faults:?}");
        }
    }
}
