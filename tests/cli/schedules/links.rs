//! The paths and the names of units: configurations behind links, below a root, and of hookshot itself.

use std::{fs, os::unix::fs::symlink, process::Command};

use support::{finish, service::Service};

use super::{root::Root, service};

/// Runs a verb of `timer` with a configuration.
fn timer(service: &Service, config: &str, words: &[&str], code: i32) -> support::Run {
    let mut command = Command::new(support::program());
    command
        .args(["--config", config, "timer"])
        .args(words)
        .env("HOME", service.machine.path("home"))
        .env("XDG_CONFIG_HOME", "")
        .env("XDG_RUNTIME_DIR", "")
        .current_dir(service.machine.path("out"));
    finish(command, b"").exits(code)
}

#[test]
fn a_unit_names_the_link_that_the_user_names_and_writes_behind_it() {
    let service = service("shop", "");
    let real = service.config.parent().expect("a folder");
    let link = service.machine.path("etc-link");
    symlink(real, &link).expect("linked");
    let config = link.join("config.toml");
    let config = config.to_str().expect("UTF-8");
    let shown = timer(&service, config, &["show"], 0);
    let home = real.join(".hookshot");
    for line in [
        format!("AssertPathExists={config}\n"),
        format!(" --config {config} "),
        format!("\nConfig={config}\n"),
    ] {
        assert!(shown.text().contains(&line), "{line}: {}", shown.text());
    }
    for folder in [&link.join(".hookshot"), &home] {
        let line = format!("ReadWritePaths=-{}\n", folder.display());
        assert!(shown.text().contains(&line), "{line}: {}", shown.text());
    }
    // Both paths are one configuration. Of `..` systemd wants none.
    let root = Root::of(&service);
    let installed = ["install", "--user"];
    timer(&service, config, &installed, 3);
    let folder = service.machine.path("home/.config/systemd/user");
    let unit = folder.join("hookshot-shop-backup.service");
    assert!(unit.exists());
    let dotted = real.join("../shop/config.toml");
    timer(&service, dotted.to_str().expect("UTF-8"), &installed, 3);
    let text = fs::read_to_string(&unit).expect("there");
    let plain = service.config.display();
    assert!(
        text.contains(&format!("AssertPathExists={plain}\n")),
        "{text}"
    );
    timer(&service, config, &["remove", "--user"], 0);
    assert!(!unit.exists());
    drop(root);
}

#[test]
fn a_configuration_below_the_root_is_named_as_its_machine_knows_it() {
    let service = service("shop", "");
    let root = Root::of(&service);
    let folder = root.0.join("etc/shop");
    fs::create_dir_all(&folder).expect("a folder");
    let text = "[backup]\napp = \"shop\"\nto = [\"local\"]\n[backup.destinations.local]\nurl = \"../../srv/archives\"\n\
        [[backup.sources]]\nname = \"notes\"\nkind = \"file\"\npath = \"/srv/notes\"\n";
    fs::write(folder.join("config.toml"), text).expect("written");
    let config = folder.join("config.toml");
    let config = config.to_str().expect("UTF-8");
    timer(&service, config, &["install", "--root", root.path()], 0);
    let text = root.text("hookshot-shop-backup.service");
    for line in [
        " --config /etc/shop/config.toml ",
        "AssertPathExists=/etc/shop/config.toml\n",
        "ReadWritePaths=-/etc/shop/.hookshot\n",
        "ReadWritePaths=-/srv/archives\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(root.0.join("srv/archives").is_dir());
    let status = timer(&service, config, &["status", "--root", root.path()], 0);
    assert!(
        status.text().contains("the timers start with the machine"),
        "{}",
        status.text()
    );
    assert!(!status.text().contains("outdated"), "{}", status.text());
    timer(&service, config, &["remove", "--root", root.path()], 0);
    assert_eq!(root.names().0, [""; 0]);
}

#[test]
fn hookshot_itself_is_named_once() {
    let service = service("hookshot", "");
    let root = Root::of(&service);
    service.run(&["timer", "install", "--root", root.path()], 0);
    assert_eq!(
        root.names().0,
        ["hookshot-backup.service", "hookshot-backup.timer"]
    );
    // Units of the longer name, by an earlier version, go.
    let old = root.folder().join("hookshot-hookshot-backup.timer");
    fs::write(&old, root.text("hookshot-backup.timer")).expect("written");
    service.run(&["timer", "install", "--root", root.path()], 0);
    assert!(!old.exists());
}
