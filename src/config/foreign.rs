//! Keys that other tools have for the same thing, so that a copied section is refused with the right word.
//!
//! They are in lower case, with `_` for `-`.

const CERTIFICATES: &str =
    "certificates are always checked; name the file of your own authority by `ca_file`";
const SCHEME: &str = "`endpoint` says it: https://, or http:// with `allow_http = true`";
const PATH_STYLE: &str = "`path_style = true` puts the bucket into the path, `false` into the host";
const KEY: &str = "the key is `access_key_id` and `secret_access_key`";
const BUCKET: &str = "the bucket stands in `url`: s3://BUCKET/PREFIX";
const PROXY: &str = "it is `proxy`; NO_PROXY goes around it";
const CA: &str = "it is `ca_file`";
const STRING: &str = "AZURE_STORAGE_CONNECTION_STRING in the environment is read; here it is `account` and `account_key`";
const RATE: &str =
    "it is `bandwidth_limit`, in bytes for each second: \"10MB/s\", or 0 for no limit";
const RETRIES: &str = "it is `retry_attempts`";
const PARALLEL: &str = "it is `parallel_uploads`";
const CHUNK: &str = "it is `chunk_size`, with a unit: \"8MiB\"";
const ENCRYPTION: &str =
    "archives are sealed for the keys that `recipients` under [backup.encryption] names";
const SCHEDULE: &str = "it is `backup` under [backup.schedule], such as \"02:00\", \"sun 03:00\", \"hourly\" or five \
    fields of cron; `hookshot timer install` and `hookshot agent` start it";
const EVERY: &str = "it is `every`, such as \"sun 03:00\": this destination gets an archive then";
const DESTINATION: &str = "a place for archives is a section [backup.destinations.NAME] with `url`, such as \
    \"s3://BUCKET/PREFIX\", and `to` names it";
const OPTION: &str = "it belongs into a section [backup.destinations.NAME]";
const COMPRESSION: &str = "archives are gzip; `level` says how hard to compress, from 0 to 12";
const WITHIN: &str =
    "it is `keep_within`, with a span of the calendar: \"30d\", \"6m\" for six months, \"1y\"";
const FOREVER: &str = "`hookshot keep ARCHIVE` marks an archive, and no policy removes it";
const CLIENT: &str = "hookshot shows no certificate of its own to a store";

