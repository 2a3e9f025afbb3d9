//! Keys of stores: where they are looked for, what is said when there are none, and how they renew.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use support::{
    Machine, Run, finish,
    servers::{Azurite, Expiring, KeyService, Metadata, S3, s3::BUCKET},
};

/// Runs hookshot in an environment that has these variables and nothing of any provider.
fn run(machine: &Machine, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = machine.command();
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_providers = ["AWS_", "GOOGLE_", "AZURE_", "GCE_", "SSL_", "IDENTITY_"];
        let of_providers = of_providers.iter().any(|start| name.starts_with(start));
        if of_providers || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.env("HOME", machine.path("tmp"));
    command.envs(variables.iter().copied());
    let run = finish(command, b"");
    for secret in [S3::SECRET_KEY, "hunter2", KeyService::AUTHORIZATION] {
        assert!(!run.stderr.contains(secret), "{}", run.stderr);
    }
    run
}

/// A file of noise, so that an export goes in parts.
fn large(machine: &Machine) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take((12 << 20) / 8)
    .flatten()
    .collect();
    machine.write("etc/secrets", noise, 0o600);
}

fn with_destination(machine: &Machine, keys: &str) {
    let section = format!("[backup.destinations.offsite]\n{keys}\n");
    machine.write("etc/config.toml", machine.config_text(&section), 0o600);
}

#[test]
fn no_key_anywhere_is_said_within_seconds_and_the_store_is_not_blamed() {
    let services = [
        ("silent", Metadata::Silent, "no answer"),
        ("403", Metadata::Status(403), "switched off"),
        ("404", Metadata::Status(404), "has no role"),
        ("500", Metadata::Status(500), "status 500"),
    ];
    let s3 = S3::start();
    let (machine, store) = (Machine::new(), s3.endpoint());
    let store = ("AWS_ENDPOINT_URL", store.as_str());
    let plain = ("AWS_ALLOW_HTTP", "true");
    let ends = |variables: &[(&str, &str)], says: &str, what: &str| {
        let begun = Instant::now();
        let run = run(&machine, &["list", &format!("s3://{BUCKET}/x")], variables);
        let took = begun.elapsed();
        let run = run
            .exits(1)
            .says("no key for the store was found")
            .says(says);
        for place in [
            "AWS_ACCESS_KEY_ID",
            "profile",
            "AWS_WEB_IDENTITY",
            "ECS",
            "EC2's metadata",
        ] {
            assert!(run.stderr.contains(place), "{what}: {}", run.stderr);
        }
        for wrong in ["`endpoint`", "chunk_size", "policy"] {
            assert!(!run.stderr.contains(wrong), "{what}: {}", run.stderr);
        }
        assert!(took < Duration::from_secs(8), "{what}: {took:?}");
    };
    thread::scope(|scope| {
        let ends = &ends;
        for (what, behaviour, says) in services {
            scope.spawn(move || {
                let service = KeyService::start(behaviour);
                let metadata = service.endpoint();
                let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str());
                ends(&[store, plain, metadata], says, what);
                assert!(
                    (1..=2).contains(&service.asked()),
                    "{what}: {}",
                    service.asked()
                );
            });
        }
        scope.spawn(move || {
            let refused = ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1");
            ends(&[store, plain, refused], "refused", "refused");
            let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
            ends(
                &[store, plain, disabled],
                "AWS_EC2_METADATA_DISABLED",
                "disabled",
            );
        });
    });
}

#[test]
fn a_run_with_two_destinations_waits_for_the_metadata_once() {
    let service = KeyService::start(Metadata::Silent);
    let machine = Machine::new();
    let metadata = service.endpoint();
    let run = run(
        &machine,
        &["copy", "s3://bucket/x", "s3://bucket/y"],
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata)],
    );
    let run = run.exits(1).says("no key for the store was found");
    assert!(service.asked() <= 2, "{}: {}", service.asked(), run.stderr);
}

#[test]
fn what_is_half_a_key_or_no_address_is_said_before_the_first_request() {
    let machine = Machine::new();
    let metadata = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    for (variable, value, says) in [
        ("AWS_ACCESS_KEY_ID", "AK", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2", "AWS_ACCESS_KEY_ID"),
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:99999", "port"),
        (metadata, "nonsense", metadata),
    ] {
        let run = run(&machine, &["list", "s3://bucket/x"], &[(variable, value)]);
        run.exits(2).says(says);
    }
    run(&machine, &["list", "az://bucket/x"], &[])
        .exits(2)
        .says("AZURE_STORAGE_CONNECTION_STRING");
    machine.write("out/key.json", r#"{"type":"external_account"}"#, 0o600);
    let path = machine.path("out/key.json").display().to_string();
    let federated = [("GOOGLE_APPLICATION_CREDENTIALS", path.as_str())];
    run(&machine, &["list", "gs://bucket/x"], &federated)
        .exits(2)
        .says("`external_account`");
}

#[test]
fn a_sign_in_that_fails_is_told_as_such_and_the_store_is_not_blamed() {
    let machine = Machine::new();
    let azure = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_SECRET", "hunter2"),
        ("AZURE_AUTHORITY_HOST", "https://127.0.0.1:1"),
    ];
    let run = run(&machine, &["list", "az://bucket/x"], &azure).exits(1);
    let run = run
        .says("Azure's sign-in gives no token")
        .says("AZURE_TENANT_ID");
    assert!(!run.stderr.contains("`endpoint`"), "{}", run.stderr);
}

#[test]
fn an_export_without_a_key_asks_the_metadata_once() {
    let service = KeyService::start(Metadata::Status(404));
    let machine = Machine::new();
    machine.fill_database(10);
    let metadata = service.endpoint();
    let run = run(
        &machine,
        &["export", &format!("s3://{BUCKET}/x")],
        &[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata),
        ],
    );
    assert_ne!(run.code, 0);
    let run = run.says("no key for the store was found");
    assert_eq!(service.asked(), 1, "{}", run.stderr);
}

