//! Ready-made configurations of well-known services: those of examples/apps.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{InitReport, Nightly, with_nightly};
use crate::{
    config::Choices,
    disk::{
        create_folders, exists, folder_of,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
};

/// A service: its configuration, and where that says that its data are.
struct App {
    name: &'static str,
    text: &'static str,
    folder: &'static str,
}

macro_rules! app {
    ($name:literal, $folder:literal) => {
        App {
            name: $name,
            text: include_str!(concat!("../../../examples/apps/", $name, ".toml")),
            folder: $folder,
        }
    };
}

const APPS: [App; 12] = [
    app!("actual", "/var/lib/actual"),
    app!("gitea", "/var/lib/gitea"),
    app!("grafana", "/var/lib/grafana"),
    app!("home-assistant", "/var/lib/homeassistant"),
    app!("node-red", "/var/lib/node-red"),
    app!("postgres", "/var/lib/app/files"),
    app!("radicale", "/var/lib/radicale/collections"),
    app!("redis", "/var/lib/redis"),
    app!("slapd", "/var/lib/ldap"),
    app!("synapse", "/var/lib/matrix-synapse/media"),
    app!("uptime-kuma", "/opt/uptime-kuma/data"),
    app!("vaultwarden", "/var/lib/vaultwarden"),
];

/// The services that there are configurations for.
pub fn names() -> impl Iterator<Item = &'static str> {
    APPS.iter().map(|app| app.name)
}

fn find(name: &str) -> Option<&'static App> {
    APPS.iter().find(|app| app.name == name)
}

/// Writes the configuration of the service called `name` if there is none yet.
pub fn init(choices: &Choices, name: &str, nightly: Option<&Nightly>) -> Result<InitReport> {
    let app = find(name).ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            format!("hookshot has no configuration for {name}"),
        )
        .hint(format!(
            "there is one for each of {}",
            names().collect::<Vec<_>>().join(", ")
        ))
    })?;
    let config = choices.config_path()?;
    refuse_existing(&config)?;
    let text = match &choices.data_dir {
        Some(folder) => placed(app, &std::path::absolute(folder)?)?,
        None => app.text.to_owned(),
    };
    let text = with_nightly(text, nightly)?;
    let folder = folder_of(&config);
    create_folders(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    publish(&config, text.as_bytes(), Existing::Keep)?;
    InitReport::of(&[config]).with_sources_of(choices)
}

/// Refuses to write over a configuration.
pub(super) fn refuse_existing(config: &Path) -> Result<(), Failure> {
    if !exists(config) {
        return Ok(());
    }
    let message = format!("{} exists already, nothing was made", config.display());
    let hint = "name another file with --config; each service has a configuration of its own";
    Err(Failure::new(Kind::Usage, message).hint(hint))
}

/// The configuration for a service that has its data elsewhere.
fn placed(app: &App, folder: &Path) -> Result<String> {
    let place = folder
        .to_str()
        .filter(|place| !place.contains(['"', '\\', '\'']));
    let place = place.ok_or_else(|| {
        let message = format!(
            "{} cannot stand in a configuration as it is",
            folder.display()
        );
        Failure::new(Kind::Usage, message).hint("leave out --data-dir, and edit the paths")
    })?;
    Ok(app.text.replace(app.folder, place.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Schema;

    #[test]
    fn every_configuration_is_good_wherever_the_data_are() {
        for name in names() {
            let app = find(name).expect(name);
            assert!(app.text.contains(app.folder), "{name}");
            let text = placed(app, Path::new("/srv/data of it/")).expect(name);
            assert!(!text.contains(app.folder), "{name}");
            for text in [app.text, &text] {
                let schema =
                    Schema::parse(text).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
                assert!(schema.sources.is_some(), "{name}");
            }
        }
        assert!(placed(find("gitea").expect("it"), Path::new("/a\"b")).is_err());
    }
}
