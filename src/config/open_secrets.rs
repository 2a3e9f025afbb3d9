//! The secrets that stand in the configuration itself.

use super::{
    import::HealthCheck, notify::Channel, references::PlacedSecret, schema::Schema,
    secret::is_reference,
};
use crate::{
    model::{
        secret_url::{secret_parts, urls_in},
        user_command::UserCommand,
    },
    work::shell::Masks,
};

impl Schema {
    /// Adds the secrets that stand in the configuration itself to `masks`, and those in URLs of commands.
    pub fn mask_secrets(&self, masks: &Masks) {
        for PlacedSecret { secret, .. } in self.secrets() {
            let text = secret.text.reveal();
            if !is_reference(text) {
                secret.mask(text, masks);
            }
        }
        let hooks = self.hooks.iter().map(|hook| hook.run.text());
        let sent = self.notify.iter().filter_map(|one| match &one.channel {
            Channel::Command(command) => Some(command.text()),
            _ => None,
        });
        let around = [&self.prepare, &self.cleanup].into_iter().flatten();
        let control = self.import.control.iter();
        let control = control.flat_map(|control| [control.stop.text(), control.start.text()]);
        let health = self.import.health.iter().map(|health| match health {
            HealthCheck::Command(command) => command.text(),
            HealthCheck::Url(url) => url.reveal().to_owned(),
        });
        let probe = self.drill.probe.iter().map(UserCommand::text);
        let commands = hooks.chain(sent).chain(around.cloned()).chain(probe);
        for command in commands.chain(control).chain(health) {
            mask_command(&command, masks);
        }
    }
}

/// Masks what is secret in the URLs of a command.
pub fn mask_command(command: &str, masks: &Masks) {
    for url in urls_in(command) {
        secret_parts(url).iter().for_each(|part| masks.add(part));
    }
    // Those of other protocols may have a password.
    for word in command.split_whitespace() {
        masks.add_password_of(word.trim_matches(['"', '\'']));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_the_urls_of_commands_are_masked() {
        let schema = Schema::parse(
            "[backup]\nprepare = \"curl 'https://h/a/PrePare123456'\"\n\
            [[backup.hooks]]\nstage = \"before\"\nrun = \"curl https://h/a/Hook123456; pg_dump postgres://u:p4ssw0rd@h\"\n\
            [[backup.notify]]\nname = \"a\"\nkind = \"command\"\nrun = [\"curl\", \"https://h/a?t=Notify123456\"]\n\
            [backup.import]\nstop = \"curl https://h/a/Stop123456\"\nstart = \"true\"\nhealth = \"https://h/?k=Health123456\"\n\
            [backup.drill]\nprobe = \"curl https://h/a/Probe123456\"\n",
        );
        let masks = Masks::default();
        schema.expect("good").mask_secrets(&masks);
        let masked = masks.masked(
            b"PrePare123456 Hook123456 p4ssw0rd Notify123456 Stop123456 Health123456 Probe123456 curl u",
        );
        assert_eq!(masked, b"*** *** *** *** *** *** *** curl u");
    }
}
