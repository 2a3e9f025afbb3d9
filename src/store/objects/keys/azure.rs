//! Azure's connection strings: `AZURE_STORAGE_CONNECTION_STRING`, as the portal shows it.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    store::{environment::Environment, options::AzureOptions},
};

const VARIABLE: &str = "AZURE_STORAGE_CONNECTION_STRING";
/// The account of every emulator, with the key that Microsoft publishes for it ("Use the Azurite emulator").
const EMULATOR: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);
const ACCOUNT: [&str; 1] = ["AZURE_STORAGE_ACCOUNT_NAME"];
const KEYS: [&str; 5] = [
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
];
const ENDPOINT: [&str; 2] = ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"];

/// Returns the environment as if the connection string's values were variables of their own. Other variables, and the
/// configuration, take precedence. A string of another account is not used.
pub fn applied(options: &AzureOptions, environment: &Environment) -> Result<Environment> {
    let mut result = environment.clone();
    let Some(text) = environment.get(VARIABLE) else {
        return Ok(result);
    };
    let values = parse(text)?;
    let is_set = |names: &[&str]| names.iter().any(|name| environment.get(name).is_some());
    let value = |name: &str| values.get(name).filter(|value| !value.is_empty());
    let is_emulator = value("usedevelopmentstorage").is_some_and(|value| value == "true");
    let endpoint = value("blobendpoint").cloned();
    let account = match (value("accountname"), is_emulator) {
        (Some(account), _) => account.clone(),
        (None, true) => EMULATOR.0.to_owned(),
        (None, false) => {
            // https://ACCOUNT.blob.core.windows.net
            let host = endpoint.as_deref().and_then(|url| url.split_once("://"));
            let account = host.and_then(|(_, host)| host.split_once('.'));
            match account {
                Some((account, _)) => account.to_owned(),
                None => return Err(unusable("it has no AccountName")),
            }
        }
    };
    let named = options.account.as_deref();
    let named = named.or_else(|| environment.get(ACCOUNT[0]));
    if named.is_some_and(|named| named != account) {
        return Ok(result);
    }
    let mut add = |name: &str, value: String| result.variables.push((name.to_owned(), value));
    if !is_set(&ACCOUNT) {
        add(ACCOUNT[0], account.clone());
    }
    if options.account_key.is_none() && !is_set(&KEYS) {
        if let Some(key) = value("accountkey") {
            add("AZURE_STORAGE_ACCOUNT_KEY", key.clone());
        } else if let Some(token) = value("sharedaccesssignature") {
            add("AZURE_STORAGE_SAS_KEY", token.clone());
        } else if is_emulator {
            add("AZURE_STORAGE_ACCOUNT_KEY", EMULATOR.1.to_owned());
        } else {
            return Err(unusable(
                "it has neither AccountKey nor SharedAccessSignature",
            ));
        }
    }
    if options.bucket.endpoint.is_none() && !is_set(&ENDPOINT) {
        let scheme = value("defaultendpointsprotocol").map_or("https", String::as_str);
        let endpoint = match (endpoint, value("endpointsuffix")) {
            (Some(endpoint), _) => Some(endpoint),
            (None, _) if is_emulator => Some(format!("http://127.0.0.1:10000/{account}")),
            (None, Some(suffix)) => Some(format!("{scheme}://{account}.blob.{suffix}")),
            (None, None) if scheme == "http" => {
                Some(format!("http://{account}.blob.core.windows.net"))
            }
            (None, None) => None,
        };
        if let Some(endpoint) = endpoint {
            let endpoint = endpoint.trim_end_matches('/').to_owned();
            if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
                return Err(unusable("its BlobEndpoint has no https://"));
            }
            // The string itself says that the connection is without TLS.
            if endpoint.starts_with("http://") {
                add("AZURE_ALLOW_HTTP", "true".to_owned());
            }
            add(ENDPOINT[0], endpoint);
        }
    }
    Ok(result)
}

/// Reads `Name=value;Name=value`; names are case-insensitive.
fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let text = text.trim().trim_matches('"');
    let mut values = BTreeMap::new();
    for pair in text.split(';').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| unusable("it is not made of NAME=VALUE, with `;` between them"))?;
        values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(values)
}

fn unusable(why: &str) -> anyhow::Error {
    Failure::new(Kind::Usage, format!("{VARIABLE} cannot be used: {why}"))
        .hint("copy it from the portal: the storage account, \"Access keys\"")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(string: &str, options: &AzureOptions) -> Vec<(String, String)> {
        let environment = Environment::of(vec![(VARIABLE.to_owned(), string.to_owned())]);
        let environment = applied(options, &environment).expect("good");
        environment.variables[1..].to_vec()
    }

    #[test]
    fn a_connection_string_is_account_key_and_endpoint() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let options = AzureOptions::default();
        let whole = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5PQ==;EndpointSuffix=core.chinacloudapi.cn";
        assert_eq!(
            found(whole, &options),
            [
                pair("AZURE_STORAGE_ACCOUNT_NAME", "a"),
                pair("AZURE_STORAGE_ACCOUNT_KEY", "a2V5PQ=="),
                pair(
                    "AZURE_STORAGE_ENDPOINT",
                    "https://a.blob.core.chinacloudapi.cn"
                ),
            ]
        );
        let token =
            "BlobEndpoint=https://a.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x";
        assert_eq!(
            found(token, &options),
            [
                pair("AZURE_STORAGE_ACCOUNT_NAME", "a"),
                pair("AZURE_STORAGE_SAS_KEY", "sv=1&sig=x"),
                pair("AZURE_STORAGE_ENDPOINT", "https://a.blob.core.windows.net"),
            ]
        );
        let emulator = found("UseDevelopmentStorage=true", &options);
        assert!(emulator.contains(&pair("AZURE_ALLOW_HTTP", "true")));
        assert!(emulator.contains(&pair("AZURE_STORAGE_ACCOUNT_KEY", EMULATOR.1)));
        let other = AzureOptions {
            account: Some("b".to_owned()),
            ..AzureOptions::default()
        };
        assert_eq!(found(whole, &other), []);
    }

    #[test]
    fn what_a_connection_string_lacks_is_said_and_its_key_is_not() {
        for string in [
            "hunter2",
            "AccountKey=hunter2",
            "AccountName=a",
            "BlobEndpoint=x.y;AccountKey=hunter2",
        ] {
            let environment = Environment::of(vec![(VARIABLE.to_owned(), string.to_owned())]);
            let error = applied(&AzureOptions::default(), &environment).err();
            let error = error.expect(string);
            assert_eq!(Failure::of(&error).kind, Kind::Usage);
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        }
    }
}
