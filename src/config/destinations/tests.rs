//! Destinations are read with their faults, and secrets belong to their providers.

use super::*;
use crate::config::reader;

type Read = (BTreeMap<String, DestinationSettings>, Vec<String>);

fn parse(text: &str) -> Result<Read, Vec<String>> {
    let backup = |backup: &Section<'_>| {
        let destinations = read(backup);
        let to = read_to(backup, &destinations);
        (destinations, to)
    };
    reader::read(text, |root| root.section("backup", backup)).map(Option::unwrap_or_default)
}

/// Returns the keys of the secrets that a destination has.
fn secrets(destination: &DestinationSettings) -> Vec<&'static str> {
    let secrets = destination.options.secrets();
    secrets.into_iter().map(|written| written.key).collect()
}

#[test]
fn quantities_are_written_as_other_tools_write_them_and_0_is_no_limit() {
    let one = |line: &str| {
        let text = format!("[backup.destinations.d]\nurl = \"s3://b\"\n{line}\n");
        let (mut read, _) = parse(&text)?;
        Ok::<_, Vec<String>>(read.remove("d").expect("it is there").options)
    };
    for (line, rate) in [
        ("bandwidth_limit = \"10MB/s\"", Some(10_000_000)),
        ("bandwidth_limit = \"10 MB\"", Some(10_000_000)),
        ("bandwidth_limit = 1000", Some(1000)),
        ("bandwidth_limit = 0", None),
        ("bandwidth_limit = \"0\"", None),
    ] {
        assert_eq!(
            one(line).expect(line).transfer.bandwidth_limit,
            rate,
            "{line}"
        );
    }
    assert_eq!(
        one("chunk_size = \"8MB\"")
            .expect("good")
            .transfer
            .chunk_bytes,
        8_000_000
    );
    assert_eq!(
        one("timeout = \"1h\"")
            .expect("good")
            .transfer
            .timeout
            .as_secs(),
        3600
    );
    for (line, says) in [
        ("bandwidth_limit = 999", "or 0 for no limit"),
        ("timeout = \"1h1s\"", "from 1 s to 1 h"),
        ("max_bandwidth = 10240", "it is `bandwidth_limit`"),
        ("schedule = \"sunday@02:00\"", "it is `every`"),
        ("retries = 3", "it is `retry_attempts`"),
    ] {
        let faults = one(line).expect_err(line);
        assert!(faults.len() == 1 && faults[0].contains(says), "{faults:?}");
    }
}

#[test]
fn a_password_of_a_repository_is_no_login() {
    for url in ["/srv/vault", "s3://b/x", "sftp://h/x"] {
        let text =
            format!("[backup.destinations.d]\nurl = \"restic:{url}\"\npassword = \"file:/p\"\n");
        let (read, _) = parse(&text).expect(url);
        assert!(read["d"].repository.password.is_some(), "{url}");
        assert_eq!(secrets(&read["d"]), [""; 0], "{url}");
    }
}

#[test]
fn a_secret_belongs_to_the_provider_that_has_its_key() {
    for (url, key) in [
        ("s3://b", "secret_access_key"),
        ("gs://b", "service_account_key"),
        ("az://b", "account_key"),
        ("sftp://h/x", "password"),
    ] {
        for (other, url_of_other) in [
            ("s3", "s3://b"),
            ("gs", "gs://b"),
            ("az", "az://b"),
            ("sftp", "sftp://h/x"),
        ] {
            let text =
                format!("[backup.destinations.d]\nurl = \"{url_of_other}\"\n{key} = \"hunter2\"\n");
            match parse(&text) {
                Ok((read, _)) => {
                    assert_eq!(url, url_of_other);
                    assert_eq!(secrets(&read["d"]), [key]);
                }
                Err(faults) => {
                    assert_ne!(url, url_of_other, "{faults:?}");
                    assert!(faults[0].contains(&format!("is of the kind `{other}`")));
                }
            }
        }
    }
}

#[test]
fn destinations_are_read_and_their_secrets_not_shown() {
    let (destinations, to) = parse(
        r#"
        [backup]
        to = ["local", "offsite"]
        [backup.destinations.local]
        url = "/var/backups"
        [backup.destinations.offsite]
        url = "s3://bucket/host"
        endpoint = "http://127.0.0.1:9000"
        allow_http = true
        path_style = true
        access_key_id = "env:KEY"
        secret_access_key = "hunter2"
        sse = "aws:kms"
        chunk_size = "16 MiB"
        timeout = "2m"
        bandwidth_limit = "5 MB"
        tags = { team = "ops" }
        checksums = "none"
        conditional_writes = false
        retention = { keep_last = 3 }
        "#,
    )
    .expect("good");
    assert_eq!(to, ["local", "offsite"]);
    let offsite = &destinations["offsite"];
    assert_eq!(offsite.address.to_string(), "s3://bucket/host");
    assert_eq!(offsite.options.transfer.chunk_bytes, 16 << 20);
    assert_eq!(offsite.options.transfer.timeout.as_secs(), 120);
    let OwnOptions::S3(own) = &offsite.options.own else {
        panic!("{:?}", offsite.options.own)
    };
    assert_eq!(own.checksums, Checksums::None);
    assert!(!own.conditional_writes);
    assert_eq!(offsite.options.transfer.bandwidth_limit, Some(5_000_000));
    assert_eq!(secrets(offsite), ["access_key_id", "secret_access_key"]);
    assert!(!format!("{destinations:?}").contains("hunter2"));
}

#[test]
fn every_fault_is_named_and_no_value_repeated() {
    let faults = parse(
        r#"
        [backup]
        to = ["ofsite"]
        [backup.destinations.offsite]
        url = "s3://bucket"
        regoin = "hunter2"
        identity_file = "hunter2"
        chunk_size = "1 MiB"
        timeout = "hunter2"
        sse = "hunter2"
        checksums = "hunter2"
        parallel_uploads = 0
        [backup.destinations.other]
        url = "sftp://me:hunter2@host/x"
        [backup.destinations.none]
        "#,
    )
    .expect_err("bad");
    let all = faults.join("\n");
    for says in [
        "did you mean `offsite`?",
        "unknown key `regoin` under [backup.destinations.offsite]; did you mean `region`?",
        "`identity_file` under [backup.destinations.offsite] is a key of destinations of the kind `sftp`, and this one is of the kind `s3`",
        "`chunk_size`",
        "`timeout`",
        "`sse`",
        "`checksums`",
        "`parallel_uploads`",
        "a password does not belong",
        "`url` is missing under [backup.destinations.none]",
    ] {
        assert!(all.contains(says), "{says}: {all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
    assert_eq!(faults.len(), 10, "{all}");
}
