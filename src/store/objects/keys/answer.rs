//! The answers of services that issue keys.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use object_store::aws::AwsCredential;
use serde::Deserialize;

use crate::store::objects::text::{element, quoted};

/// The time that a key is kept if nothing says when it runs out.
const UNKNOWN_LIFE: Duration = Duration::from_secs(5 * 60);

/// A key, and the time for which it is good.
pub struct FreshKey {
    /// The key.
    pub credential: AwsCredential,
    /// The time that is left.
    pub left: Duration,
}

/// The answer of a service, and the service's own time: keys expire by that clock, and this machine's may differ.
pub struct KeyAnswer {
    pub text: String,
    pub time: Option<DateTime<FixedOffset>>,
}

/// The reason why a request failed.
pub enum Trouble {
    /// The service refused with this status and text.
    Status(u16, String),
    /// The request failed, or its answer is not a key.
    Broken(String),
}

/// The key that a metadata service returns.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

/// Reads the key of a metadata service.
pub fn given(answer: &KeyAnswer) -> Result<FreshKey, Trouble> {
    let given: Given = serde_json::from_str(&answer.text)
        .map_err(|_| Trouble::Broken("its answer is not a key".to_owned()))?;
    let (Some(id), Some(secret)) = (given.access_key_id, given.secret_access_key) else {
        let code = given.code.map(|code| format!(" ({})", quoted(&code)));
        let code = code.unwrap_or_default();
        return Err(Trouble::Broken(format!("its answer is not a key{code}")));
    };
    fresh(id, secret, given.token, given.expiration, answer.time)
}

/// Reads the key that STS issues.
pub fn assumed(answer: &KeyAnswer) -> Result<FreshKey, Trouble> {
    let value = |name: &str| element(&answer.text, name).map(|value| value.replace("&amp;", "&"));
    let (Some(id), Some(secret)) = (value("AccessKeyId"), value("SecretAccessKey")) else {
        return Err(Trouble::Broken("its answer is not a key".to_owned()));
    };
    let (token, ends) = (value("SessionToken"), value("Expiration"));
    fresh(id, secret, token, ends, answer.time)
}

fn fresh(
    key_id: String,
    secret_key: String,
    token: Option<String>,
    expiration: Option<String>,
    now: Option<DateTime<FixedOffset>>,
) -> Result<FreshKey, Trouble> {
    let token = token.filter(|token| !token.is_empty());
    // The values become headers.
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if ![Some(&key_id), Some(&secret_key), token.as_ref()]
        .into_iter()
        .flatten()
        .all(|text| is_plain(text))
    {
        return Err(Trouble::Broken("its answer is not a key".to_owned()));
    }
    let ends = expiration.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    let left = ends.zip(now).map(|(ends, now)| (ends - now).to_std());
    Ok(FreshKey {
        credential: AwsCredential {
            key_id,
            secret_key,
            token,
        },
        // The store reports if the key has expired on arrival.
        left: left.and_then(Result::ok).unwrap_or(UNKNOWN_LIFE),
    })
}
