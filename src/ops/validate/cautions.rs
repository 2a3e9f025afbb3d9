//! Settings that are good, and may not be what the user means.

use crate::{
    catalog::destination,
    config::{
        Choices, Settings,
        destinations::DestinationSettings,
        encryption::{DestinationEncryption, EncryptionSettings},
        sources::Source,
    },
    context::Context,
    disk::{folder_of, real},
    model::{job::Job, plan::Privacy},
    store::Address,
    work::{session::SessionStarter, shell::Line},
};

/// The cautions about a configuration.
#[derive(Debug, Default)]
pub struct Cautions {
    /// Settings that may be intended or not.
    pub warnings: Vec<String>,
    /// Settings that are not good.
    pub faults: Vec<String>,
}

/// Warns of secrets that leave the machine as they are, and of archives that one lost key makes useless.
pub fn of_encryption(context: &Context, settings: &Settings, found: &mut Cautions) {
    let schema = &settings.schema;
    let enabled = schema.destinations.iter().filter(|(_, one)| one.enabled);
    let mut is_shared = schema.destinations.is_empty() && schema.encryption.seals();
    for (name, written) in enabled {
        let section = format!("backup.destinations.{name}");
        match &written.encryption {
            DestinationEncryption::Shared if schema.encryption.seals() => is_shared = true,
            DestinationEncryption::Shared => unsealed(settings, &section, written, found),
            // The user says so.
            DestinationEncryption::Off => {}
            DestinationEncryption::Own(own) => {
                keys(
                    context,
                    settings,
                    &format!("{section}.encryption"),
                    own,
                    found,
                );
            }
        }
    }
    if is_shared {
        keys(
            context,
            settings,
            "backup.encryption",
            &schema.encryption,
            found,
        );
    }
}

/// Refuses a drill in the schedule of a machine that has no key for its archives: each would fail.
pub fn of_drills(choices: &Choices, settings: &Settings, found: &mut Cautions) {
    let schema = &settings.schema;
    let is_scheduled = schema.schedule.timetable(Job::Drill, false).is_some();
    let has_key = !choices.identities.is_empty() || !schema.encryption.identity_files.is_empty();
    if !is_scheduled || has_key {
        return;
    }
    let is_closed = |one: &EncryptionSettings| one.seals() && one.passphrase.is_none();
    let enabled = schema.destinations.iter().filter(|(_, one)| one.enabled);
    let closed = enabled.filter(|(_, one)| match &one.encryption {
        DestinationEncryption::Shared => is_closed(&schema.encryption),
        DestinationEncryption::Off => false,
        DestinationEncryption::Own(own) => is_closed(own),
    });
    let closed: Vec<String> = closed.map(|(name, _)| format!("@{name}")).collect();
    if !closed.is_empty() {
        found.faults.push(format!(
            "{}: `drill` under [backup.schedule] opens archives, and no key on this machine opens those of {}: name one \
            with `identity_file` under [backup.encryption], or rehearse restores on another machine",
            settings.config.display(),
            closed.join(", ")
        ));
    }
}

/// Warns of a destination on another machine that gets secrets which are not sealed.
fn unsealed(
    settings: &Settings,
    section: &str,
    written: &DestinationSettings,
    found: &mut Cautions,
) {
    // A repository seals what it holds.
    if matches!(written.address, Address::Folder(_) | Address::Restic(_)) {
        return;
    }
    let is_secret = |source: &&Source| source.enabled && source.privacy == Privacy::Private;
    if let Some(secret) = settings.sources.iter().find(is_secret) {
        found.warnings.push(format!(
            "[{section}]: archives leave this machine with secrets ({}), and are not sealed: add `recipients` under \
            [backup.encryption] (`hookshot key generate` makes a key), or say `encryption = false` there",
            secret.name
        ));
    }
}

/// Warns of a single key. Recipients that cannot be found are a fault.
fn keys(
    context: &Context,
    settings: &Settings,
    section: &str,
    encryption: &EncryptionSettings,
    found: &mut Cautions,
) {
    // Its passphrase may come from a command, which is not run here.
    if encryption.passphrase.is_some() {
        return;
    }
    match destination::recipients(context, settings, encryption) {
        Ok(Some(recipients)) if recipients.public_keys().len() < 2 => {
            found.warnings.push(format!(
                "[{section}] names one key: if its private key is lost, so are the archives; add a recovery key, and keep \
                its private key off this machine"
            ));
        }
        Ok(_) => {}
        Err(error) => {
            let config = settings.config.display();
            found
                .faults
                .push(format!("{config}: [{section}]: {error:#}"));
        }
    }
}

/// Warns if every destination is a folder of this machine: what takes the machine takes the archives, too. One that has
/// to be mounted may be a disk elsewhere.
pub fn one_machine(settings: &Settings, found: &mut Cautions) {
    let destinations = settings.schema.destinations.values();
    let mut enabled = destinations
        .filter(|destination| destination.enabled)
        .peekable();
    let is_beside = |destination: &DestinationSettings| {
        matches!(destination.address, Address::Folder(_)) && !destination.mounted
    };
    if enabled.peek().is_some() && enabled.all(is_beside) {
        found.warnings.push(
            "every destination is a folder of this machine, and is lost with it: add one elsewhere (docs/destinations.md), or \
            say `mounted = true` of one on another disk"
                .to_owned(),
        );
    }
}

/// Warns of folders for archives that lie in a directory which is exported: each archive would hold those before it.
pub fn archives_in_sources(settings: &Settings, found: &mut Cautions) {
    let directories = settings.sources.iter();
    let directories = directories.filter(|source| source.is_directory());
    for (name, destination) in &settings.schema.destinations {
        let Address::Folder(folder) = &destination.address else {
            continue;
        };
        let folder = real(&folder_of(&settings.config).join(folder));
        for source in directories.clone() {
            let top = source.path().map(real).unwrap_or_default();
            let Ok(inside) = folder.strip_prefix(&top) else {
                continue;
            };
            let is_kept = settings.rules(source).map_or(true, |rules| {
                let archive = inside.join("archive.tar.gz");
                rules.keeps(archive.as_os_str().as_encoded_bytes(), false)
            });
            if is_kept {
                found.warnings.push(format!(
                    "the destination {name}, {}, lies in the directory {}: each archive holds those before it, and an \
                    import replaces the folder with them; choose another folder, or exclude it",
                    folder.display(),
                    source.name
                ));
            }
        }
    }
}

/// Warns of commands whose failure can pass unseen.
pub fn pipes(settings: &Settings, starter: &SessionStarter, found: &mut Cautions) {
    let version = settings.schema.app_version_command.as_deref();
    let version = version.and_then(|command| Line::new(command, None).pitfall(starter));
    let version = version.map(|pitfall| format!("`app_version_command` under [backup]: {pitfall}"));
    found.warnings.extend(version);
    for (key, command) in [
        ("prepare", &settings.schema.prepare),
        ("cleanup", &settings.schema.cleanup),
    ] {
        let pitfall = command
            .as_deref()
            .and_then(|command| Line::new(command, None).pitfall(starter));
        let warning = pitfall.map(|pitfall| format!("`{key}` under [backup]: {pitfall}"));
        found.warnings.extend(warning);
    }
    for source in &settings.sources {
        for (key, line) in source.commands() {
            let pitfall = line.pitfall(starter);
            let warning = pitfall.map(|pitfall| format!("`{key}` of {}: {pitfall}", source.name));
            found.warnings.extend(warning);
        }
    }
}
