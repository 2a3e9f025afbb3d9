//! `hookshot timer remove` and `status` when the configuration is bad, gone, or another user's.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use nix::unistd::geteuid;
use support::finish;

use super::{root::Root, service};

const NOBODY: u32 = 65534;

#[test]
fn units_are_removed_when_the_configuration_is_bad_or_gone() {
    for broken in [Some("[backup\n"), Some("[backup]\nbakup = 1\n"), None] {
        let service = service("shop", "");
        let root = Root::of(&service);
        service.run(&["timer", "install", "--root", root.path()], 0);
        match broken {
            Some(text) => fs::write(&service.config, text).expect("written"),
            None => {
                fs::remove_dir_all(service.config.parent().expect("a folder")).expect("removed")
            }
        }
        let run = service.run(&["timer", "remove", "--root", root.path(), "--json"], 0);
        assert_eq!(
            run.json()["units"].as_array().map(Vec::len),
            Some(2),
            "{broken:?}"
        );
        assert_eq!(root.names(), (vec![], vec![]));
    }
}

#[test]
fn another_user_does_not_see_a_unit_as_outdated() {
    if !geteuid().is_root() {
        return;
    }
    let further = "[backup.destinations.far]\nurl = \"s3://a/b\"\naccess_key_id = \"credential:s3-id\"\n\
        secret_access_key = \"credential:s3-key\"\n";
    let service = service("shop", further);
    let root = Root::of(&service);
    let stores = ["etc/credstore.encrypted", "etc/credstore"].map(|store| root.0.join(store));
    for store in &stores {
        fs::create_dir_all(store).expect("a folder");
        fs::write(store.join("s3-id"), "x").expect("written");
        fs::set_permissions(store, fs::Permissions::from_mode(0o700)).expect("closed");
    }
    // The program of this test may lie in a folder that another user cannot enter.
    let program = service.machine.path("out/hookshot");
    fs::copy(support::program(), &program).expect("copied");
    for folder in [service.machine.path(""), service.machine.path("out")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let run = |verb: &str, user: u32| {
        let mut command = Command::new(&program);
        command
            .arg("--config")
            .arg(&service.config)
            .args(["timer", verb, "--json", "--root", root.path()])
            .current_dir("/")
            .uid(user)
            .gid(user);
        finish(command, b"").exits(0).json()
    };
    run("install", 0);
    for user in [0, NOBODY] {
        let report = run("status", user);
        assert_eq!(report["timers"][0]["current"], true, "{user}: {report}");
    }
    let unit = root.folder().join("hookshot-shop-backup.service");
    let text = fs::read_to_string(&unit).expect("there");
    fs::write(&unit, text.replace("UMask=0077", "UMask=0022")).expect("written");
    for user in [0, NOBODY] {
        assert_eq!(run("status", user)["timers"][0]["current"], false, "{user}");
    }
}
