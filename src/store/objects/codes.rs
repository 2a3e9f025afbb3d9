//! The codes by which object stores say why they refuse.

use super::text::element;

/// Codes of stores that do not know the bucket or container.
pub const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "BucketNotFound"];

/// Codes of stores for an unknown key, or for a wrong secret.
pub const BAD_KEY: [&str; 6] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
    "InvalidToken",
    "InvalidAuthenticationInfo",
    "InvalidSecurity",
];

/// Codes of stores for an expired key.
pub const EXPIRED: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
];

/// Codes of stores for a bucket in another region.
pub const OTHER_REGION: [&str; 4] = [
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
];

/// Codes of stores for objects that must be thawed before they can be read.
pub const COLD: [&str; 3] = ["InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"];

/// Codes of stores that were busy with another request for the same name.
pub const CONFLICT: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];

/// Parts of codes and messages of stores that are full, without blanks and in lower case.
const FULL: [&str; 9] = [
    "quota",
    "storagefull",
    "insufficientstorage",
    "capacityexceeded",
    "capexceeded",
    "storagelimit",
    "nospaceleft",
    "diskfull",
    "diskisfull",
];

/// Returns true if the words of a refusal are those of a store without room.
pub fn is_full(text: &str, status: Option<u16>) -> bool {
    let said = [element(text, "Code"), element(text, "Message")];
    let said: String = (said.into_iter().flatten())
        .flat_map(|said| said.to_lowercase().chars().collect::<Vec<_>>())
        .filter(|letter| letter.is_alphanumeric())
        .collect();
    // Limits on the rate of requests do not mean that the store is full.
    let is_rate = status == Some(429) || said.contains("rate") || said.contains("slowdown");
    status == Some(507) || (!is_rate && FULL.iter().any(|full| said.contains(full)))
}
