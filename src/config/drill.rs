//! `[backup.drill]`: the probe of rehearsed restores, and when one is overdue.

use std::time::Duration;

use super::{hooks::COMMAND_TIMEOUT, reader::Section};
use crate::model::user_command::UserCommand;

/// The choices for rehearsed restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillSettings {
    /// The command that checks a restored state.
    pub probe: Option<UserCommand>,
    /// The time limit of the probe.
    pub timeout: Duration,
    /// True if the import commands of sources run.
    pub runs_commands: bool,
    /// The age of the last good drill from which a drill is overdue.
    pub max_age: Option<Duration>,
}

impl Default for DrillSettings {
    fn default() -> DrillSettings {
        DrillSettings {
            probe: None,
            timeout: COMMAND_TIMEOUT,
            runs_commands: false,
            max_age: None,
        }
    }
}

/// Reads `[backup.drill]`.
pub(super) fn read(section: &Section<'_>) -> DrillSettings {
    DrillSettings {
        probe: section.command("probe"),
        timeout: section.limit("timeout").unwrap_or(COMMAND_TIMEOUT),
        runs_commands: section.flag("commands").unwrap_or(false),
        max_age: section.limit("max_age"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    #[test]
    fn a_drill_is_read_and_faults_named() {
        let text =
            "probe = [\"check\", \"it\"]\ntimeout = \"2s\"\ncommands = true\nmax_age = \"90d\"\n";
        let drill = reader::read(text, read).expect("good");
        let words = ["check", "it"].map(str::to_owned).to_vec();
        assert_eq!(drill.probe, Some(UserCommand::Words(words)));
        assert_eq!(drill.timeout, Duration::from_secs(2));
        assert!(drill.runs_commands);
        assert_eq!(drill.max_age, Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(reader::read("", read), Ok(DrillSettings::default()));
        let bad = "probe = 1\ntimeout = \"0s\"\ncommands = \"yes\"\nmax_aeg = \"1d\"\n";
        let faults = reader::read(bad, read).expect_err("bad");
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
