//! The secrets of a configuration, each with its place in it, and the places to which references lead.

use super::{
    encryption::{DestinationEncryption, EncryptionSettings},
    schema::Schema,
    secret::{Lookup, WrittenSecret},
};
/// A secret, with its place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSecret {
    /// Its key and its section, as messages name them.
    pub place: String,
    /// The destination that it belongs to, if it is an option of one.
    pub destination: Option<String>,
    /// False if what needs it is disabled.
    pub is_enabled: bool,
    /// Its text.
    pub secret: WrittenSecret,
}

impl PlacedSecret {
    /// Returns the place to which it refers, without the text of a command, which may hold a secret itself. `None` if the
    /// value stands in the configuration.
    pub fn reference(&self) -> Option<String> {
        let text = self
            .secret
            .is_elsewhere()
            .then(|| self.secret.text.reveal())?;
        match text.starts_with("command:") {
            true => Some("command: (its text is in the configuration)".to_owned()),
            false => Some(text.to_owned()),
        }
    }

    /// Returns the reason why a reference leads nowhere on this machine. A command is not run.
    pub fn obstacle(&self, lookup: &Lookup<'_>) -> Option<String> {
        if !self.secret.is_elsewhere() || !self.secret.is_at_hand() {
            return None;
        }
        let error = lookup.find(&self.secret).err()?;
        Some(format!("{}: {error:#}", self.place))
    }
}

impl Schema {
    /// Returns every secret, and the private keys.
    pub fn secrets(&self) -> Vec<PlacedSecret> {
        let mut found = Vec::new();
        for (name, destination) in &self.destinations {
            let section = format!("[backup.destinations.{name}]");
            let own = destination.repository.password.clone();
            for secret in destination.options.secrets().into_iter().chain(own) {
                found.push(PlacedSecret {
                    place: format!("`{}` under {section}", secret.key),
                    destination: Some(name.clone()),
                    is_enabled: destination.enabled,
                    secret,
                });
            }
            if let DestinationEncryption::Own(own) = &destination.encryption {
                let section = format!("[backup.destinations.{name}.encryption]");
                found.extend(of_encryption(&section, own, destination.enabled));
            }
        }
        found.extend(of_encryption("[backup.encryption]", &self.encryption, true));
        for notification in &self.notify {
            for secret in notification.secrets() {
                found.push(PlacedSecret {
                    place: format!("`{}` of the notification {}", secret.key, notification.name),
                    destination: None,
                    is_enabled: notification.enabled,
                    secret: secret.clone(),
                });
            }
        }
        found
    }
}

fn of_encryption(
    section: &str,
    settings: &EncryptionSettings,
    is_enabled: bool,
) -> Vec<PlacedSecret> {
    let secrets = settings.passphrase.iter().chain(&settings.identity_files);
    let placed = |secret: &WrittenSecret| PlacedSecret {
        place: format!("`{}` under {section}", secret.key),
        destination: None,
        is_enabled,
        secret: secret.clone(),
    };
    secrets.map(placed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_named_with_its_place_and_no_value_is() {
        let text = "[backup.encryption]\npassphrase = \"env:PHRASE\"\nidentity_file = \"/root/a.key\"\n\
            [backup.destinations.a]\nurl = \"s3://b\"\naccess_key_id = \"AKIA\"\n\
            secret_access_key = \"command:pass show --token=hunter2\"\n\
            [backup.destinations.b]\nurl = \"/b\"\n[backup.destinations.b.encryption]\npassphrase = \"credential:b\"\n\
            [[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh/topic\"\ntoken = \"file:token\"\n";
        let schema = Schema::parse(text).expect("good");
        let secrets = schema.secrets();
        let told = |one: &PlacedSecret| Some(format!("{} {}", one.place, one.reference()?));
        let told: Vec<String> = secrets.iter().filter_map(told).collect();
        assert_eq!(
            told,
            [
                "`secret_access_key` under [backup.destinations.a] command: (its text is in the configuration)",
                "`passphrase` under [backup.destinations.b.encryption] credential:b",
                "`passphrase` under [backup.encryption] env:PHRASE",
                "`identity_file` under [backup.encryption] file:/root/a.key",
                "`token` of the notification ops file:token",
            ]
        );
        assert_eq!(secrets[0].destination.as_deref(), Some("a"));
    }
}
