//! The address of an S3 bucket: the bucket is in the path or in the host's name, never in neither or in both.

use std::net::IpAddr;

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    store::environment::Environment,
};

/// The address to which the requests for a bucket go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The server's URL, with the bucket in its host's name if `has_bucket`.
    pub url: String,
    /// True if the path has no bucket.
    pub has_bucket: bool,
}

/// Providers that put the bucket in front of the host's name, and whose consoles show it so.
const PROVIDERS: [&str; 14] = [
    "amazonaws.com",
    "backblazeb2.com",
    "cloudflarestorage.com",
    "contabostorage.com",
    "digitaloceanspaces.com",
    "exo.io",
    "idrivee2.com",
    "linodeobjects.com",
    "ovh.net",
    "scw.cloud",
    "storage.googleapis.com",
    "vultrobjects.com",
    "wasabisys.com",
    "your-objectstorage.com",
];

/// Variables from which other programs read the server, and which hookshot ignores.
const UNREAD: [&str; 4] = [
    "AWS_S3_ENDPOINT",
    "AWS_S3_ENDPOINT_URL",
    "AWS_S3_URL",
    "AWS_ENDPOINT_S3",
];

/// Returns the endpoint of requests for `bucket`; `None` for the provider's own hosts. Errors: [`Kind::Usage`] for an
/// endpoint that names the bucket in another way than `path_style` says.
pub fn of_bucket(
    bucket: &str,
    endpoint: Option<&str>,
    path_style: Option<bool>,
    environment: &Environment,
) -> Result<Option<Endpoint>> {
    let variable = |names: &[&str]| {
        names.iter().find_map(|wanted| {
            let mut found = environment.variables.iter();
            let found = found.find(|(name, value)| name == wanted && !value.trim().is_empty());
            found.map(|(_, value)| value.clone())
        })
    };
    // The configuration wins over the variables, and the variable for S3 alone over the others.
    let endpoint = endpoint.map(str::to_owned);
    let endpoint =
        endpoint.or_else(|| variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]));
    let Some(endpoint) = endpoint else {
        if let Some(name) = UNREAD.iter().find(|name| variable(&[name]).is_some()) {
            let message = format!(
                "`{name}` of the environment is not read, and nothing else names a server: requests for {bucket} would go to AWS"
            );
            return Err(Failure::new(Kind::Usage, message)
                .hint("name the server in the destination's `endpoint`, or in AWS_ENDPOINT_URL; for AWS itself, write \
                    `endpoint = \"https://s3.REGION.amazonaws.com\"`, or unset the variable")
                .into());
        }
        return Ok(None);
    };
    let is_virtual = variable(&["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"]);
    let is_virtual = is_virtual.is_some_and(|value| matches!(value.as_str(), "true" | "1"));
    let path_style = path_style.or(is_virtual.then_some(false));
    Ok(Some(placed(bucket, endpoint.trim(), path_style)?))
}

/// Refuses an endpoint of Google's or Azure's that ends with the bucket or container, which the URL names already. The
/// endpoint of an emulator of Azure's ends with the account.
pub fn require_without_bucket(
    bucket: &str,
    endpoint: Option<&str>,
    account: Option<&str>,
) -> Result<()> {
    let Some(endpoint) = endpoint.filter(|_| account != Some(bucket)) else {
        return Ok(());
    };
    let url = endpoint.trim().trim_end_matches('/');
    let front = url
        .strip_suffix(bucket)
        .filter(|front| front.ends_with('/'));
    match front.map(|front| front.trim_end_matches('/')) {
        Some(front) if front.contains("://") => Err(twice(endpoint, bucket, front).into()),
        _ => Ok(()),
    }
}

fn twice(endpoint: &str, bucket: &str, right: &str) -> Failure {
    let message = format!(
        "`endpoint` {endpoint} ends with the bucket, which the URL of the destination names already ({bucket})"
    );
    Failure::new(Kind::Usage, message).hint(format!("write endpoint = \"{right}\""))
}

