//! Exports that are sealed: for all outputs, for some, or for none.

use std::fs;

use hookshot::{
    crypt::{ExposeSecret as _, generate},
    model::digest::Digest,
};

use super::Sealing;

#[test]
fn an_export_is_sealed_for_the_configured_keys_under_its_own_name() {
    let sealing = Sealing::configured("");
    let report = sealing
        .machine
        .run(&["export", &sealing.path("out/"), "--json"])
        .exits(0)
        .json();
    let archive = report["archive"].as_str().expect("a path");
    assert!(archive.ends_with(".tar.gz.age"), "{archive}");
    let bytes = fs::read(archive).expect("an archive");
    assert_eq!(report["sha256"], Digest::of(&bytes).to_string());
    assert_eq!(report["size_bytes"], bytes.len());
    assert_eq!(report["outputs"][0]["sealed"], true);
    sealing.run(&["verify", archive]).exits(0);
    // The second one replaces nothing, and its name has a number if the second is the same.
    sealing
        .machine
        .run(&["export", &sealing.path("out/")])
        .exits(0);
    assert_eq!(
        sealing
            .machine
            .path("out")
            .read_dir()
            .expect("a folder")
            .count(),
        2
    );
}

#[test]
fn each_destination_has_its_own_recipients_or_none() {
    let sealing = Sealing::new();
    let other = generate();
    let folders = ["local", "mirror", "offsite"].map(|name| sealing.path(name));
    sealing.configure(&format!(
        "[backup.destinations.local]\nurl = \"{}\"\nencryption = false\n\
        [backup.destinations.mirror]\nurl = \"{}\"\n\
        [backup.destinations.offsite]\nurl = \"{}\"\n[backup.destinations.offsite.encryption]\nrecipients = [\"{}\"]\n",
        folders[0], folders[1], folders[2], other.public
    ));
    for order in [
        ["@local", "@mirror", "@offsite"],
        ["@offsite", "@mirror", "@local"],
    ] {
        let arguments: Vec<&str> = ["export", "--json"].into_iter().chain(order).collect();
        let report = sealing.machine.run(&arguments).exits(0).json();
        for output in report["outputs"].as_array().expect("outputs") {
            let archive = output["archive"].as_str().expect("a path");
            let is_plain = archive.contains("/local/");
            assert_eq!(output["sealed"], !is_plain, "{output}");
            assert_eq!(archive.ends_with(".age"), !is_plain, "{output}");
            let bytes = fs::read(archive).expect("an archive");
            assert_eq!(output["sha256"], Digest::of(&bytes).to_string());
            let code = if archive.contains("/offsite/") { 12 } else { 0 };
            sealing.run(&["verify", archive]).exits(code);
        }
    }
}

#[test]
fn a_name_says_if_the_archive_is_sealed() {
    let sealing = Sealing::configured("");
    let (plain, sealed) = (
        sealing.path("out/a.tar.gz"),
        sealing.path("out/a.tar.gz.age"),
    );
    sealing
        .machine
        .run(&["export", &plain])
        .exits(2)
        .says("a.tar.gz.age");
    sealing
        .machine
        .run(&["export", &plain, "--no-encrypt"])
        .exits(0);
    sealing
        .machine
        .run(&["export", &sealed, "--no-encrypt"])
        .exits(2)
        .says("leave out .age");
    sealing.machine.run(&["export", &sealed]).exits(0);
    // It is replaced by another sealed archive.
    sealing.machine.run(&["export", &sealed]).exits(0);
    sealing.run(&["verify", &sealed]).exits(0);
    sealing.machine.write("out/b.age", "not an archive", 0o600);
    sealing
        .machine
        .run(&["export", &sealing.path("out/b.age")])
        .exits(2)
        .says("--overwrite");
    let run = sealing
        .machine
        .run(&["export", &sealed, "--recipient", "age1"]);
    run.exits(2).says("is damaged");
    let secret = sealing.pair.secret.expose_secret();
    let run = sealing
        .machine
        .run(&["export", &sealed, "--recipient", secret]);
    let run = run.exits(2).says("is a private key");
    assert!(!run.text().contains(&secret[20..40]), "it is not repeated");
}

#[test]
fn standard_output_is_sealed_too() {
    let sealing = Sealing::configured("");
    let run = sealing.machine.run(&["export", "-"]).exits(0);
    assert!(run.stdout.starts_with(b"age-encryption.org/v1\n"));
    let [option, file] = sealing.identity();
    let verify = ["verify", "-", &option, &file];
    sealing.machine.run_with(&verify, &run.stdout).exits(0);
}
