//! The things that the units of a configuration lack: variables, credentials, and a manager that runs.

use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use serde::Serialize;

use super::{
    installed::{Scope, UnitFolder},
    names::quoted,
};
use crate::{config::needs::Needs, context::Context};

/// Variables that change what hookshot does, whatever the configuration.
const VARIABLES: [&str; 6] = [
    "HOOKSHOT_TO",
    "HOOKSHOT_THREADS",
    "HOOKSHOT_NO_CACHE",
    "HOOKSHOT_VERBOSE",
    "HOOKSHOT_QUIET",
    "HOOKSHOT_LOG_FORMAT",
];
/// Variables that give the password of a repository whose destination has none.
const RESTIC: [&str; 3] = [
    "RESTIC_PASSWORD",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_PASSWORD_COMMAND",
];
/// Variables that change how stores are reached.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The beginnings of such variables.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
/// The folders with credentials of the system's manager (systemd.exec(5)).
const STORES: [&str; 4] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];
/// The folders of users for which a manager runs without a session (logind).
const LINGER: &str = "/var/lib/systemd/linger";

/// A user, and whether its manager runs without a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lingering {
    /// The user's name.
    pub user: String,
    /// True if its timers wait while it is not logged in.
    pub enabled: bool,
}

impl Lingering {
    /// Returns that of this user; `None` for the system's manager, which always runs.
    pub fn of(folder: &UnitFolder) -> Option<Lingering> {
        if folder.scope == Scope::System {
            return None;
        }
        let uid = geteuid();
        let user = User::from_uid(uid).ok().flatten();
        let user = user.map_or_else(|| uid.to_string(), |user| user.name);
        let file = folder.below(&Path::new(LINGER).join(&user));
        let enabled = file.exists();
        Some(Lingering { user, enabled })
    }
}

/// Returns the variables of this environment that change what a job does, and that its unit does not have. Those of
/// secrets that the configuration names are not among them.
pub fn variables(context: &Context, needs: &Needs) -> Vec<String> {
    let is_of_stores = |name: &str| {
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        let is_of_provider = PROVIDERS.iter().any(|begin| name.starts_with(begin));
        is_proxy || is_of_provider || CERTIFICATES.contains(&name)
    };
    let names = context.environment.variables.iter().map(|(name, _)| name);
    let mut names: Vec<String> = names
        .filter(|name| context.environment.get(name).is_some())
        .filter(|name| {
            VARIABLES.contains(&name.as_str())
                || needs.restic && RESTIC.contains(&name.as_str())
                || !needs.network.is_empty() && is_of_stores(name)
        })
        .filter(|name| !needs.variables.contains(*name))
        .cloned()
        .collect();
    names.sort();
    names
}

/// The way to a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The line of the unit.
    pub line: String,
    /// The fault, if the unit will not have it.
    pub fault: Option<String>,
}

impl Credential {
    /// Finds a credential of the manager that starts the units.
    pub fn find(name: &str, folder: &UnitFolder) -> Credential {
        match folder.scope {
            Scope::System => of_system(name, folder),
            Scope::User => of_user(name, folder),
        }
    }
}

fn of_system(name: &str, folder: &UnitFolder) -> Credential {
    let is_in = |kind: &str| {
        let store = |top: &str| folder.below(&Path::new(top).join(kind).join(name));
        STORES.into_iter().any(|top| store(top).exists())
    };
    let (key, is_there) = match is_in("credstore.encrypted") {
        true => ("LoadCredentialEncrypted", true),
        false => ("LoadCredential", is_in("credstore")),
    };
    let fault = "put it in /etc/credstore, or by systemd-creds(1) in /etc/credstore.encrypted";
    Credential {
        line: format!("{key}={}", quoted(name)),
        fault: (!is_there).then(|| fault.to_owned()),
    }
}

/// Finds a credential of a user's manager. That of systemd 252 does not look into the user's own folders, and none can
/// decrypt what is encrypted for the system: the unit names the file (systemd.exec(5), systemd-creds(1)).
fn of_user(name: &str, folder: &UnitFolder) -> Credential {
    let own = |kind: &str| -> PathBuf { folder.user_folder().join(kind).join(name) };
    let line = |key: &str, path: &Path| {
        let path = folder.inside(path);
        format!("{key}={}", quoted(&format!("{name}:{}", path.display())))
    };
    for (key, kind) in [
        ("LoadCredentialEncrypted", "credstore.encrypted"),
        ("LoadCredential", "credstore"),
    ] {
        let path = own(kind);
        if path.exists() {
            let line = line(key, &path);
            return Credential { line, fault: None };
        }
    }
    let store = own("credstore");
    let encrypted = Path::new("/etc/credstore.encrypted").join(name);
    let is_of_system = folder.below(&encrypted).exists();
    let why = match is_of_system {
        true => format!("a user's systemd cannot decrypt {}; ", encrypted.display()),
        false => String::new(),
    };
    Credential {
        line: format!("LoadCredential={}", quoted(name)),
        fault: Some(format!("{why}put it in {}, 0600", store.display())),
    }
}
