//! The runbook of a configuration: the places of its archives and keys, and each step to restore the state on a new machine.
//! The last good drill says how long that takes.

use anyhow::Result;
use serde::Serialize;

use super::report::{NewestArchive, StatusReport};
use crate::{
    config::{Choices, Settings},
    context::Context,
    disk::folder_of,
    jobs::runs::Runs,
    model::{archive_name::stem_of, run_record::Job, user_command::UserCommand, written::rfc3339},
    ops::{
        import::quoted,
        key::{Command, KitSeal, KitSecret, PrivateKeys, RecoveryKit, ShownKey, recovery_kit},
    },
    source::service::is_unit,
};

/// The steps to restore the state of a configuration on a new machine.
#[derive(Debug, Serialize)]
pub struct Runbook {
    /// The application.
    pub app: String,
    /// The machine.
    pub host: Option<String>,
    /// The time at which the runbook was made.
    pub time: String,
    /// The version of hookshot that made it.
    pub version: String,
    /// The configuration.
    pub config: String,
    /// True if nothing was wrong at that time.
    pub healthy: bool,
    /// The places of archives.
    pub archives: Vec<RunbookPlace>,
    /// The public keys for which archives are sealed.
    pub keys: Vec<ShownKey>,
    /// The places of private keys on the machine that is lost.
    pub identities: Vec<String>,
    /// The steps, in their order.
    pub steps: Vec<RunbookStep>,
    /// The secrets that no archive holds.
    pub secrets: Vec<KitSecret>,
}

/// A destination of archives.
#[derive(Debug, Serialize)]
pub struct RunbookPlace {
    /// Its name in the configuration.
    pub destination: String,
    /// Its URL, or its folder.
    pub url: String,
    /// Further settings that lead to it, such as an endpoint.
    pub settings: Vec<(String, String)>,
    /// The form of its archives.
    pub seal: KitSeal,
    /// The newest good archive; `None` if there is none, or the destination was not asked or could not be read.
    pub newest: Option<NewestArchive>,
    /// The last good drill of an archive of this destination.
    pub last_drill: Option<RunbookDrill>,
    /// The command that brings the archive without hookshot.
    pub fetch: Command,
}

/// A rehearsed restore that was good.
#[derive(Debug, Serialize)]
pub struct RunbookDrill {
    /// The time at which the drill began.
    pub time: String,
    /// The archive.
    pub archive: Option<String>,
    /// The seconds that the restore took.
    pub rto_seconds: f64,
}

/// A step.
#[derive(Debug, Serialize)]
pub struct RunbookStep {
    /// The words for it.
    pub text: String,
    /// Its commands.
    pub commands: Vec<Command>,
}

/// Makes the runbook of a configuration. The archives in its commands are the newest good ones of `status`.
pub fn runbook(
    context: &Context,
    choices: &Choices,
    settings: &Settings,
    status: &StatusReport,
    runs: &Runs,
) -> Result<Runbook> {
    settings.mask_secrets(&context.runner.masks);
    let kit = recovery_kit(context, choices, settings, PrivateKeys::LeftOut)?;
    let named = placeholder(&kit);
    let archives: Vec<RunbookPlace> = kit
        .destinations
        .iter()
        .map(|place| {
            let rows = status.destinations.iter();
            let mut rows = rows.filter(|row| row.name == place.name && row.prefix == kit.prefix);
            let newest = rows.next().and_then(|row| row.newest.clone());
            RunbookPlace {
                destination: place.name.clone(),
                url: place.url.clone(),
                settings: place.settings.clone(),
                seal: place.seal,
                fetch: match &newest {
                    Some(newest) => with_name(&place.fetch, &named, &newest.name),
                    None => place.fetch.clone(),
                },
                last_drill: last_drill(runs, &place.name),
                newest,
            }
        })
        .collect();
    let newest = archives.iter().filter_map(|place| place.newest.as_ref());
    let newest = newest.max_by(|one, other| one.time.cmp(&other.time));
    let restore = kit.restore.iter().map(|command| match newest {
        Some(newest) => with_name(command, &named, &newest.name),
        None => command.clone(),
    });
    let identities = (kit.secrets.iter())
        .filter(|secret| is_identity(secret))
        .map(|secret| secret.reference.clone());
    let identities = identities
        .chain(
            choices
                .identities
                .iter()
                .map(|path| path.display().to_string()),
        )
        .collect();
    let steps = steps(context, settings, &kit, restore.collect());
    Ok(Runbook {
        healthy: status.healthy,
        archives,
        identities,
        steps,
        app: kit.app,
        host: kit.host,
        time: kit.time,
        version: kit.version,
        config: kit.config,
        keys: kit.keys,
        secrets: kit.secrets,
    })
}

/// Returns a command of the configuration as a shell takes it, with secrets masked.
fn as_typed(context: &Context, command: &UserCommand) -> Command {
    let words = match command {
        UserCommand::Line(line) => vec![line.clone()],
        UserCommand::Words(words) => words.iter().map(|word| quoted(word)).collect(),
    };
    let masked = words.iter().map(|word| context.runner.masked(word));
    masked.collect()
}