fn placed(bucket: &str, endpoint: &str, path_style: Option<bool>) -> Result<Endpoint, Failure> {
    let url = endpoint.trim_end_matches('/');
    // The client's builder checks that it is a URL.
    let Some((scheme, rest)) = url.split_once("://") else {
        let url = url.to_owned();
        return Ok(Endpoint {
            url,
            has_bucket: false,
        });
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let refused = |why: &str, right: String| {
        let message = format!("`endpoint` {endpoint} {why}");
        Failure::new(Kind::Usage, message).hint(right)
    };
    if let Some(front) = path.strip_suffix(bucket)
        && front.ends_with('/')
    {
        let front = front.trim_end_matches('/');
        return Err(twice(
            endpoint,
            bucket,
            &format!("{scheme}://{authority}{front}"),
        ));
    }
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, port)| {
            match port.bytes().all(|byte| byte.is_ascii_digit()) {
                true => host,
                false => authority,
            }
        });
    let behind = authority
        .strip_prefix(bucket)
        .and_then(|rest| rest.strip_prefix('.'));
    if path_style == Some(false) {
        if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return Err(refused(
                "is an address: no host can have the bucket in front of it",
                "leave out `path_style = false` (and AWS_VIRTUAL_HOSTED_STYLE_REQUEST), or name the host".to_owned(),
            ));
        }
        let authority = match behind {
            Some(_) => authority.to_owned(),
            None => format!("{bucket}.{authority}"),
        };
        return Ok(Endpoint {
            url: format!("{scheme}://{authority}{path}"),
            has_bucket: true,
        });
    }
    let is_known = PROVIDERS.iter().any(|provider| {
        host.strip_suffix(provider)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    });
    if let Some(behind) = behind
        && is_known
        && path_style.is_none()
    {
        return Err(refused(
            &format!(
                "begins with the bucket, which the URL of the destination names already ({bucket})"
            ),
            format!("write endpoint = \"{scheme}://{behind}{path}\""),
        ));
    }
    Ok(Endpoint {
        url: url.to_owned(),
        has_bucket: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_in_one_place() {
        for (endpoint, path_style, url, has_bucket) in [
            ("https://s3.example", None, "https://s3.example", false),
            (
                "https://s3.example/",
                Some(true),
                "https://s3.example",
                false,
            ),
            (
                "https://s3.example:9000/x/",
                Some(false),
                "https://b.s3.example:9000/x",
                true,
            ),
            (
                "https://b.s3.example",
                Some(false),
                "https://b.s3.example",
                true,
            ),
            (
                "https://bb.s3.example",
                Some(false),
                "https://b.bb.s3.example",
                true,
            ),
            // A private server that has the name of the bucket.
            (
                "https://b.example:9000",
                None,
                "https://b.example:9000",
                false,
            ),
            (
                "http://127.0.0.1:9000",
                None,
                "http://127.0.0.1:9000",
                false,
            ),
            (
                "http://[::1]:9000/p/",
                Some(true),
                "http://[::1]:9000/p",
                false,
            ),
            ("https://h/bb", None, "https://h/bb", false),
        ] {
            let found = placed("b", endpoint, path_style).expect(endpoint);
            assert_eq!(
                (found.url.as_str(), found.has_bucket),
                (url, has_bucket),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn an_endpoint_that_names_the_bucket_again_is_refused_with_the_right_spelling() {
        for (endpoint, path_style, right) in [
            (
                "https://1.r2.cloudflarestorage.com/b",
                None,
                "\"https://1.r2.cloudflarestorage.com\"",
            ),
            (
                "https://1.r2.cloudflarestorage.com/b/",
                Some(true),
                "\"https://1.r2.cloudflarestorage.com\"",
            ),
            ("https://h:9000/s3/b", Some(false), "\"https://h:9000/s3\""),
            (
                "https://b.nyc3.digitaloceanspaces.com",
                None,
                "\"https://nyc3.digitaloceanspaces.com\"",
            ),
            (
                "https://b.s3.eu-west-1.amazonaws.com",
                None,
                "\"https://s3.eu-west-1.amazonaws.com\"",
            ),
            ("http://127.0.0.1:9000", Some(false), "path_style"),
            ("http://[::1]", Some(false), "path_style"),
        ] {
            let failure = placed("b", endpoint, path_style).expect_err(endpoint);
            assert_eq!(failure.kind, Kind::Usage);
            let hint = failure.hint.unwrap_or_default();
            assert!(hint.contains(right), "{endpoint}: {hint}");
        }
    }

    #[test]
    fn google_and_azure_take_no_bucket_in_their_endpoint_either() {
        for (endpoint, account, is_good) in [
            ("https://a.blob.core.windows.net", Some("a"), true),
            ("https://a.blob.core.windows.net/b", Some("a"), false),
            ("https://a.blob.core.windows.net/b/", None, false),
            (
                "http://127.0.0.1:1/devstoreaccount1",
                Some("devstoreaccount1"),
                true,
            ),
            ("http://127.0.0.1:1/b", Some("b"), true),
            ("https://b", None, true),
        ] {
            let found = require_without_bucket("b", Some(endpoint), account);
            assert_eq!(found.is_ok(), is_good, "{endpoint}");
        }
    }

    #[test]
    fn a_variable_that_names_a_server_and_is_not_read_is_refused() {
        let variables = |names: &[&str]| {
            Environment::of(
                (names.iter())
                    .map(|name| ((*name).to_owned(), "https://minio.example".to_owned()))
                    .collect(),
            )
        };
        for name in UNREAD {
            let error = of_bucket("b", None, None, &variables(&[name])).expect_err(name);
            let failure = Failure::of(&error);
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.message.contains(name), "{failure:?}");
            for read in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"] {
                let found = of_bucket("b", None, None, &variables(&[name, read]));
                assert!(found.expect("a server").is_some());
            }
        }
    }

    #[test]
    fn the_environment_is_minded_if_the_configuration_says_nothing() {
        let variables = |pairs: &[(&str, &str)]| {
            Environment::of(
                (pairs.iter())
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        let found =
            |pairs: &[(&str, &str)]| of_bucket("b", None, None, &variables(pairs)).expect("good");
        assert_eq!(found(&[("AWS_ENDPOINT_URL", " ")]), None);
        let virtual_hosts = found(&[
            ("AWS_ENDPOINT_URL", "https://x"),
            ("AWS_ENDPOINT_URL_S3", "https://y"),
            ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ]);
        assert_eq!(
            virtual_hosts.map(|found| found.url).as_deref(),
            Some("https://b.y")
        );
    }
}
