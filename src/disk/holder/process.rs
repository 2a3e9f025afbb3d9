//! A process that holds a file, and its name in messages.

use std::fs;

use crate::model::entry_name::printable;

/// A process that holds a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number; `None` if the kernel does not tell us.
    pub pid: Option<u32>,
    /// Its name, if we may see it.
    pub command: Option<String>,
}

impl Holder {
    /// Returns the process with this number.
    pub fn of(pid: u32) -> Holder {
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        Holder {
            pid: Some(pid),
            command: command.map(|name| name.trim_end().to_owned()),
        }
    }

    /// Returns a process that we know to exist and cannot name.
    pub fn unknown() -> Holder {
        Holder {
            pid: None,
            command: None,
        }
    }
}

/// Names processes in a message: `process 123 (hookshotd)`.
pub fn describe(holders: &[Holder]) -> String {
    let one = |holder: &Holder| {
        match (holder.pid, &holder.command) {
        (Some(pid), Some(command)) => format!(
            "process {pid} ({})",
            printable(command)
        ),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "a process that cannot be seen from here (another user's, or one of another container or machine)".to_owned(),
    }
    };
    match holders {
        [] => one(&Holder::unknown()),
        _ => holders.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// The mode in which a process has a file open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenMode {
    /// For reading only.
    Reads,
    /// For writing as well.
    Writes,
}
