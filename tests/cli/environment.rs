//! Values of environment and configuration, as people and other programs leave them: trimmed, refused before the first
//! request, and never a panic.

use support::servers::{S3, s3::BUCKET};
use support::{Machine, Run, finish};

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Variables that say where a store is and what opens it.
const SAID: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
];

fn run(machine: &Machine, variables: &[(&str, &OsStr)], arguments: &[&str]) -> Run {
    let mut command = machine.command();
    for variable in SAID {
        command.env_remove(variable);
    }
    command.args(arguments).envs(variables.iter().copied());
    finish(command, b"")
}

/// A machine with a destination `@d`.
fn with_destination(lines: &str) -> Machine {
    let machine = Machine::empty();
    let text = format!(
        "[backup]\nto = [\"d\"]\n[[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"../data/f\"\n\
         [backup.destinations.d]\n{lines}\nretry_attempts = 0\n"
    );
    machine.write("etc/config.toml", text, 0o600);
    machine
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK")];

fn keys() -> Vec<(&'static str, &'static OsStr)> {
    KEYS.map(|(name, value)| (name, OsStr::new(value))).to_vec()
}

#[test]
fn an_endpoint_without_a_scheme_is_refused_by_every_verb() {
    let machine = with_destination("url = \"s3://b/x\"");
    let says = "write https://minio.example:9000";
    for written in ["minio.example:9000", " minio.example:9000\n"] {
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
            let mut variables = keys();
            variables.push((variable, OsStr::new(written)));
            for arguments in [
                &["list", "@d"][..],
                &["list", "s3://b/x"],
                &["check", "@d"],
                &["prune", "@d", "--dry-run"],
                &["verify", "@d/latest"],
                &["verify", "s3://b/x/a.tar.gz"],
                &["inspect", "@d/latest"],
                &["import", "@d/latest", "--dry-run"],
                &["copy", "@d/latest", "."],
                &["keep", "@d/hookshot-state-20261121-030000.tar.gz"],
                &["validate"],
            ] {
                run(&machine, &variables, arguments).exits(2).says(says);
            }
            let run = run(&machine, &variables, &["--json", "list", "@d"]).exits(2);
            assert_eq!(run.json()["error"]["code"], 2);
        }
    }
    let full = Machine::new();
    let mut variables = keys();
    variables.push(("AWS_ENDPOINT_URL", OsStr::new("minio.example:9000")));
    run(&full, &variables, &["export", "s3://b/x"])
        .exits(2)
        .says(says);
    let machine = with_destination("url = \"s3://b/x\"\nendpoint = \"minio.example:9000\"");
    for arguments in [&["validate"][..], &["list", "@d"]] {
        run(&machine, &keys(), arguments)
            .exits(2)
            .says("`endpoint` under [backup.destinations.d]")
            .says(says);
    }
    let machine =
        with_destination("url = \"az://b/x\"\naccount = \"a\"\nendpoint = \"store.example\"");
    run(&machine, &[], &["validate"])
        .exits(2)
        .says("write https://store.example");
}

