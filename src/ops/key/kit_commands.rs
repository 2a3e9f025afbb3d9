//! The commands of a recovery kit: they bring an archive, open it, and restore it.

use std::path::PathBuf;

use crate::{
    config::{Settings, destinations::DestinationSettings, elsewhere::tidy},
    disk::folder_of,
    model::archive_name::Ending,
    ops::import::quoted,
    store::{
        Address, OwnOptions,
        address::{BucketAddress, Provider, ServerAddress},
    },
};

/// The words of a command, as a shell takes them.
pub type Command = Vec<String>;

/// The name of the private key's file in commands.
const KEY_FILE: &str = "key.txt";

/// Returns the command that brings an archive of a destination into the working folder, without hookshot.
pub fn fetch(settings: &Settings, written: &DestinationSettings, archive: &str) -> Command {
    match &written.address {
        Address::Folder(folder) => {
            let folder = tidy(&folder_of(&settings.config).join(folder));
            let path = folder.join(archive).display().to_string();
            vec!["cp".to_owned(), quoted(&path), ".".to_owned()]
        }
        Address::Bucket(bucket) => from_bucket(bucket, &written.options.own, archive),
        Address::Sftp(server) => from_server(server, archive),
        Address::Restic(place) => {
            let place = quoted(&place.to_string());
            let mut command = words(&["restic", "-r"]);
            command.push(place);
            command.extend(words(&["restore", "latest", "--target", "."]));
            command
        }
    }
}

fn from_bucket<S>(bucket: &BucketAddress, options: &OwnOptions<S>, archive: &str) -> Command {
    let key = match bucket.prefix.as_str() {
        "" => archive.to_owned(),
        prefix => format!("{prefix}/{archive}"),
    };
    let url = |scheme: &str| quoted(&format!("{scheme}://{}/{key}", bucket.bucket));
    match bucket.provider {
        Provider::S3 => {
            let mut command = words(&["aws", "s3", "cp"]);
            command.extend([url("s3"), ".".to_owned()]);
            if let OwnOptions::S3(own) = options
                && let Some(endpoint) = &own.bucket.endpoint
            {
                command.extend(["--endpoint-url".to_owned(), quoted(endpoint)]);
            }
            command
        }
        Provider::Gcs => {
            let mut command = words(&["gcloud", "storage", "cp"]);
            command.extend([url("gs"), ".".to_owned()]);
            command
        }
        Provider::Azure => {
            let mut command = words(&["az", "storage", "blob", "download"]);
            if let OwnOptions::Azure(own) = options
                && let Some(account) = &own.account
            {
                command.extend(["--account-name".to_owned(), quoted(account)]);
            }
            command.extend(["-c".to_owned(), quoted(&bucket.bucket)]);
            command.extend(["-n".to_owned(), quoted(&key)]);
            command.extend(["-f".to_owned(), quoted(archive)]);
            command
        }
    }
}

fn from_server(server: &ServerAddress, archive: &str) -> Command {
    let mut command = words(&["scp"]);
    if let Some(port) = server.port {
        command.extend(["-P".to_owned(), port.to_string()]);
    }
    let host = match server.host.contains(':') {
        true => format!("[{}]", server.host),
        false => server.host.clone(),
    };
    let user = server.user.as_ref().map(|user| format!("{user}@"));
    let folder = server.folder.trim_end_matches('/');
    let place = format!("{}{host}:{folder}/{archive}", user.unwrap_or_default());
    command.extend([quoted(&place), ".".to_owned()]);
    command
}

/// Returns the options without which the destination is not found again; none of them is secret.
pub fn way_to<S>(options: &OwnOptions<S>) -> Vec<(String, String)> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let found = match options {
        OwnOptions::None => Vec::new(),
        OwnOptions::S3(own) => vec![
            ("endpoint", own.bucket.endpoint.clone()),
            ("region", own.region.clone()),
            ("path_style", own.path_style.map(|on| on.to_string())),
            ("profile", own.profile.clone()),
            ("ca_file", path(&own.bucket.ca_file)),
        ],
        OwnOptions::Gcs(own) => vec![
            ("endpoint", own.bucket.endpoint.clone()),
            ("ca_file", path(&own.bucket.ca_file)),
        ],
        OwnOptions::Azure(own) => vec![
            ("endpoint", own.bucket.endpoint.clone()),
            ("account", own.account.clone()),
            ("ca_file", path(&own.bucket.ca_file)),
        ],
        OwnOptions::Sftp(own) => vec![
            ("identity_file", path(&own.identity_file)),
            ("known_hosts_file", path(&own.known_hosts_file)),
            ("ssh_config", path(&own.ssh_config)),
        ],
    };
    let known = found
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    known.collect()
}

/// The way in which archives of the kit are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// They are not sealed.
    Plain,
    /// A file has the private key.
    Key,
    /// The user types the passphrase.
    Passphrase,
}

impl Opening {
    fn ending(self) -> Ending {
        match self {
            Opening::Plain => Ending::Plain,
            Opening::Key | Opening::Passphrase => Ending::Sealed,
        }
    }
}

/// Returns the commands that restore an archive of the working folder with hookshot.
pub fn restore(settings: &Settings, stem: &str, opening: Opening) -> Vec<Command> {
    let archive = format!("{stem}{}", opening.ending().text());
    let config = quoted(&settings.config.display().to_string());
    let run = |verb: &[&str], more: &[&str]| {
        let mut command = words(&["hookshot", "--config", &config]);
        command.extend(words(verb));
        command.push(quoted(&archive));
        if opening == Opening::Key {
            command.extend(words(&["--identity", KEY_FILE]));
        }
        command.extend(words(more));
        command
    };
    let place: &[&str] = match settings.schema.include_config {
        true => &["--use-archive-config"],
        false => &[],
    };
    let dry: Vec<&str> = place.iter().copied().chain(["--dry-run"]).collect();
    vec![
        run(&["verify"], &[]),
        run(&["import"], &dry),
        run(&["import"], place),
        words(&["hookshot", "--config", &config, "validate"]),
    ]
}

/// Returns the commands that open and check an archive of the working folder without hookshot.
pub fn open(prefix: &str, stem: &str, opening: Opening) -> Vec<Command> {
    let plain = format!("{stem}{}", Ending::Plain.text());
    let sealed = format!("{stem}{}", Ending::Sealed.text());
    let mut commands = vec![words(&["umask", "077"])];
    match opening {
        Opening::Plain => {}
        Opening::Key => {
            let open = ["age", "-d", "-i", KEY_FILE, "-o", &plain, &sealed];
            commands.push(words(&open));
        }
        Opening::Passphrase => commands.push(words(&["age", "-d", "-o", &plain, &sealed])),
    }
    commands.extend([
        words(&["tar", "-xzf", &plain]),
        // The name of the folder has no number.
        words(&["cd", &format!("{prefix}-*/")]),
        words(&[
            "jq",
            "-r",
            r#"'.files[] | "\(.checksum)  \(.path)"'"#,
            "manifest.json",
            ">",
            "../sums",
        ]),
        words(&["sha256sum", "-c", "../sums"]),
        words(&[
            "jq",
            "-r",
            r#"'.files[] | "\(.path) \(.mode) \(.user) \(.target)"'"#,
            "manifest.json",
        ]),
    ]);
    commands
}

fn words(words: &[&str]) -> Command {
    words.iter().map(|&word| word.to_owned()).collect()
}
