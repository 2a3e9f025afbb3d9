//! The sandbox of a unit: as tight as the configuration permits.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf};

use serde::Serialize;

use super::{installed::UnitFolder, names::quoted, paths::UnitPaths};
use crate::{config::needs::Needs, model::run_record::Job};

/// The sandbox of a unit; of the system's, the tightest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// Tight, without the network.
    Local,
    /// Tight, with the network.
    Network,
    /// None but what no command needs: the job runs commands of the configuration.
    Open,
    /// The settings that a user may ask of its own manager.
    User,
}

impl Sandbox {
    /// Returns the sandbox of the system's unit of a job for a configuration with these needs.
    pub fn of(needs: &Needs, job: Job, is_strict: bool) -> Sandbox {
        let runs_commands = !needs.commands_of(job).is_empty();
        let has_network = runs_commands || !needs.network_of(job).is_empty();
        match (!runs_commands || is_strict, has_network) {
            (false, _) => Sandbox::Open,
            (true, true) => Sandbox::Network,
            (true, false) => Sandbox::Local,
        }
    }
}

/// The settings of every tight sandbox.
const TIGHT: &str = "\
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=true
PrivateMounts=true
PrivateDevices=true
NoNewPrivileges=true
AmbientCapabilities=
ProcSubset=all
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
LockPersonality=true
MemoryDenyWriteExecute=true
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
RemoveIPC=true
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM
";
const LOCAL: &str = "\
# No destination and no notification needs the network.
PrivateNetwork=true
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
";
const NETWORK: &str = "\
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
";
/// Reads files of the service's user whatever their mode, and sees which processes hold a database.
const LOOKS: &str = "\
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE
ProtectProc=default
";
/// Does the same, and writes into folders of other users.
const WRITES: &str = "\
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_SYS_PTRACE
ProtectProc=default
";
/// Restores files with their owners and modes, and needs no view of other processes.
const RESTORES: &str = "\
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER
ProtectProc=invisible
";
const OPEN: &str = "\
# This job runs commands of the configuration, which may need anything: no further sandbox.
NoNewPrivileges=true
PrivateTmp=true
";
const USER: &str = "\
NoNewPrivileges=true
LockPersonality=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
";

/// Returns the settings of the sandbox of the unit of a job.
pub fn settings_of(sandbox: Sandbox, job: Job, paths: &UnitPaths, folder: &UnitFolder) -> String {
    match sandbox {
        Sandbox::Open => return OPEN.to_owned(),
        Sandbox::User => return USER.to_owned(),
        Sandbox::Local | Sandbox::Network => {}
    }
    let mut text = TIGHT.to_owned();
    text.push_str(match sandbox {
        Sandbox::Local => LOCAL,
        _ => NETWORK,
    });
    let is_of_another = |path: &PathBuf| {
        let path = folder.below(path);
        let existing = path.ancestors().find_map(|path| path.metadata().ok());
        existing.is_some_and(|metadata| metadata.uid() != 0)
    };
    text.push_str(match job {
        Job::Drill => RESTORES,
        _ if paths.writable.iter().any(is_of_another) => WRITES,
        _ => LOOKS,
    });
    for path in paths.writable_by(job) {
        // A path that is missing is not an error of the unit: hookshot names it.
        let path = quoted(&format!("-{}", path.to_string_lossy()));
        text.push_str(&format!("ReadWritePaths={path}\n"));
    }
    text
}