#[test]
fn google_and_azure_without_a_key_say_so_within_seconds() {
    let machine = Machine::new();
    thread::scope(|scope| {
        for (behaviour, says) in [
            (Metadata::Silent, "no answer"),
            (Metadata::Status(404), "404"),
        ] {
            let machine = &machine;
            scope.spawn(move || {
                let service = KeyService::start(behaviour);
                let host = service.endpoint();
                let host = host.trim_start_matches("http://");
                let google = [("GCE_METADATA_HOST", host), ("GCE_METADATA_IP", host)];
                let url = format!("{}/identity", service.endpoint());
                let azure = [
                    ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
                    ("IDENTITY_ENDPOINT", &url),
                ];
                for (store, variables, place) in [
                    ("gs://bucket/x", &google, "Google's metadata"),
                    ("az://bucket/x", &azure, "Azure's metadata"),
                ] {
                    let begun = Instant::now();
                    let run = run(machine, &["list", store], variables).exits(1);
                    let took = begun.elapsed();
                    assert!(took < Duration::from_secs(8), "{store}: {took:?}");
                    let run = run
                        .says("no key for the store was found")
                        .says(place)
                        .says(says);
                    assert!(!run.stderr.contains("`endpoint`"), "{}", run.stderr);
                }
            });
        }
    });
}

#[test]
fn keys_that_run_out_in_the_middle_of_an_upload_are_renewed() {
    for kind in ["metadata", "container", "web identity"] {
        let s3 = S3::start();
        let store = Expiring::in_front_of(&s3, 4);
        let service = KeyService::start(Metadata::Gives);
        let machine = Machine::new();
        machine.fill_database(10);
        large(&machine);
        machine.write("out/token", KeyService::AUTHORIZATION, 0o600);
        machine.write("out/identity", format!("{}\n", KeyService::IDENTITY), 0o600);
        let keys = format!(
            "url = \"s3://{BUCKET}/host\"\nendpoint = \"{}\"\nallow_http = true\nchunk_size = \"5 MiB\"\nparallel_uploads = 2\nretry_attempts = 1",
            store.endpoint()
        );
        with_destination(&machine, &keys);
        let endpoint = service.endpoint();
        let (url, sts) = (format!("{endpoint}/container"), format!("{endpoint}/sts"));
        let file = |name: &str| machine.path(name).display().to_string();
        let (token, identity) = (file("out/token"), file("out/identity"));
        let variables = match kind {
            "metadata" => vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str())],
            "container" => vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
            ],
            _ => vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", identity.as_str()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup"),
                ("AWS_ENDPOINT_URL_STS", &sts),
            ],
        };
        let report = run(&machine, &["export", "@offsite", "--json"], &variables);
        let report = report.exits(0).json();
        assert_eq!(report["outputs"][0]["good"], true, "{kind}: {report}");
        assert_eq!(s3.objects().len(), 1, "{kind}: {:?}", s3.objects());
        assert_eq!(s3.leftovers(), [""; 0], "{kind}");
        assert!(store.refused() > 0, "{kind}: no key ran out");
        assert!(service.given() >= 3, "{kind}: {}", service.given());
        let verified = run(&machine, &["verify", "@offsite/latest"], &variables);
        verified.exits(0);
    }
}

