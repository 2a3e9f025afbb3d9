//! Keys that other tools have for the same thing, so that a copied section is refused with the right word.

use toml::Table;

use super::schema::Reader;

const CERTIFICATES: &str =
    "certificates are always checked; name the file of your own authority by `ca_file`";
const SCHEME: &str = "`endpoint` says it: https://, or http:// with `allow_http = true`";
const PATH_STYLE: &str = "`path_style = true` puts the bucket into the path, `false` into the host";
const KEY: &str = "the key is `access_key_id` and `secret_access_key`";
const BUCKET: &str = "the bucket stands in `url`: s3://BUCKET/PREFIX";
const PROXY: &str = "it is `proxy`; NO_PROXY goes around it";
const CA: &str = "it is `ca_file`";
const STRING: &str = "AZURE_STORAGE_CONNECTION_STRING in the environment is read; here it is `account` and `account_key`";
const CLIENT: &str = "hookshot shows no certificate of its own to a store";

/// The keys, and what hookshot has instead.
const FOREIGN: [(&str, &str); 66] = [
    ("verify_certificates", CERTIFICATES),
    ("verify_certificate", CERTIFICATES),
    ("verify_ssl", CERTIFICATES),
    ("verify_tls", CERTIFICATES),
    ("verify", CERTIFICATES),
    ("ssl_verify", CERTIFICATES),
    ("tls_verify", CERTIFICATES),
    ("no_verify_ssl", CERTIFICATES),
    ("no_ssl_verify", CERTIFICATES),
    ("no_check_certificate", CERTIFICATES),
    ("check_ssl_certificate", CERTIFICATES),
    ("check_ssl_hostname", CERTIFICATES),
    ("insecure", CERTIFICATES),
    ("insecure_tls", CERTIFICATES),
    ("insecure_skip_verify", CERTIFICATES),
    ("skip_verify", CERTIFICATES),
    ("skip_tls_verify", CERTIFICATES),
    ("skip_ssl_verification", CERTIFICATES),
    ("tls_skip_verify", CERTIFICATES),
    ("tls_insecure", CERTIFICATES),
    ("allow_invalid_certificates", CERTIFICATES),
    ("repo_storage_verify_tls", CERTIFICATES),
    ("use_tls", SCHEME),
    ("use_ssl", SCHEME),
    ("use_https", SCHEME),
    ("disable_ssl", SCHEME),
    ("disable_tls", SCHEME),
    ("enable_ssl", SCHEME),
    ("tls", SCHEME),
    ("ssl", SCHEME),
    ("secure", SCHEME),
    ("https", SCHEME),
    ("protocol", SCHEME),
    ("force_path_style", PATH_STYLE),
    ("s3_force_path_style", PATH_STYLE),
    ("s3forcepathstyle", PATH_STYLE),
    ("use_path_style", PATH_STYLE),
    ("virtual_hosted_style", PATH_STYLE),
    ("virtual_host_style", PATH_STYLE),
    ("addressing_style", PATH_STYLE),
    ("uri_style", PATH_STYLE),
    ("access_key", KEY),
    ("secret_key", KEY),
    ("key_id", KEY),
    ("application_key", KEY),
    ("aws_access_key_id", KEY),
    ("aws_secret_access_key", KEY),
    ("bucket", BUCKET),
    ("bucket_name", BUCKET),
    ("prefix", BUCKET),
    ("proxy_url", PROXY),
    ("http_proxy", PROXY),
    ("https_proxy", PROXY),
    ("no_proxy", PROXY),
    ("ca", CA),
    ("cacert", CA),
    ("ca_cert", CA),
    ("ca_bundle", CA),
    ("ca_certificate", CA),
    ("ca_path", CA),
    ("cert_file", CA),
    ("root_ca", CA),
    ("tls_ca", CA),
    ("connection_string", STRING),
    ("client_cert", CLIENT),
    ("tls_client_cert", CLIENT),
];

/// Names the keys that are not known: with what hookshot has instead of another tool's, or with the nearest that is known.
pub(super) fn unknown(reader: &mut Reader<'_>, table: &Table, section: &str, known: &[&str]) {
    let mut rest = table.clone();
    let is_bucket = known.contains(&"endpoint");
    let others = table.keys().filter(|key| !known.contains(&key.as_str()));
    for key in others.filter(|_| is_bucket) {
        let plain = key.to_ascii_lowercase().replace('-', "_");
        if let Some((_, instead)) = FOREIGN.iter().find(|(foreign, _)| *foreign == plain) {
            reader.fault(format!("unknown key `{key}` under [{section}]: {instead}"));
            rest.remove(key);
        }
    }
    reader.unknown(&rest, section, known);
}