/// Keys of an object store, and what hookshot has instead.
pub(super) const OF_STORES: [(&str, &str); 66] = [
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

/// Keys of any destination, and what hookshot has instead.
pub(super) const OF_DESTINATIONS: [(&str, &str); 28] = [
    ("max_bandwidth", RATE),
    ("bandwidth", RATE),
    ("bwlimit", RATE),
    ("bw_limit", RATE),
    ("rate_limit", RATE),
    ("limit_upload", RATE),
    ("upload_limit", RATE),
    ("upload_rate_limit", RATE),
    ("retries", RETRIES),
    ("max_retries", RETRIES),
    ("retry", RETRIES),
    ("parallel", PARALLEL),
    ("concurrency", PARALLEL),
    ("upload_concurrency", PARALLEL),
    ("max_concurrency", PARALLEL),
    ("connections", PARALLEL),
    ("transfers", PARALLEL),
    ("part_size", CHUNK),
    ("multipart_chunksize", CHUNK),
    ("multipart_chunk_size", CHUNK),
    ("schedule", EVERY),
    ("interval", EVERY),
    ("encryption_key", ENCRYPTION),
    ("compression", COMPRESSION),
    ("compression_level", COMPRESSION),
    (
        "provider",
        "the beginning of `url` says it: s3://, gs://, az://, sftp://, or a path",
    ),
    ("repository", "it is `url`"),
    ("path", "it is `url`"),
];

/// Keys under `[backup]`, and what hookshot has instead.
pub(super) const OF_BACKUP: [(&str, &str); 32] = [
    ("provider", DESTINATION),
    ("bucket", DESTINATION),
    ("repository", DESTINATION),
    ("tool", DESTINATION),
    ("url", DESTINATION),
    ("region", OPTION),
    ("endpoint", OPTION),
    ("access_key_id", OPTION),
    ("secret_access_key", OPTION),
    ("bandwidth_limit", OPTION),
    ("max_bandwidth", OPTION),
    ("parallel_uploads", OPTION),
    ("chunk_size", OPTION),
    ("retry_attempts", OPTION),
    ("timeout", OPTION),
    ("network", OPTION),
    ("performance", OPTION),
    ("interval", SCHEDULE),
    ("time", SCHEDULE),
    ("triggers", SCHEDULE),
    ("hourly", SCHEDULE),
    ("daily", SCHEDULE),
    ("weekly", SCHEDULE),
    ("monthly", SCHEDULE),
    ("encryption_key", ENCRYPTION),
    ("compression", COMPRESSION),
    ("compression_level", COMPRESSION),
    ("keep_last", "it belongs under [backup.retention]"),
    ("keep_daily", "it belongs under [backup.retention]"),
    ("keep_weekly", "it belongs under [backup.retention]"),
    ("keep_monthly", "it belongs under [backup.retention]"),
    ("keep_yearly", "it belongs under [backup.retention]"),
];

/// Keys of a retention, and what hookshot has instead.
pub(super) const OF_RETENTION: [(&str, &str); 11] = [
    ("keep_forever", FOREVER),
    ("keep_tags", FOREVER),
    ("keep_tag", FOREVER),
    ("keep_within_hourly", WITHIN),
    ("keep_within_daily", WITHIN),
    ("keep_within_weekly", WITHIN),
    ("keep_within_monthly", WITHIN),
    ("keep_within_yearly", WITHIN),
    ("keep_for", WITHIN),
    ("max_age", WITHIN),
    ("keep_secondly", "it is `keep_last`"),
];

const HOST: &str = "the server stands in `url`: sftp://USER@HOST:PORT/FOLDER";
const FOLDER: &str = "the folder stands in `url`: sftp://HOST/FOLDER, or sftp://HOST/~/FOLDER below where the login begins";
const USER: &str = "it is `user`, or stands in `url`: sftp://USER@HOST/FOLDER";
const PASSWORD: &str = "it is `password`, best as \"file:PATH\" or \"env:NAME\"";
const IDENTITY: &str = "it is `identity_file`";
const PASSPHRASE: &str =
    "a passphrase needs an agent (`ssh-add`), which ssh asks by itself; the key is `identity_file`";
const KNOWN: &str = "it is `known_hosts_file`; the server's key is always checked";
const SSH: &str =
    "options of ssh stand in a file of its own, named by `ssh_config`; `ssh` is that of PATH";

/// The keys of other tools for servers of SFTP (restic, rclone, duplicity, borg, ssh), and what hookshot has instead.
pub(super) const OF_SSH: [(&str, &str); 57] = [
    ("host", HOST),
    ("hostname", HOST),
    ("host_name", HOST),
    ("server", HOST),
    ("address", HOST),
    ("repo", HOST),
    ("repository", HOST),
    ("sftp_host", HOST),
    ("sftp_port", HOST),
    ("ssh_port", HOST),
    ("path", FOLDER),
    ("dir", FOLDER),
    ("directory", FOLDER),
    ("folder", FOLDER),
    ("prefix", FOLDER),
    ("remote_path", FOLDER),
    ("remote_dir", FOLDER),
    ("root", FOLDER),
    ("username", USER),
    ("user_name", USER),
    ("login", USER),
    ("ssh_user", USER),
    ("sftp_user", USER),
    ("pass", PASSWORD),
    ("passwd", PASSWORD),
    ("ssh_password", PASSWORD),
    ("sftp_password", PASSWORD),
    ("sftp_pass", PASSWORD),
    ("ftp_password", PASSWORD),
    ("ask_password", PASSWORD),
    ("key", IDENTITY),
    ("key_file", IDENTITY),
    ("key_path", IDENTITY),
    ("key_pem", IDENTITY),
    ("keyfile", IDENTITY),
    ("identity", IDENTITY),
    ("identityfile", IDENTITY),
    ("private_key", IDENTITY),
    ("private_key_file", IDENTITY),
    ("private_key_path", IDENTITY),
    ("pubkey_file", IDENTITY),
    ("ssh_key", IDENTITY),
    ("ssh_key_file", IDENTITY),
    ("ssh_private_key", IDENTITY),
    ("key_file_pass", PASSPHRASE),
    ("key_use_agent", PASSPHRASE),
    ("passphrase", PASSPHRASE),
    ("ssh_key_passphrase", PASSPHRASE),
    ("known_hosts", KNOWN),
    ("userknownhostsfile", KNOWN),
    ("host_key", KNOWN),
    ("strict_host_key_checking", KNOWN),
    ("stricthostkeychecking", KNOWN),
    ("ssh", SSH),
    ("ssh_command", SSH),
    ("ssh_options", SSH),
    ("rsh", SSH),
];
