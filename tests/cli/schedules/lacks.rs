//! Units lack variables, credentials, lingering, folders or verbs: the installation says it.

use std::{fs, path::Path};

use nix::unistd::{User, geteuid};
use support::service::Service;

use super::{root::Root, service, shows};

const FAR: &str = "[backup.destinations.far]\nurl = \"s3://a/b\"\naccess_key_id = \"credential:s3-id\"\n\
    secret_access_key = \"credential:s3-key\"\n";

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, "x").expect("written");
}

fn install(service: &Service, root: &Root, further: &[&str]) -> support::Run {
    let words = [&["timer", "install", "--root", root.path()], further].concat();
    service.run(&words, 0)
}

#[test]
fn variables_that_the_units_do_not_have_are_said() {
    let mut near = service("shop", "");
    near.set("HOOKSHOT_TO", "local");
    near.set("HOOKSHOT_THREADS", "2");
    near.set("HTTPS_PROXY", "http://user:hunter2@proxy:3128");
    near.set("AWS_PROFILE", "");
    let root = Root::of(&near);
    let run = install(&near, &root, &[]);
    shows(
        &run,
        &[
            "HOOKSHOT_TO of this environment: `to` under [backup]",
            "HOOKSHOT_THREADS of this environment",
        ],
    );
    assert!(
        !run.text().contains("PROXY"),
        "it needs no network: {}",
        run.text()
    );
    let mut far = service("far", FAR);
    far.set("HTTPS_PROXY", "http://user:hunter2@proxy:3128");
    far.set("AWS_PROFILE", "night");
    let run = install(&far, &Root::of(&far), &["--json"]);
    assert!(!run.text().contains("hunter2"));
    let unused = run.json()["unused_variables"].to_string();
    assert!(
        unused.contains("\"AWS_PROFILE\"") && unused.contains("\"HTTPS_PROXY\""),
        "{unused}"
    );
    assert!(!unused.contains("HOOKSHOT"), "{unused}");
    for (line, is_said) in [("", true), ("password = \"file:key\"\n", false)] {
        let vault = format!("[backup.destinations.vault]\nurl = \"restic:/srv/vault\"\n{line}");
        let mut vault = service("vault", &vault);
        vault.set("RESTIC_PASSWORD", "hunter2");
        let run = install(&vault, &Root::of(&vault), &["--json"]);
        assert!(!run.text().contains("hunter2"));
        let unused = run.json()["unused_variables"].to_string();
        assert_eq!(unused.contains("\"RESTIC_PASSWORD\""), is_said, "{unused}");
    }
}

#[test]
fn credentials_are_found_where_each_manager_looks() {
    let mut service = service("shop", FAR);
    let root = Root::of(&service);
    touch(&root.0.join("etc/credstore.encrypted/s3-id"));
    let report = install(&service, &root, &["--json"]).json();
    let missing = report["missing_credentials"]
        .as_object()
        .expect("an object");
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["s3-key"]);
    let text = root.text("hookshot-shop-backup.service");
    assert!(
        text.contains("LoadCredentialEncrypted=s3-id\n")
            && text.contains("LoadCredential=s3-key\n"),
        "{text}"
    );
    // A user's manager decrypts nothing of the system's, and gets files by their paths.
    service.set("HOME", "/home/ada");
    service.set("XDG_CONFIG_HOME", "");
    let run = install(&service, &root, &["--user"]);
    shows(
        &run,
        &[
            "credential s3-id: a user's systemd cannot decrypt /etc/credstore.encrypted/s3-id",
            "home/ada/.config/credstore/s3-key, 0600; then install",
        ],
    );
    touch(&root.0.join("home/ada/.config/credstore/s3-id"));
    touch(&root.0.join("home/ada/.config/credstore.encrypted/s3-key"));
    let report = install(&service, &root, &["--user", "--json"]).json();
    assert_eq!(report["missing_credentials"], serde_json::json!({}));
    let unit = "home/ada/.config/systemd/user/hookshot-shop-backup.service";
    let text = fs::read_to_string(root.0.join(unit)).expect("a unit");
    for line in [
        "LoadCredential=s3-id:/home/ada/.config/credstore/s3-id\n",
        "LoadCredentialEncrypted=s3-key:/home/ada/.config/credstore.encrypted/s3-key\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn lingering_that_is_off_is_said() {
    let mut service = service("shop", "");
    service.set("HOME", "/home/ada");
    service.set("XDG_CONFIG_HOME", "");
    let root = Root::of(&service);
    let user = User::from_uid(geteuid())
        .expect("users")
        .expect("a user")
        .name;
    let off = format!("lingering is off for {user}");
    shows(
        &install(&service, &root, &["--user"]),
        &[&off, "`loginctl enable-linger"],
    );
    let words = ["timer", "status", "--user", "--root", root.path()];
    shows(&service.run(&words, 0), &[&off]);
    touch(&root.0.join("var/lib/systemd/linger").join(&user));
    for words in [
        &words[..],
        &["timer", "install", "--user", "--root", root.path()],
    ] {
        let run = service.run(words, 0);
        assert!(!run.text().contains("lingering"), "{}", run.text());
    }
    let report = install(&service, &root, &["--json"]).json();
    assert_eq!(report["lingering"], serde_json::Value::Null);
}

#[test]
fn a_missing_folder_of_metrics_is_named_with_what_to_do() {
    let mut service = service("shop", "");
    let folder = service.machine.path("node/collector");
    let text = fs::read_to_string(&service.config).expect("there");
    let key = format!(
        "[backup]\nprometheus_file = \"{}/shop.prom\"\n",
        folder.display()
    );
    fs::write(&service.config, text.replace("[backup]\n", &key)).expect("written");
    let name = folder.display().to_string();
    service
        .run(&["backup"], 3)
        .says("the folder of the metrics does not exist")
        .says(&name);
    service.set("HOOKSHOT_JOB", "status");
    service
        .run(&["status"], 1)
        .says("the folder of the metrics does not exist")
        .says(&format!("mkdir -p {name}"));
    service.set("HOME", service.machine.path("home"));
    service.set("XDG_CONFIG_HOME", "");
    service.set("XDG_RUNTIME_DIR", "");
    service.run(&["timer", "install", "--user"], 3);
    service.run(&["status"], 0);
    assert!(folder.join("shop.prom").exists());
}
