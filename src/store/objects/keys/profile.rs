//! Profiles of Amazon's tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! The format is that of the AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    store::{environment::Environment, options::S3Options, small_file},
};

/// The values of one section; those that are indented below `s3 =` are named `s3.NAME`.
type Section = BTreeMap<String, String>;

/// The keys of a profile that request a feature which hookshot does not support, with its description.
const REFUSED: [(&str, &str); 7] = [
    ("role_arn", "takes on a role (`role_arn`)"),
    ("sso_session", "signs in by SSO (`sso_session`)"),
    ("sso_start_url", "signs in by SSO (`sso_start_url`)"),
    ("sso_account_id", "signs in by SSO (`sso_account_id`)"),
    ("login_session", "signs in by `aws login` (`login_session`)"),
    (
        "credential_process",
        "asks a program for keys (`credential_process`)",
    ),
    (
        "web_identity_token_file",
        "takes on a role (`web_identity_token_file`)",
    ),
];

/// The two files of profiles.
struct Files {
    credentials: PathBuf,
    config: PathBuf,
}

/// Returns the environment as if it contained the profile's values: the key, the region, the endpoint and the file of
/// authorities. The environment itself takes precedence over the profile. But if the destination names the profile, its
/// key takes precedence over all others.
pub fn applied(options: &S3Options, environment: &Environment) -> Result<Environment> {
    let is_set = |name: &str| environment.get(name).is_some();
    let has_own_key = options.access_key_id.is_some() || options.secret_access_key.is_some();
    if options.profile.is_none()
        && (has_own_key || environment.get("AWS_SKIP_SIGNATURE") == Some("true"))
    {
        return Ok(environment.clone());
    }
    let by_variable = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]
        .into_iter()
        .find_map(|name| Some((name, environment.get(name)?)));
    let (named_by, name) = match (&options.profile, by_variable) {
        (Some(name), _) => (Some("the destination's `profile`"), name.as_str()),
        (None, Some((variable, name))) => (Some(variable), name),
        (None, None) => (None, "default"),
    };
    let needs_key = !has_own_key
        && (options.profile.is_some()
            || !(is_set("AWS_ACCESS_KEY_ID")
                || is_set("AWS_SECRET_ACCESS_KEY")
                || is_set("AWS_WEB_IDENTITY_TOKEN_FILE") && is_set("AWS_ROLE_ARN")));
    let Some(files) = Files::of(environment) else {
        return match named_by {
            None => Ok(environment.clone()),
            Some(by) => Err(refused(
                format!("{by} names the profile `{name}`, and HOME is not set"),
                "set HOME, or AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE".to_owned(),
            )),
        };
    };
    // A profile that was not requested must not prevent the use of a key.
    let is_asked_for = named_by.is_some() || needs_key;
    let profiles = match files.read() {
        Err(_) if !is_asked_for => return Ok(environment.clone()),
        profiles => profiles?,
    };
    let Some(profile) = profiles.get(name) else {
        let Some(by) = named_by else {
            return Ok(environment.clone());
        };
        let known: Vec<&str> = profiles.keys().map(String::as_str).take(20).collect();
        let known = match known.is_empty() {
            true => "no profile is there".to_owned(),
            false => format!("there are: {}", known.join(", ")),
        };
        return Err(refused(
            format!("{by} names the profile `{name}`, which is not in {files}"),
            format!("look at its name; {known}"),
        ));
    };
    let mut result = environment.clone();
    if needs_key {
        let key = key(name, profile, &files, options.profile.is_some())?;
        if options.profile.is_some() {
            let others = [
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_TOKEN",
            ];
            (result.variables).retain(|(name, _)| !others.contains(&name.as_str()));
        }
        result.variables.extend(key);
    }
    let mut add = |variable: &str, value: Option<&String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            result.variables.push((variable.to_owned(), value.clone()));
        }
    };
    if !is_set("AWS_REGION") && !is_set("AWS_DEFAULT_REGION") {
        add("AWS_REGION", profile.get("region"));
    }
    if !is_set("AWS_CA_BUNDLE") {
        add("AWS_CA_BUNDLE", profile.get("ca_bundle"));
    }
    if !is_set("AWS_ENDPOINT_URL")
        && !is_set("AWS_ENDPOINT_URL_S3")
        && !is_set("AWS_ENDPOINT")
        && options.bucket.endpoint.is_none()
        && environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != Some("true")
        && profile.get("ignore_configured_endpoint_urls") != Some(&"true".to_owned())
    {
        let endpoint = profile
            .get("s3.endpoint_url")
            .or_else(|| profile.get("endpoint_url"));
        let has_scheme = |endpoint: &str| {
            let endpoint = endpoint.to_ascii_lowercase();
            endpoint.starts_with("https://") || endpoint.starts_with("http://")
        };
        if let Some(endpoint) = endpoint
            && !has_scheme(endpoint)
        {
            return Err(refused(
                format!("`endpoint_url` of the profile `{name}` in {files} has no https://"),
                "write it as a URL: https://HOST:PORT".to_owned(),
            ));
        }
        add("AWS_ENDPOINT_URL", endpoint);
    }
    Ok(result)
}

