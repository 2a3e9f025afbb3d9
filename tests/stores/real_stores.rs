//! The suite of a store, by hand against real ones.
//!
//! `HOOKSHOT_TEST_STORES` names a configuration file; each of its `[backup.destinations.NAME]` is a place that the suite may
//! write to. Keys stand there as `env:NAME`, `file:PATH` or as they are. Everything goes below a prefix of its own, and is
//! removed at the end: `HOOKSHOT_TEST_STORES=stores.toml cargo nextest run --test stores -E 'test(real_stores)'`.

use std::{env, fs};

use hookshot::{
    config::{destinations::DestinationSettings, schema::Schema},
    store::{self, Address, Environment, Options, Secret},
};

use crate::{
    conformance::{Proofs, conforms},
    places::{PART_BYTES, Place, bytes, direct, export, later, on},
};
use support::servers::{Moto, s3::BUCKET};

/// A place that a configuration file names, below a prefix of this run.
struct Real {
    destination: DestinationSettings,
    prefix: String,
}

impl Real {
    fn new(name: &str, destination: DestinationSettings) -> Real {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let prefix = format!("hookshot-suite-{name}-{}", now.as_millis());
        Real {
            destination,
            prefix,
        }
    }

    /// Returns its proofs of an upload in one piece, and of one in parts.
    fn proofs(&self) -> Proofs {
        let store = direct(self, "");
        let proof = |size| {
            let proof = export(&*store, "proof", &bytes(size, 1));
            store.remove("proof").expect("removed");
            proof.unwrap_or_else(|error| panic!("{}: {error:#}", self.url()))
        };
        Proofs {
            small: proof(1_000),
            large: proof(2 * PART_BYTES),
        }
    }
}

impl Place for Real {
    fn url(&self) -> String {
        format!("{}/{}", self.destination.address, self.prefix)
    }

    fn options(&self, _: &str) -> Options {
        let mut options = self.destination.options.clone();
        options.transfer.chunk_bytes = PART_BYTES;
        let resolved = options.resolve(&mut |written| {
            let value = written.text.reveal();
            let value = match value.split_once(':') {
                Some(("env", name)) => {
                    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
                }
                Some(("file", path)) => fs::read_to_string(path).expect("a secret"),
                _ => value.to_owned(),
            };
            let secret = Secret::new(value.trim_end_matches(['\r', '\n']));
            Ok::<_, ()>(Some(secret))
        });
        resolved.expect("resolved")
    }

    /// As far as a listing shows it.
    fn everything(&self) -> Vec<String> {
        let mut names = Vec::new();
        for prefix in ["", "/host-1", "/host-10"] {
            let url = format!("{}{prefix}", self.url());
            let address = Address::parse(&url).expect("a place");
            let store = store::open(&address, &self.options(""), &Environment::default(), on());
            let listed = store.expect("a store").list(&mut |stored| {
                names.push(format!("{prefix}/{}", stored.name));
                Ok(())
            });
            drop(listed);
        }
        names
    }
}

#[test]
fn real_stores_conform() {
    let Ok(file) = env::var("HOOKSHOT_TEST_STORES") else {
        println!("left out: HOOKSHOT_TEST_STORES names no real stores");
        return;
    };
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    suite(&text);
}

#[test]
fn the_suite_of_real_stores_runs_against_one_of_the_tests() {
    let Some(moto) = Moto::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "thing\n").expect("written");
    suite(&format!(
        "[backup.destinations.one]\nurl = \"s3://{BUCKET}/tests\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\n\
         allow_http = true\naccess_key_id = \"any\"\nsecret_access_key = \"file:{}\"\n",
        moto.endpoint(),
        secret.display(),
    ));
    assert_eq!(moto.objects(), [""; 0]);
    assert_eq!(moto.uploads(), [""; 0]);
}

/// Runs the suite of a store against every destination of a configuration.
fn suite(text: &str) {
    let schema = Schema::parse(text).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(!schema.destinations.is_empty(), "the file names no stores");
    for (name, destination) in schema.destinations {
        let place = Real::new(&name, destination);
        println!("{name}: {}", place.url());
        conforms(&place, place.proofs());
        // What the suite left on purpose, as a kill does.
        let store = direct(&place, "");
        store.sweep(&later("end")).expect("swept");
        assert_eq!(place.everything(), [""; 0], "{name}");
    }
}