fn steps(
    context: &Context,
    settings: &Settings,
    kit: &RecoveryKit,
    restore: Vec<Command>,
) -> Vec<RunbookStep> {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Command>();
    let config = ["hookshot", "--config", &kit.config];
    let ours = |verb: &[&str]| words(&[&config[..], verb].concat());
    let mut steps = vec![RunbookStep {
        text: format!(
            "Install hookshot {} or newer, and the service with its user. Do not start the service.",
            kit.version
        ),
        commands: Vec::new(),
    }];
    let is_sealed = |seal: KitSeal| kit.destinations.iter().any(|place| place.seal == seal);
    if is_sealed(KitSeal::Keys) {
        steps.push(RunbookStep {
            text: "Put the private key into key.txt in an empty folder. It lay on the machine that is lost, so take its \
                copy: from paper, a safe, or another machine."
                .to_owned(),
            commands: vec![words(&["chmod", "600", "key.txt"])],
        });
    }
    if is_sealed(KitSeal::Passphrase) {
        steps.push(RunbookStep {
            text: "Have the passphrase at hand: hookshot asks for it.".to_owned(),
            commands: Vec::new(),
        });
    }
    steps.push(RunbookStep {
        text: match is_sealed(KitSeal::Keys) {
            true => "Bring the newest archive into that folder, from one of the places above.",
            false => "Bring the newest archive into an empty folder, from one of the places above.",
        }
        .to_owned(),
        commands: Vec::new(),
    });
    steps.push(RunbookStep {
        text: "Verify it, and rehearse the import. Then import it, and check the configuration."
            .to_owned(),
        commands: restore,
    });
    if !kit.secrets.is_empty() {
        steps.push(RunbookStep {
            text: "Enter the secrets below again: archives do not hold them.".to_owned(),
            commands: Vec::new(),
        });
    }
    let keys: Vec<&str> = (kit.secrets.iter().filter(|secret| is_identity(secret)))
        .filter_map(|secret| secret.reference.strip_prefix("file:"))
        .collect();
    if is_sealed(KitSeal::Keys) && !keys.is_empty() {
        let beside = folder_of(&settings.config);
        let put = keys.iter().map(|key| {
            let place = beside.join(key).display().to_string();
            words(&["install", "-m", "600", "key.txt", &quoted(&place)])
        });
        steps.push(RunbookStep {
            text: "Put the private key back, as `identity_file` names it; or take `identity_file` out of the \
                configuration. While it names a missing file, `status`, `backup` and `drill` fail."
                .to_owned(),
            commands: put.collect(),
        });
    }
    let control = settings.schema.import.control.as_ref();
    let unit = (settings.schema.service.as_deref()).filter(|service| is_unit(service));
    let start = match (control, unit) {
        (Some(control), _) => vec![as_typed(context, &control.start)],
        (None, Some(unit)) => vec![words(&["systemctl", "start", unit])],
        (None, None) => Vec::new(),
    };
    steps.push(RunbookStep {
        text: "Start the service, and try it.".to_owned(),
        commands: start,
    });
    steps.push(RunbookStep {
        text: "Make the first archive of the new machine, and start the schedule again.".to_owned(),
        commands: vec![ours(&["backup"]), ours(&["timer", "install"])],
    });
    steps.push(RunbookStep {
        text: "Rehearse a restore from the new machine. Then everything should be healthy."
            .to_owned(),
        commands: vec![ours(&["drill"]), ours(&["status"])],
    });
    steps
}

/// Returns true for a reference to a private key that opens archives, and false for one of ssh.
fn is_identity(secret: &KitSecret) -> bool {
    secret.place.contains("identity_file") && secret.place.contains("[backup.encryption]")
}

/// Returns the part of a name in the commands of a kit that stands for an archive.
fn placeholder(kit: &RecoveryKit) -> String {
    format!("{}-YYYYMMDD-HHMMSS", kit.prefix)
}

/// Returns a command for the archive `name` in place of the one that only a kit knows.
fn with_name(command: &Command, placeholder: &str, name: &str) -> Command {
    let stem = stem_of(name);
    let ending = &name[stem.len()..];
    let word = |word: &String| {
        let sealed = word.replace(&format!("{placeholder}.tar.gz.age"), name);
        let plain = sealed.replace(&format!("{placeholder}.tar.gz"), &format!("{stem}{ending}"));
        plain.replace(placeholder, stem)
    };
    command.iter().map(word).collect()
}

fn last_drill(runs: &Runs, destination: &str) -> Option<RunbookDrill> {
    let drills = runs.all().iter().rev().filter(|run| run.job == Job::Drill);
    let mut found = drills.flat_map(|run| run.drills.iter().map(move |drill| (run, drill)));
    found.find_map(|(run, drill)| {
        let is_it = drill.good && drill.destination.as_deref() == Some(destination);
        Some(RunbookDrill {
            time: rfc3339(run.started_at),
            archive: drill.archive.clone(),
            rto_seconds: drill.rto_seconds.filter(|_| is_it)?,
        })
    })
}