#[test]
fn blanks_and_line_breaks_at_the_ends_are_no_part_of_a_value() {
    let store = S3::start();
    let endpoint = format!(" {}\n", store.endpoint());
    let secret = format!("{}\r\n", S3::SECRET_KEY);
    let key = format!("{}\n", S3::ACCESS_KEY);
    let machine = with_destination(&format!(
        "url = \"s3://{BUCKET}/host\"\nallow_http = true\npath_style = true"
    ));
    let variables: Vec<(&str, &OsStr)> = [
        ("AWS_ACCESS_KEY_ID", key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_SESSION_TOKEN", "\n"),
        ("AWS_REGION", "us-east-1\n"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ENDPOINT_URL_S3", ""),
    ]
    .map(|(name, value)| (name, OsStr::new(value)))
    .to_vec();
    for arguments in [&["validate"][..], &["list", "@d"], &["check", "@d"]] {
        run(&machine, &variables, arguments).exits(0);
    }
    // The same in the files of the configuration, and a server that the configuration names wins over each variable.
    let machine = with_destination(&format!(
        "url = \"s3://{BUCKET}/host\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\nallow_http = true\npath_style = true\n\
         access_key_id = \"env:KEY\"\nsecret_access_key = \"file:secret\"",
        store.endpoint()
    ));
    machine.write("etc/secret", format!(" {secret}"), 0o600);
    let elsewhere = [
        ("KEY", OsStr::new(&key)),
        ("AWS_ENDPOINT_URL_S3", OsStr::new("https://127.0.0.1:1")),
        ("AWS_SESSION_TOKEN", OsStr::new("of-another-key")),
        ("AWS_CONDITIONAL_PUT", OsStr::new("disabled")),
    ];
    for arguments in [&["validate"][..], &["list", "@d"], &["check", "@d"]] {
        run(&machine, &elsewhere, arguments).exits(0);
    }
}

#[test]
fn what_no_header_and_no_url_could_hold_is_refused_and_not_repeated() {
    let machine = with_destination("url = \"s3://b/x\"\nendpoint = \"https://127.0.0.1:1\"");
    for (variable, value, says) in [
        ("AWS_ACCESS_KEY_ID", &b"hunter\n2"[..], "holds a line break"),
        ("AWS_SECRET_ACCESS_KEY", b"hunter 2", "holds a blank"),
        ("AWS_SECRET_ACCESS_KEY", b"hunter\xff2", "not UTF-8"),
        ("AWS_SESSION_TOKEN", b"hunter\x012", "a control character"),
        ("AWS_REGION", b"eu\ncentral", "holds a line break"),
        ("AWS_REGION", b"eu/central", "may have letters"),
        ("AWS_SKIP_SIGNATURE", b"perhaps", "true or false"),
    ] {
        let mut variables = keys();
        variables.push((variable, OsStr::from_bytes(value)));
        for arguments in [&["list", "@d"][..], &["validate"]] {
            let run = run(&machine, &variables, arguments)
                .exits(2)
                .says(&format!("`{variable}` of the environment"))
                .says(says);
            assert!(!run.stderr.contains("hunter"), "{}", run.stderr);
        }
    }
    let machine = with_destination(
        "url = \"s3://b/x\"\nendpoint = \"https://127.0.0.1:1\"\naccess_key_id = \"AK\"\nsecret_access_key = \"hunter\\n2\"",
    );
    for arguments in [&["list", "@d"][..], &["validate"]] {
        let run = run(&machine, &[], arguments)
            .exits(2)
            .says("holds a line break");
        assert!(!run.stderr.contains("hunter"), "{}", run.stderr);
    }
    // What this process cannot look at, another one may.
    let machine = with_destination(
        "url = \"s3://b/x\"\naccess_key_id = \"AK\"\nsecret_access_key = \"env:NOT_HERE\"",
    );
    let run = run(&machine, &[], &["validate"]).exits(0);
    assert!(format!("{}{}", run.text(), run.stderr).contains("NOT_HERE"));
}

#[test]
fn quotes_that_a_file_of_variables_left_around_a_value_are_refused() {
    let machine = with_destination("url = \"s3://b/x\"\nregion = \"eu\"");
    for (variable, value, says) in [
        ("AWS_ACCESS_KEY_ID", "\"hunter\"", "stands in quotes"),
        ("AWS_SECRET_ACCESS_KEY", "'hunter'", "stands in quotes"),
        ("AWS_SESSION_TOKEN", "\"hunter\"", "stands in quotes"),
        (
            "AWS_ENDPOINT_URL",
            "\"https://hunter:1\"",
            "stands in quotes",
        ),
        ("AWS_ALLOW_HTTP", "'true'", "stands in quotes"),
        ("AWS_ACCESS_KEY_ID", "hunter\\n", "a backslash and an n"),
    ] {
        let mut variables = keys();
        variables.push((variable, OsStr::new(value)));
        for arguments in [&["list", "@d"][..], &["validate"], &["export", "@d"]] {
            let run = run(&machine, &variables, arguments)
                .exits(2)
                .says(&format!("`{variable}` of the environment"))
                .says(says);
            assert!(!run.stderr.contains("hunter"), "{}", run.stderr);
        }
    }
}

#[test]
fn http_without_leave_is_told_before_the_first_request() {
    let machine = with_destination("url = \"s3://b/x\"\nendpoint = \"http://127.0.0.1:1\"");
    for arguments in [&["list", "@d"][..], &["validate"]] {
        run(&machine, &keys(), arguments).exits(2).says("no TLS");
    }
}

/// Values of no kind, and of every kind.
const VALUES: [&[u8]; 72] = [
    b"",
    b" ",
    b"\n",
    b"\r\n",
    b"\t",
    b"x",
    b"0",
    b"-1",
    b"1",
    b"true",
    b"false",
    b"perhaps",
    b"18446744073709551616",
    b"9223372036854775807",
    b"1e308",
    b"NaN",
    b"0x10",
    b"1s",
    b"1h",
    b"99999999999999999h",
    b"8 MiB",
    b"99999999999 GiB",
    b"minio.example:9000",
    b"https://",
    b"https://127.0.0.1:1",
    b"http://127.0.0.1:1",
    b"https://127.0.0.1:65536",
    b"https://127.0.0.1:0",
    b"https://me:hunter2@127.0.0.1:1",
    b"https://[::1]:1",
    b"https://[::1",
    b"[::1]:1",
    b"::1",
    b"https://127.0.0.1:1/%zz",
    b"https://127.0.0.1:1/a%20b?c=d#e",
    b"https://256.1.1.1",
    b"https://xn--a",
    b"https://1",
    b"https://a..b",
    b"https://b\xc3\xbccher",
    b"mailto:x",
    b"file:///etc/passwd",
    b"ftp://x",
    b"//x",
    b"/",
    b"/etc/passwd",
    b"/dev/null",
    b"/dev/zero",
    b"/nowhere/x",
    b"~",
    b"~/x",
    b"$HOME/x",
    b"../../x",
    b"s3:bucket/path",
    b"s3:/b",
    b"s3//b",
    b"me@host:/x",
    b"C:\\x",
    b"@d",
    b"a\nb",
    b"a\rb",
    b"a b",
    b"a\x01b",
    b"a\x7fb",
    b"\xff\xfe",
    b"a\xf0\x9f\x92\xa9b",
    b"AK\n",
    b"\xe2\x80\xae",
    b"{}",
    b"{\"a\":",
    b"%",
    b"&=?",
];

/// Variables that hookshot and its libraries read.
const VARIABLES: [&str; 116] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_S3_EXPRESS",
    "AWS_IMDSV1_FALLBACK",
    "AWS_UNSIGNED_PAYLOAD",
    "AWS_SKIP_SIGNATURE",
    "AWS_DISABLE_BULK_DELETE",
    "AWS_DISABLE_TAGGING",
    "AWS_REQUEST_PAYER",
    "AWS_ALLOW_HTTP",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CONDITIONAL_PUT",
    "AWS_COPY_IF_NOT_EXISTS",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_BUCKET",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_PROXY_URL",
    "AWS_TIMEOUT",
    "AWS_HTTP2_ONLY",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_BEARER_TOKEN",
    "GOOGLE_BASE_URL",
    "GOOGLE_SKIP_SIGNATURE",
    "GOOGLE_ALLOW_HTTP",
    "GOOGLE_BUCKET",
    "GCE_METADATA_HOST",
    "GCE_METADATA_ROOT",
    "GCE_METADATA_IP",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_STORAGE_USE_EMULATOR",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_OBJECT_ID",
    "AZURE_MSI_RESOURCE_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_FABRIC_ENDPOINT",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_FABRIC_TOKEN_SERVICE_URL",
    "AZURE_FABRIC_WORKLOAD_HOST",
    "AZURE_FABRIC_SESSION_TOKEN",
    "AZURE_FABRIC_CLUSTER_IDENTIFIER",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_STORAGE_ENCRYPTION_KEY",
    "AZURE_ALLOW_HTTP",
    "AZURE_STORAGE_CONNECTION_STRING",
    "IDENTITY_HEADER",
    "AZURITE_BLOB_STORAGE_URL",
    "HOOKSHOT_CONFIG",
    "HOOKSHOT_SERVICES",
    "HOOKSHOT_SECRETS",
    "HOOKSHOT_DATA_DIR",
    "HOOKSHOT_TO",
    "HOOKSHOT_JSON",
    "HOOKSHOT_THREADS",
    "HOOKSHOT_PROGRESS",
    "HOOKSHOT_COLOR",
    "HOOKSHOT_VERBOSE",
    "HOOKSHOT_QUIET",
    "HOOKSHOT_LOG_FORMAT",
    "CREDENTIALS_DIRECTORY",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
    "HOME",
    "TZ",
    "LANG",
    "TERM",
    "COLUMNS",
    "NO_COLOR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "RUST_MIN_STACK",
    "TOKIO_WORKER_THREADS",
    "REQUEST_METHOD",
];

/// Returns the keys of a section that the configuration may have.
fn keys_of(section: &str) -> Vec<&'static str> {
    static KEYS: LazyLock<Vec<(String, &'static str)>> =
        LazyLock::new(hookshot::config::schema::keys);
    let keys = KEYS.iter().filter(|(of, _)| of == section);
    keys.map(|(_, key)| *key).collect()
}

const PLACES: [&str; 12] = [
    "s3://b/x",
    "s3://b/x",
    "s3://b",
    "gs://b/x",
    "gs://b",
    "az://b/x",
    "az://b",
    "sftp://me@host/x",
    "backups",
    "s3:b/x",
    "s3:https://h/b",
    "me@host:/x",
];

/// Those that can be asked.
const GOOD_PLACES: [&str; 6] = [
    "s3://b/x",
    "s3://b",
    "s3:b/x",
    "gs://b/x",
    "az://b/x",
    "sftp://me@host/x",
];

/// The settings that a store needs: the key, the variable, and a value.
const NEEDED_BY_S3: [(&str, &str, &[u8]); 5] = [
    ("endpoint", "AWS_ENDPOINT_URL", b"https://127.0.0.1:1"),
    ("region", "AWS_REGION", b"eu-central-1"),
    ("access_key_id", "AWS_ACCESS_KEY_ID", b"AK"),
    ("secret_access_key", "AWS_SECRET_ACCESS_KEY", b"SK"),
    ("session_token", "AWS_SESSION_TOKEN", b"token"),
];
const NEEDED_BY_AZURE: [(&str, &str, &[u8]); 3] = [
    ("endpoint", "AZURE_STORAGE_ENDPOINT", b"https://127.0.0.1:1"),
    ("account", "AZURE_STORAGE_ACCOUNT_NAME", b"acct"),
    ("account_key", "AZURE_STORAGE_ACCOUNT_KEY", b"c2VjcmV0"),
];

/// A small generator of numbers (Knuth, MMIX): a case can be made again from its number.
struct Dice(u64);

impl Dice {
    fn of(case: u64) -> Dice {
        let mut dice = Dice(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        dice.below(1);
        dice
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A value without NUL, which no variable can have.
    fn value(&mut self) -> Vec<u8> {
        let mut value = self.one(&VALUES).to_vec();
        match self.below(12) {
            0 => value.extend(self.one(&VALUES)),
            1 => value.insert(0, b' '),
            2 => value.push(b'\n'),
            3 => value = value.repeat(1 + self.below(3000)),
            4 => (0..self.below(40)).for_each(|_| value.push(1 + self.below(255) as u8)),
            _ => {}
        }
        value.truncate(100_000);
        value
    }

    /// A good value with a slip in it.
    fn changed(&mut self, value: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        let at = self.below(value.len() + 1);
        match self.below(8) {
            0 => value.push(b'\n'),
            1 => value.insert(0, b' '),
            2 => value.insert(at, self.one(b"\n\r\t \x01\x7f@:/?#%[]\"<>\\^`{|}")),
            3 => drop(
                value.drain(
                    ..value
                        .windows(3)
                        .position(|part| part == b"://")
                        .map_or(0, |at| at + 3),
                ),
            ),
            4 => drop(value.splice(at..at, self.one(&VALUES).iter().copied())),
            5 => value.truncate(at),
            6 => value = self.value(),
            _ => value.insert(at, 1 + self.below(255) as u8),
        }
        value
    }

    /// The same as it may stand in a configuration, with NUL.
    fn text(&mut self) -> toml::Value {
        let value = self.value();
        let text = String::from_utf8_lossy(&value).into_owned();
        let text = match self.below(20) {
            0 => format!("{text}\0"),
            1 => format!("env:{text}"),
            2 => format!("file:{text}"),
            3 => format!("credential:{text}"),
            _ => text,
        };
        match self.below(12) {
            0 => toml::Value::Integer(self.one(&[0, -1, 1, 12, 3600, i64::MAX, i64::MIN])),
            1 => toml::Value::Float(self.one(&[0.0, f64::NAN, f64::INFINITY, -1.5])),
            2 => toml::Value::Boolean(self.below(2) == 0),
            3 => toml::Value::Array(vec![toml::Value::String(text)]),
            4 => toml::Value::Table(
                [("a".to_owned(), toml::Value::String(text))]
                    .into_iter()
                    .collect(),
            ),
            _ => toml::Value::String(text),
        }
    }
}

/// One run of hookshot with values of chance.
struct Case {
    variables: Vec<(&'static str, OsString)>,
    config: String,
    arguments: Vec<String>,
}

impl Case {
    fn of(number: u64) -> Case {
        let mut dice = Dice::of(number);
        let mut destination = toml::Table::new();
        destination.insert(
            "url".to_owned(),
            toml::Value::String(dice.one(&PLACES).to_owned()),
        );
        // Most of the cases have all that a store needs, at an address without a server; some of it is changed a
        // little, or left to the environment.
        let mut variables = Vec::new();
        let is_good = dice.below(4) > 0;
        let text = |value: &[u8]| toml::Value::String(String::from_utf8_lossy(value).into_owned());
        if is_good {
            let url = dice.one(&GOOD_PLACES);
            destination.insert("url".to_owned(), text(url.as_bytes()));
            let needed: &[(&str, &str, &[u8])] = match url.split_once(':').map(|(scheme, _)| scheme)
            {
                Some("s3") => &NEEDED_BY_S3,
                Some("az") => &NEEDED_BY_AZURE,
                _ => &[],
            };
            for (key, variable, value) in needed {
                match dice.below(5) {
                    0 => {
                        let value = OsString::from_vec(dice.changed(value));
                        variables.push((*variable, value));
                    }
                    1 => {
                        destination.insert((*key).to_owned(), text(&dice.changed(value)));
                    }
                    _ => {
                        destination.insert((*key).to_owned(), text(value));
                    }
                }
            }
        }
        let count = match is_good {
            true => usize::from(dice.below(4) == 0),
            false => dice.below(4),
        };
        for _ in 0..count {
            let value = dice.text();
            destination.insert(
                dice.one(&keys_of("backup.destinations.NAME")).to_owned(),
                value,
            );
        }
        let begins = match destination["url"].as_str().unwrap_or_default() {
            url if url.starts_with("gs") => "G",
            url if url.starts_with("az") => "AZ",
            _ => "AWS_",
        };
        for _ in 0..dice.below(4) {
            let mut name = dice.one(&VARIABLES);
            // Those of the store, most of the time.
            while dice.below(8) > 0 && !name.starts_with(begins) {
                name = dice.one(&VARIABLES);
            }
            variables.push((name, OsString::from_vec(dice.value())));
        }
        destination.insert("timeout".to_owned(), toml::Value::String("1s".to_owned()));
        destination.insert("retry_attempts".to_owned(), toml::Value::Integer(0));
        let mut backup = toml::Table::new();
        if dice.below(8) == 0 {
            let value = dice.text();
            backup.insert(dice.one(&keys_of("backup")).to_owned(), value);
        }
        let destinations = [("d".to_owned(), toml::Value::Table(destination))];
        backup.insert(
            "destinations".to_owned(),
            toml::Value::Table(destinations.into_iter().collect()),
        );
        let mut config = toml::Table::new();
        config.insert("backup".to_owned(), toml::Value::Table(backup));
        for section in ["storage", "secrets", "logging"] {
            let keys = keys_of(section);
            if dice.below(24) == 0 {
                let value = dice.text();
                let table = [(dice.one(&keys).to_owned(), value)].into_iter().collect();
                config.insert(section.to_owned(), toml::Value::Table(table));
            }
        }
        let arguments: &[&str] = dice.one(&[
            &["list", "@d"][..],
            &["list", "@d"],
            &["list", "@d"],
            &["validate"],
            &["--json", "validate"],
            &["check", "@d"],
            &["verify", "@d/latest"],
            &["prune", "@d", "--dry-run"],
            &["verify", "@d/a.tar.gz"],
            &["list"],
        ]);
        Case {
            variables,
            config: toml::to_string(&config).expect("TOML"),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    /// Runs it without a network, at most for a minute; returns its exit code, and any fault of its end.
    fn run(&self, machine: &Machine, is_alone: bool) -> (i32, Option<String>) {
        machine.write("etc/config.toml", &self.config, 0o600);
        let plain = machine.command();
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "60"]);
        if is_alone {
            command.args(["unshare", "-n"]);
        }
        command
            .arg(plain.get_program())
            .args(plain.get_args())
            .args(&self.arguments);
        command.current_dir(machine.path("out"));
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(proxy, "http://127.0.0.1:1");
        }
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("HOME", machine.path("out"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let begun = Instant::now();
        let run = finish(command, b"");
        let said = format!("{}{}", run.text(), run.stderr);
        let is_known = matches!(run.code, 0..=3 | 10..=15 | 17..=20);
        let is_fine = is_known
            && !said.contains("panicked")
            && !said.contains("a defect")
            && begun.elapsed() < Duration::from_secs(60);
        let fault = format!("exit code {} after {:?}: {said}", run.code, begun.elapsed());
        (run.code, (!is_fine).then_some(fault))
    }
}

#[test]
fn no_value_of_environment_or_configuration_panics() {
    let number = |name: &str, usual: u64| {
        let said = std::env::var(name).ok();
        said.map_or(usual, |said| said.parse().expect("a number"))
    };
    let count = number("HOOKSHOT_FUZZ_CASES", 1000) as usize;
    let first = number("HOOKSHOT_FUZZ_FIRST", 1);
    let alone = Command::new("unshare").args(["-n", "true"]).output();
    let is_alone = alone.is_ok_and(|output| output.status.success());
    let (next, reached) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let machine = Machine::empty();
        let mut wrong = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count || wrong.len() >= 20 {
                return wrong;
            }
            let number = first + at as u64;
            let case = Case::of(number);
            let (code, fault) = case.run(&machine, is_alone);
            // Neither usage nor a good validate: it got as far as the store.
            reached.fetch_add(usize::from(code != 0 && code != 2), Ordering::Relaxed);
            if let Some(fault) = fault {
                let cut: String = fault.chars().take(600).collect();
                let shown: Vec<String> = case
                    .variables
                    .iter()
                    .map(|(name, value)| {
                        let value: String =
                            value.to_string_lossy().escape_debug().take(200).collect();
                        format!("{name}={value}")
                    })
                    .collect();
                let config: String = case.config.chars().take(600).collect();
                wrong.push(format!(
                    "case {number}: {:?} {shown:?}\n{config}\n{cut}",
                    case.arguments
                ));
            }
        }
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        // They wait more than they work.
        let workers: Vec<_> = (0..12).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("an end"))
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {count}\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    let network = if is_alone {
        "without a network"
    } else {
        "with proxies that do not answer"
    };
    let reached = reached.into_inner();
    println!("{count} cases from {first} {network}; {reached} asked the store");
    assert!(
        count < 100 || reached * 10 > count,
        "most ended before the first request: {reached}"
    );
}
