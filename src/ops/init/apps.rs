//! Ready-made configurations of well-known services: those of examples/apps.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Report;
use crate::{
    config::Choices,
    disk::{
        create_folders, exists, folder_of,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
};

/// The services that there are configurations for.
pub const NAMES: [&str; 6] = [
    "gitea",
    "grafana",
    "home-assistant",
    "postgres",
    "uptime-kuma",
    "vaultwarden",
];

/// A service: its configuration, and where that says that its data are.
struct App {
    text: &'static str,
    folder: &'static str,
}

fn find(name: &str) -> Option<App> {
    let (text, folder) = match name {
        "gitea" => (
            include_str!("../../../examples/apps/gitea.toml"),
            "/var/lib/gitea",
        ),
        "grafana" => (
            include_str!("../../../examples/apps/grafana.toml"),
            "/var/lib/grafana",
        ),
        "home-assistant" => (
            include_str!("../../../examples/apps/home-assistant.toml"),
            "/var/lib/homeassistant",
        ),
        "postgres" => (
            include_str!("../../../examples/apps/postgres.toml"),
            "/var/lib/app/files",
        ),
        "uptime-kuma" => (
            include_str!("../../../examples/apps/uptime-kuma.toml"),
            "/opt/uptime-kuma/data",
        ),
        "vaultwarden" => (
            include_str!("../../../examples/apps/vaultwarden.toml"),
            "/var/lib/vaultwarden",
        ),
        _ => return None,
    };
    Some(App { text, folder })
}

/// Writes the configuration of the service called `name` where there is none yet.
pub fn init(choices: &Choices, name: &str) -> Result<Report> {
    let app = find(name).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("there is no configuration for {name}"))
            .hint(format!("there is one for each of {}", NAMES.join(", ")))
    })?;
    let config = choices.config_path()?;
    if exists(&config) {
        let message = format!("{} exists already, nothing was made", config.display());
        return Err(Failure::new(Kind::Usage, message)
            .hint("name another file with --config; each service has a configuration of its own")
            .into());
    }
    let text = match &choices.data_dir {
        Some(folder) => placed(&app, &std::path::absolute(folder)?)?,
        None => app.text.to_owned(),
    };
    let folder = folder_of(&config);
    create_folders(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    publish(&config, text.as_bytes(), Existing::Keep)?;
    Ok(Report {
        created: vec![config.display().to_string()],
    })
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
        for name in NAMES {
            let app = find(name).expect(name);
            assert!(app.text.contains(app.folder), "{name}");
            let text = placed(&app, Path::new("/srv/data of it/")).expect(name);
            assert!(!text.contains(app.folder), "{name}");
            for text in [app.text, &text] {
                let schema =
                    Schema::parse(text).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
                assert!(schema.sources.expect("sources").len() >= 2, "{name}");
            }
        }
        assert!(placed(&find("gitea").expect("it"), Path::new("/a\"b")).is_err());
    }
}