/// Returns the places that were searched, for a message.
pub fn looked_in(environment: &Environment) -> String {
    match Files::of(environment) {
        Some(files) => format!("the profile in {files}"),
        None => "no profile (HOME is not set)".to_owned(),
    }
}

/// Returns the key of a profile as variables; none if the profile contains no key and nothing depends on it.
fn key(
    name: &str,
    profile: &Section,
    files: &Files,
    is_required: bool,
) -> Result<Vec<(String, String)>> {
    let value = |key: &str| profile.get(key).filter(|value| !value.is_empty());
    let (id, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
    // A profile with a role names the key of another one; Amazon's tools use the role.
    let refuses = |(key, _): &&(&str, &str)| {
        value(key).is_some() && (*key == "role_arn" || id.is_none() || secret.is_none())
    };
    if let Some((_, what)) = REFUSED.iter().find(refuses) {
        return Err(refused(
            format!("the profile `{name}` {what}, which hookshot does not do"),
            format!(
                "run `eval \"$(aws configure export-credentials --profile {name} --format env)\"` before hookshot, or \
                give the destination keys of its own"
            ),
        ));
    }
    let missing = match (id, secret) {
        (Some(id), Some(secret)) => {
            let mut key = vec![
                ("AWS_ACCESS_KEY_ID".to_owned(), id.clone()),
                ("AWS_SECRET_ACCESS_KEY".to_owned(), secret.clone()),
            ];
            if let Some(token) = value("aws_session_token") {
                key.push(("AWS_SESSION_TOKEN".to_owned(), token.clone()));
            }
            return Ok(key);
        }
        (None, None) if !is_required => return Ok(Vec::new()),
        (None, None) => "no key",
        (None, Some(_)) => "no `aws_access_key_id`",
        (Some(_), None) => "no `aws_secret_access_key`",
    };
    Err(refused(
        format!("the profile `{name}` in {files} has {missing}"),
        "give it `aws_access_key_id` and `aws_secret_access_key`".to_owned(),
    ))
}

fn refused(message: String, hint: String) -> anyhow::Error {
    Failure::new(Kind::Usage, message).hint(hint).into()
}

impl std::fmt::Display for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let missing = |path: &Path| match path.exists() {
            true => "",
            false => " (not there)",
        };
        let (credentials, config) = (&self.credentials, &self.config);
        let (no_credentials, no_config) = (missing(credentials), missing(config));
        let (credentials, config) = (credentials.display(), config.display());
        write!(f, "{credentials}{no_credentials} and {config}{no_config}")
    }
}

