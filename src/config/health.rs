//! The limits of health: `max_age` and `prometheus_file` under `[backup]`.

use std::{path::PathBuf, time::Duration};

use super::reader::Section;

/// The limits of health, and the file for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthSettings {
    /// The age of the newest good archive from which a destination without a `max_age` of its own is stale.
    pub max_age: Option<Duration>,
    /// The file that each backup writes for Prometheus; a relative path counts from the configuration's folder.
    pub prometheus_file: Option<PathBuf>,
}

/// Reads the keys under `[backup]`.
pub(super) fn read(backup: &Section<'_>) -> HealthSettings {
    HealthSettings {
        max_age: backup.limit("max_age"),
        prometheus_file: backup.path("prometheus_file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    #[test]
    fn limits_are_read_and_faults_named() {
        let text = "max_age = \"8d\"\nprometheus_file = \"x.prom\"\n";
        let read_in = |text: &str| reader::read(text, read);
        let health = read_in(text).expect("good");
        assert_eq!(health.max_age, Some(Duration::from_secs(8 * 86_400)));
        assert_eq!(health.prometheus_file, Some("x.prom".into()));
        assert_eq!(read_in("").expect("good"), HealthSettings::default());
        let faults = read_in("max_age = \"soon\"\n").expect_err("bad");
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
}
