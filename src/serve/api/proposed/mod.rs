//! `POST destinations/{s3,local,sftp,gcs,azure}`: a destination, as lines of the configuration that would have it.
//!
//! Nothing is opened and nothing is stored. A secret in the body is dropped while it is read: the lines name a file for it.

mod bodies;
mod outward;

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::Serialize;
use toml::{Table, Value};
use utoipa::ToSchema;

use self::{
    bodies::{AzureBody, GcsBody, LocalBody, Proposed, S3Body, SftpBody},
    outward::{require_elsewhere, require_folder},
};
use super::body::Given;
use crate::{
    config::schema::Schema,
    serve::{
        Server,
        answer::Trouble,
        database::{Deed, id_of},
        identity::Person,
        person::Admin,
        policies::no_good,
    },
};

/// A destination that the configuration does not have yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProposedAnswer {
    /// The identifier that it will have.
    id: String,
    /// Its name, as the body says it.
    name: String,
    /// Its kind.
    r#type: &'static str,
    /// False: nothing was written, here or there.
    repo_initialized: bool,
    /// The configuration that the lines are for.
    config: String,
    /// The lines to add to the configuration.
    lines: String,
    /// The files beside the configuration that the secrets belong into, readable for their owner alone.
    secret_files: Vec<String>,
    /// The command that tests it then.
    check: String,
}

macro_rules! proposes {
    ($(#[$summary:meta])* $name:ident, $path:literal, $body:ty) => {
        $(#[$summary])*
        #[utoipa::path(
            post, path = $path, tag = "destinations", security(("token" = ["admin"])),
            request_body = $body,
            responses((status = 200, description = "The lines of the configuration", body = ProposedAnswer))
        )]
        pub async fn $name(
            Shared(server): Shared<Arc<Server>>,
            Admin(person): Admin,
            Given(body): Given<$body>,
        ) -> Result<Json<ProposedAnswer>, Trouble> {
            answer(&server, &person, body.into())
        }
    };
}

proposes! {
    /// A bucket of S3, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    s3, "/destinations/s3", S3Body
}
proposes! {
    /// A folder of this machine, as lines for the configuration
    ///
    /// Nothing is stored. Not for tokens that see some services only.
    local, "/destinations/local", LocalBody
}
proposes! {
    /// A folder of an SSH server, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    sftp, "/destinations/sftp", SftpBody
}
proposes! {
    /// A bucket of Google, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    gcs, "/destinations/gcs", GcsBody
}
proposes! {
    /// A container of Azure, as lines for the configuration
    ///
    /// Nothing is stored, no secret of the body either. Not for tokens that see some services only.
    azure, "/destinations/azure", AzureBody
}

fn answer(
    server: &Server,
    person: &Person,
    proposed: Proposed,
) -> Result<Json<ProposedAnswer>, Trouble> {
    person.require_all("this")?;
    let name = key_of(&proposed.name)?;
    match (proposed.kind, &proposed.host) {
        ("local", _) => require_folder(&proposed.url)?,
        (_, Some(host)) => require_elsewhere(host)?,
        _ => {}
    }
    let files: Vec<(&str, String)> = (proposed.secrets.iter())
        .map(|key| (*key, format!("{name}.{key}")))
        .collect();
    let mut keys = Table::from_iter([("url".to_owned(), Value::String(proposed.url))]);
    let written = proposed.keys.into_iter();
    keys.extend(written.map(|(key, value)| (key.to_owned(), value)));
    let references = files.iter();
    let references =
        references.map(|(key, file)| ((*key).to_owned(), format!("file:{file}").into()));
    keys.extend(references);
    let mut all = Value::Table(keys);
    for section in [name.as_str(), "destinations", "backup"] {
        all = Value::Table(Table::from_iter([(section.to_owned(), all)]));
    }
    let lines = toml::to_string(&all).unwrap_or_default();
    Schema::parse(&lines).map_err(|faults| no_good("the destination", faults))?;
    let config = server
        .configs
        .first()
        .ok_or_else(|| Trouble::missing("configuration"))?;
    let config = config.display().to_string();
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: "propose destination",
        target: &name,
        outcome: "done",
    };
    server.database.record(deed, server.now())?;
    Ok(Json(ProposedAnswer {
        id: id_of(&config, &format!("@{name}")),
        check: format!("hookshot check @{name}"),
        name: proposed.name,
        r#type: proposed.kind,
        repo_initialized: false,
        config,
        lines,
        secret_files: files.into_iter().map(|(_, file)| file).collect(),
    }))
}

/// Returns the name that a configuration can have: letters, digits and hyphens.
fn key_of(name: &str) -> Result<String, Trouble> {
    let plain = name.trim().to_ascii_lowercase();
    let symbols = plain.chars().map(|symbol| match symbol {
        'a'..='z' | '0'..='9' | '_' => symbol,
        _ => '-',
    });
    let key: String = symbols.collect();
    let key = key.trim_matches('-').to_owned();
    match (1..=60).contains(&key.len()) {
        true => Ok(key),
        false => {
            let fault = "its name has no letter or digit, or more than 60 characters";
            Err(no_good("the destination", vec![fault.to_owned()]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn a_name_becomes_a_key() {
        assert_eq!(key_of("Backblaze B2").ok().as_deref(), Some("backblaze-b2"));
        assert_eq!(key_of("NAS]\n[x").ok().as_deref(), Some("nas---x"));
        assert!(key_of("   ").is_err() && key_of("…").is_err());
    }
}