#[test]
fn a_service_that_is_named_and_gives_no_key_is_named() {
    let machine = Machine::new();
    let service = KeyService::start(Metadata::Gives);
    let (url, sts) = (
        format!("{}/container", service.endpoint()),
        format!("{}/sts", service.endpoint()),
    );
    machine.write("out/wrong", "hunter2", 0o600);
    let wrong = machine.path("out/wrong").display().to_string();
    let list = |variables: &[(&str, &str)]| {
        let store = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let all = [&[store, ("AWS_ALLOW_HTTP", "true")], variables].concat();
        run(&machine, &["list", "s3://bucket/x"], &all).exits(1)
    };
    list(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2"),
    ])
    .says("the container's role")
    .says("status 403");
    list(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/")])
        .says("another host without TLS");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup");
    let sts = ("AWS_ENDPOINT_URL_STS", sts.as_str());
    list(&[role, sts, ("AWS_WEB_IDENTITY_TOKEN_FILE", &wrong)])
        .says("STS")
        .says("status 403");
    list(&[role, sts, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")]).says("/nowhere/token");
}

/// The files of Amazon's tools, with the keys of a store in them.
fn profiles(machine: &Machine, endpoint: &str) {
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    let credentials = format!(
        "[default]\naws_access_key_id = wrong\naws_secret_access_key = hunter2\n\
         [backup]\naws_access_key_id = {id}\naws_secret_access_key = {secret} # mine\n\
         [half]\naws_access_key_id = {id}\n"
    );
    let config = format!(
        "[profile backup]\nregion = us-east-1\nendpoint_url = {endpoint}\n\
         [profile by-service]\nservices = mine\nregion = us-east-1\n\
         aws_access_key_id = {id}\naws_secret_access_key = {secret}\n\
         [services mine]\ns3 =\n  endpoint_url = {endpoint}\n\
         [profile sso]\nsso_session = work\n[sso-session work]\nsso_region = x\n\
         [profile program]\ncredential_process = /bin/keys\n\
         [profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = backup\n\
         [profile region-only]\nregion = eu-west-1\n"
    );
    fs::create_dir(machine.path("tmp/.aws")).expect("a folder");
    machine.write("tmp/.aws/credentials", credentials, 0o600);
    machine.write("tmp/.aws/config", config, 0o600);
}

#[test]
fn static_keys_of_profiles_are_read_with_region_and_endpoint() {
    let s3 = S3::start();
    let machine = Machine::new();
    profiles(&machine, &s3.endpoint());
    let url = format!("s3://{BUCKET}/x");
    let plain = ("AWS_ALLOW_HTTP", "true");
    for profile in ["backup", "by-service"] {
        run(
            &machine,
            &["list", &url],
            &[plain, ("AWS_PROFILE", profile)],
        )
        .exits(0);
    }
    // A profile that the destination names goes before the environment's key.
    with_destination(
        &machine,
        &format!("url = \"{url}\"\nprofile = \"backup\"\nallow_http = true"),
    );
    let other = [
        ("AWS_ACCESS_KEY_ID", "other"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "old"),
    ];
    run(&machine, &["list", "@offsite"], &other).exits(0);
    // The environment's key goes before that of AWS_PROFILE.
    let both = [&other[..2], &[plain, ("AWS_PROFILE", "backup")]].concat();
    run(&machine, &["list", &url], &both).exits(1).says("key");
    // Without a word, the default profile; in files of other names.
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    let text = format!("[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n");
    machine.write("out/keys", text, 0o600);
    let keys = machine.path("out/keys").display().to_string();
    let endpoint = s3.endpoint();
    let files = [
        plain,
        ("AWS_SHARED_CREDENTIALS_FILE", keys.as_str()),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    run(&machine, &["list", &url], &files).exits(0);
}

#[test]
fn profiles_that_are_not_static_keys_are_refused_by_name() {
    let machine = Machine::new();
    profiles(&machine, "http://127.0.0.1:1");
    for (profile, says) in [
        ("sso", "signs in by SSO"),
        ("program", "credential_process"),
        ("role", "role_arn"),
        ("half", "no `aws_secret_access_key`"),
        ("nobody", "is not in"),
    ] {
        let variables = [("AWS_PROFILE", profile)];
        let run = run(&machine, &["list", "s3://bucket/x"], &variables).exits(2);
        let run = run.says(says).says(&format!("`{profile}`"));
        assert!(!run.stderr.contains("`endpoint`"), "{}", run.stderr);
    }
    with_destination(
        &machine,
        "url = \"s3://bucket/x\"\nprofile = \"region-only\"",
    );
    run(&machine, &["list", "@offsite"], &[])
        .exits(2)
        .says("has no key");
}

#[test]
fn an_azure_connection_string_is_all_that_is_needed() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let machine = Machine::new();
    let endpoint = Azurite::account_endpoint(&azurite.endpoint());
    let string = format!(
        "DefaultEndpointsProtocol=http;AccountName={};AccountKey={};BlobEndpoint={endpoint};",
        Azurite::ACCOUNT,
        Azurite::KEY,
    );
    let variables = [("AZURE_STORAGE_CONNECTION_STRING", string.as_str())];
    machine.fill_database(10);
    let url = format!("az://{BUCKET}/x");
    run(&machine, &["export", &url], &variables).exits(0);
    let listed = run(&machine, &["list", "--json", &url], &variables).exits(0);
    let archives = listed.json()["archives"].as_array().map(Vec::len);
    assert_eq!(archives, Some(1));
    let broken = [("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=hunter2")];
    run(&machine, &["list", &url], &broken)
        .exits(2)
        .says("AZURE_STORAGE_CONNECTION_STRING");
}