impl Files {
    /// Finds the files; `None` if the environment names neither them nor a home.
    fn of(environment: &Environment) -> Option<Files> {
        let home = environment.get("HOME").map(PathBuf::from);
        let file = |variable: &str, name: &str| match environment.get(variable) {
            Some(path) => Some(match (path.strip_prefix("~/"), &home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(path),
            }),
            None => Some(home.as_ref()?.join(".aws").join(name)),
        };
        Some(Files {
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
            config: file("AWS_CONFIG_FILE", "config")?,
        })
    }

    /// Reads the profiles of both files; values of `credentials` take precedence over those of `config`.
    fn read(&self) -> Result<BTreeMap<String, Section>> {
        let mut profiles: BTreeMap<String, Section> = BTreeMap::new();
        let config = parse(&text(&self.config)?);
        for (title, section) in &config {
            let (kind, name) = match title.split_once(char::is_whitespace) {
                Some((kind, name)) => (kind, unquoted(name)),
                None => ("", title.as_str()),
            };
            let mut section = section.clone();
            if let Some(services) = section.get("services") {
                let services = config.get(&format!("services {services}"));
                let endpoint = services.and_then(|services| services.get("s3.endpoint_url"));
                if let Some(endpoint) = endpoint {
                    section.insert("s3.endpoint_url".to_owned(), endpoint.clone());
                }
            }
            // `[profile default]` takes precedence over `[default]`, and comes after it in this order.
            if kind == "profile" || (kind.is_empty() && name == "default") {
                profiles.insert(name.to_owned(), section);
            }
        }
        for (name, section) in parse(&text(&self.credentials)?) {
            profiles.entry(name).or_default().extend(section);
        }
        Ok(profiles)
    }
}

fn text(path: &Path) -> Result<String> {
    match small_file::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(refused(
            format!("cannot read {}: {error}", path.display()),
            "let the user that runs hookshot read it".to_owned(),
        )),
    }
}

fn unquoted(name: &str) -> &str {
    let name = name.trim();
    ['"', '\'']
        .iter()
        .find_map(|quote| name.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(name)
}

/// Reads sections and their values. Other lines are skipped, as Amazon's tools do.
fn parse(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let (mut title, mut parent) = (None, None::<String>);
    for line in text.trim_start_matches('\u{feff}').lines() {
        let is_indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if !is_indented && line.starts_with('[') {
            let inner = line[1..].split(']').next().unwrap_or_default();
            let words: Vec<&str> = inner.split_whitespace().collect();
            title = Some(words.join(" "));
            parent = None;
            continue;
        }
        let (Some(title), Some((key, value))) = (&title, line.split_once('=')) else {
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), without_comment(value));
        let key = match (&parent, is_indented) {
            (Some(parent), true) => format!("{parent}.{key}"),
            _ => {
                parent = value.is_empty().then(|| key.clone());
                key
            }
        };
        let section = sections.entry(title.clone()).or_default();
        section.insert(key, value.to_owned());
    }
    sections
}

/// Cuts a comment off: `#` or `;` after a blank.
fn without_comment(value: &str) -> &str {
    let starts = [" #", "\t#", " ;", "\t;"];
    let end = starts.iter().filter_map(|start| value.find(start)).min();
    value[..end.unwrap_or(value.len())].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_comments_and_what_is_nested() {
        let sections = parse(
            "\u{feff}# top\n[ profile   \"my own\" ] ; said\nRegion = eu-west-1 # there\n\
             aws_secret_access_key=a/b+c=#d\ns3 =\n  endpoint_url = https://s3\n  # no\n\
             endpoint_url=https://all\n[default]\nnonsense\nregion=x\n",
        );
        let mine = &sections["profile \"my own\""];
        assert_eq!(mine["region"], "eu-west-1");
        assert_eq!(mine["aws_secret_access_key"], "a/b+c=#d");
        assert_eq!(mine["s3.endpoint_url"], "https://s3");
        assert_eq!(mine["endpoint_url"], "https://all");
        assert_eq!(sections["default"]["region"], "x");
        assert_eq!(unquoted("\"my own\""), "my own");
    }
}
