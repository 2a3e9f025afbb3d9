//! SFTP servers that are not the usual one: in order only, restricted, noisy, full, over IPv6, by password.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use hookshot::{
    error::{Failure, Kind},
    store::{Address, Environment, Options, Store, require_room},
};

use crate::places::{Place, bytes, content, direct, export, names, on, opened, sftp};
use support::{
    Machine, Mounted, is_root,
    servers::{Rclone, Sshd, sshd::Shape},
};

/// OpenSSH's server as a program.
const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";
/// crypt(3) of `PASSWORD`.
const PASSWORD: &str = "battery staple";
const CRYPTED: &str = "$6$hookshot$2cGRpfHGkNU7n.YqQpjERcIpvl4EHVJJZt4zYT/bTir03B.k.E1o73UDFdk.XboMNmzWsCecYBkWe.ZOtqI6u0";

/// Notes the offset of each write, and passes everything on.
const RECORDER: &str = r#"
import struct, subprocess, sys
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
told = sys.stdin.buffer
with open(sys.argv[1], "a") as offsets:
    while len(head := told.read(4)) == 4:
        body = told.read(struct.unpack(">I", head)[0])
        if body[0] == 6:
            handle = struct.unpack(">I", body[5:9])[0]
            print(struct.unpack(">Q", body[9 + handle : 17 + handle])[0], file=offsets, flush=True)
        server.stdin.write(head + body)
        server.stdin.flush()
server.stdin.close()
server.wait()
"#;

/// A server whose SFTP is the script of a shell.
fn scripted(folder: &Path, script: &str) -> Shape {
    let path = folder.join("serve");
    let serve = format!("{SFTP_SERVER} -d {}/files", folder.display());
    fs::write(
        &path,
        format!("#!/bin/sh\n{}\n", script.replace("SERVE", &serve)),
    )
    .expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    Shape {
        subsystem: path.display().to_string(),
        ..Shape::usual(folder)
    }
}

fn failure<T>(result: anyhow::Result<T>) -> Failure {
    Failure::of(&result.err().expect("it fails"))
}

/// A machine with one file of `count` bytes that do not compress, which go to `destination`.
fn machine(destination: &str, count: usize) -> Machine {
    let machine = Machine::empty();
    let mut state = 1_u64;
    let noise = bytes(count, 1).into_iter().map(|byte| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        byte ^ (state >> 56) as u8
    });
    machine.write("data/big", noise.collect::<Vec<u8>>(), 0o600);
    let text = format!(
        "[backup]\nprefix = \"big\"\n[backup.destinations.store]\n{destination}\n\
         [[backup.sources]]\nname = \"big\"\nkind = \"file\"\npath = \"{}\"\n",
        machine.path("data/big").display(),
    );
    machine.write("etc/config.toml", text, 0o600);
    machine
}

#[test]
fn writes_go_out_in_the_order_of_their_offsets() {
    let place = Sshd::start_as(|folder| {
        fs::write(folder.join("recorder.py"), RECORDER).expect("written");
        let (recorder, offsets) = (folder.join("recorder.py"), folder.join("offsets"));
        let (recorder, offsets) = (recorder.display(), offsets.display());
        scripted(folder, &format!("exec python3 {recorder} {offsets} SERVE"))
    });
    let Some(place) = place else { return };
    let sent = bytes(25 << 20, 1);
    let store = direct(&place, "");
    for number in 0..3 {
        export(&*store, &format!("archive-{number}"), &sent).expect("proven");
    }
    let offsets = fs::read_to_string(place.folder().join("offsets")).expect("recorded");
    let offsets: Vec<u64> = offsets
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert!(offsets.len() >= 3 * 96, "{}", offsets.len());
    let back = offsets.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    assert_eq!(back, 2, "only the next archive begins at 0: {offsets:?}");
}

#[test]
fn a_server_before_an_object_store_takes_a_large_archive() {
    let Some(server) = Rclone::start() else {
        return;
    };
    let machine = machine(&server.destination(), 25_000_000);
    machine.run(&["check", "@store"]).exits(0);
    for _ in 0..2 {
        machine.run(&["export", "@store"]).exits(0);
    }
    machine.run(&["verify", "@store/latest"]).exits(0);
    let kept = fs::read_dir(server.files().join("archives")).expect("a folder");
    let kept: Vec<_> = kept
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(kept.len(), 2, "{kept:?} {}", server.log());
    assert!(
        kept.iter()
            .all(|name| !name.to_string_lossy().starts_with('.')),
        "{kept:?}"
    );
}

/// A server that lets files be written and not renamed is named as such, and keeps nothing.
#[test]
fn a_server_that_does_not_rename_is_told_of() {
    let place = Sshd::start_as(|folder| {
        let usual = Shape::usual(folder);
        Shape {
            subsystem: format!("{} -P rename,posix-rename,hardlink", usual.subsystem),
            ..usual
        }
    });
    let Some(place) = place else { return };
    let store = direct(&place, "");
    let error = export(&*store, "archive", b"1").expect_err("refused");
    let failure = Failure::of(&error);
    let message = &failure.message;
    assert!(
        message.contains("does not rename it to its name"),
        "{message}"
    );
    assert!(names(&*store).is_empty());
}

#[test]
fn a_server_is_reached_over_ipv6() {
    let place = Sshd::start_as(|folder| Shape {
        more: "ListenAddress [::1]:PORT".to_owned(),
        ..Shape::usual(folder)
    });
    let Some(place) = place else { return };
    let (user, port) = (place.user(), place.port());
    let url = format!("sftp://{user}@[::1]:{port}/~/archives");
    let address = Address::parse(&url).expect("a place");
    assert_eq!(address.to_string(), url);
    let mut options = place.options("");
    // The file names another address for this host.
    sftp(&mut options).ssh_config = Some("/dev/null".into());
    let store = hookshot::store::open(&address, &options, &Environment::default(), on());
    let store = store.expect("a store");
    export(&*store, "one", b"1").expect("proven");
    assert_eq!(names(&*direct(&place, "")), ["one"]);
}

#[test]
fn validate_refuses_hosts_that_ssh_could_not_take() {
    for (url, says) in [
        ("sftp://bak@::1/~/x", "brackets"),
        ("sftp://bak@[::1/~/x", "brackets"),
        ("sftp://bak@host:0/~/x", "is not a port"),
        ("sftp://bak@ho`id`st/x", "no host that ssh could take"),
        ("sftp://ba$k@host/x", "no user that ssh could take"),
    ] {
        let machine = machine(&format!("url = \"{url}\""), 1);
        machine.run(&["validate"]).exits(2).says(says);
        machine.run(&["list", url]).exits(2).says(says);
    }
}

#[test]
fn user_and_port_may_stand_beside_the_url() {
    for (more, says) in [
        ("user = \"other\"", "another one than that of `url`"),
        (
            "user = \"-oProxyCommand=x\"",
            "is not one that ssh could take",
        ),
        ("port = 23", "another one than that of `url`"),
        ("port = 0", "from 1 to 65535"),
        ("port = \"22\"", "from 1 to 65535"),
    ] {
        let machine = machine(&format!("url = \"sftp://bak@host:22/x\"\n{more}"), 1);
        machine.run(&["validate"]).exits(2).says(says);
    }
    let same = machine(
        "url = \"sftp://bak@host:22/x\"\nuser = \"bak\"\nport = 22",
        1,
    );
    same.run(&["validate"]).exits(0);
    let Some(place) = Sshd::start() else { return };
    let full = place.destination();
    let (user, port) = (place.user(), place.port());
    let bare = full
        .replace(&format!("{user}@"), "")
        .replace(&format!(":{port}"), "");
    let machine = machine(&format!("{bare}\nuser = \"{user}\"\nport = {port}"), 1);
    machine.run(&["export", "@store"]).exits(0);
}

#[test]
fn the_folder_that_cannot_be_made_and_where_logins_begin_are_named() {
    let place = Sshd::start_as(|folder| {
        let usual = Shape::usual(folder);
        Shape {
            subsystem: format!("{} -P mkdir", usual.subsystem),
            ..usual
        }
    });
    let Some(place) = place else { return };
    let (user, port) = (place.user(), place.port());
    let address = format!("sftp://{user}@127.0.0.1:{port}/volume1-{port}/homes/bak/arch");
    let address = Address::parse(&address).expect("a place");
    let store = hookshot::store::open(&address, &place.options(""), &Environment::default(), on());
    let Failure { message, hint, .. } = failure(export(&*store.expect("a store"), "one", b"1"));
    let says =
        format!("the folder /volume1-{port} cannot be made: the server says no: permission denied");
    assert!(message.contains(&says), "{message}");
    let (hint, home) = (hint.expect("a hint"), place.files().display().to_string());
    assert!(hint.contains("`~/`") && hint.contains(&home), "{hint}");
    assert!(!Path::new(&format!("/volume1-{port}")).exists());
}

#[test]
fn a_login_shell_that_prints_is_told() {
    for (script, printed) in [
        ("echo 'Welcome to nas!'; exec SERVE", "Welcome to nas!"),
        ("printf x; exec SERVE", "x"),
        (
            "echo This account is currently not available.; exit 1",
            "This account is currently not available.",
        ),
    ] {
        let Some(place) = Sshd::start_as(|folder| scripted(folder, script)) else {
            return;
        };
        let begun = Instant::now();
        let Failure { message, hint, .. } = failure(direct(&place, "").find("x"));
        assert!(
            message.contains(&format!("prints \"{printed}")),
            "{message}"
        );
        assert!(hint.expect("a hint").contains(".bashrc"));
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn what_a_login_shell_says_on_standard_error_does_no_harm() {
    let script = "echo 'Welcome to nas!' >&2; exec SERVE";
    let Some(place) = Sshd::start_as(|folder| scripted(folder, script)) else {
        return;
    };
    export(&*direct(&place, ""), "one", b"1").expect("proven");
}

#[test]
fn a_changed_host_key_is_told_by_what_it_means() {
    let Some(place) = Sshd::start() else { return };
    let other = place.folder().join("other_hosts");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(place.folder().join("other_key"))
        .status();
    assert!(made.expect("ssh-keygen").success());
    let key = fs::read_to_string(place.folder().join("other_key.pub")).expect("a key");
    fs::write(&other, format!("[127.0.0.1]:{} {key}", place.port())).expect("written");
    let change = |options: &mut Options| sftp(options).known_hosts_file = Some(other.clone());
    let Failure { message, hint, .. } = failure(opened(&place, "", "", change, on()).find("x"));
    assert!(
        message.contains("no connection: the server's key is not the one that is known: "),
        "{message}"
    );
    assert!(
        message.contains("SHA256:") && message.contains("other_hosts:1"),
        "{message}"
    );
    assert!(hint.expect("a hint").contains("ask the server's owner"));
}

#[test]
fn a_full_disk_is_told_and_nothing_stays() {
    if !is_root("a mount") {
        return;
    }
    let Some(place) = Sshd::start() else { return };
    let folder = place.files().join("archives");
    fs::create_dir_all(&folder).expect("a folder");
    let _mounted = Mounted::tmpfs(&folder, "16k");
    // It may be compressed, for all that is known before.
    let run = machine(&place.destination(), 1 << 20).run(&["export", "@store"]);
    run.exits(18)
        .says("the server's disk is full")
        .says("free some space");
    assert_eq!(place.everything(), [""; 0]);
    // It may not.
    let run = machine(&place.destination(), 20 << 20).run(&["export", "@store"]);
    run.exits(18)
        .says("has no room for the archive")
        .says("nothing was sent");
    // A size that is known.
    let store = direct(&place, "");
    require_room(&*store, 4096).expect("room");
    let refused = failure(require_room(&*store, 1 << 20));
    assert_eq!(refused.kind, Kind::Space);
    fs::write(folder.join("all"), [0; 16 << 10]).expect("written");
    machine(&place.destination(), 1)
        .run(&["check", "@store"])
        .exits(18);
    assert_eq!(place.everything(), ["all"]);
}

/// Checks the duties of a store of archives, without anything that the protocol leaves open.
fn goes_through_a_life(store: &dyn Store) {
    let sent = bytes(3 << 20, 1);
    export(store, "one", &sent).expect("proven");
    assert_eq!(
        failure(export(store, "one", b"2")).kind,
        Kind::Failed,
        "a name that is taken"
    );
    assert!(content(store, "one").expect("read") == sent);
    assert_eq!(names(store), ["one"]);
    store.remove("one").expect("removed");
    assert_eq!(names(store), [""; 0]);
}

#[test]
fn servers_that_offer_no_extension_hold_archives() {
    let place = Sshd::start_as(|folder| {
        let usual = Shape::usual(folder);
        let refused = "posix-rename,statvfs,fstatvfs,hardlink,fsync,lsetstat,limits,expand-path,copy-data,home-directory,users-groups-by-id,symlink,setstat,fsetstat";
        Shape {
            subsystem: format!("{} -P {refused}", usual.subsystem),
            ..usual
        }
    });
    let Some(place) = place else { return };
    goes_through_a_life(&*direct(&place, ""));
    assert_eq!(direct(&place, "").room().expect("an answer"), None);
    machine(&place.destination(), 1)
        .run(&["check", "@store"])
        .exits(0);
}

#[test]
fn a_server_that_shows_one_folder_alone_holds_archives() {
    if !is_root("a folder that only root can write to") {
        return;
    }
    // sshd wants every folder above it to be root's alone.
    let root = tempfile::Builder::new()
        .prefix("hookshot-")
        .tempdir_in("/run");
    let root = root.expect("a folder");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::create_dir(root.path().join("files")).expect("a folder");
    let place = Sshd::start_as(|folder| Shape {
        subsystem: "internal-sftp -d /files".to_owned(),
        more: format!(
            "ChrootDirectory {}\nForceCommand internal-sftp -d /files",
            root.path().display()
        ),
        ..Shape::usual(folder)
    });
    let Some(place) = place else { return };
    goes_through_a_life(&*direct(&place, ""));
    machine(&place.destination(), 1)
        .run(&["check", "@store"])
        .exits(0);
    let left = fs::read_dir(root.path().join("files/archives")).expect("a folder");
    assert_eq!(left.count(), 0);
}

/// A server that takes no keys, for root with `PASSWORD`.
fn by_password() -> Option<Sshd> {
    Sshd::start_as(|folder| Shape {
        more: "PermitRootLogin yes\nPubkeyAuthentication no\nPasswordAuthentication yes".to_owned(),
        shadow: Some(format!("root:{CRYPTED}:19000:0:99999:7:::\n")),
        ..Shape::usual(folder)
    })
}

#[test]
fn a_password_opens_a_server_that_takes_no_keys() {
    if !is_root("another /etc/shadow") {
        return;
    }
    let Some(place) = by_password() else {
        return;
    };
    let url = format!(
        "url = \"sftp://127.0.0.1/~/archives\"\nport = {}\nuser = \"root\"\nknown_hosts_file = \"{}\"\nssh_config = \"/dev/null\"",
        place.port(),
        place.known_hosts().display(),
    );
    let with = |password: &str| machine(&format!("{url}\npassword = \"{password}\""), 1);
    let of_file = with("file:password");
    of_file.write("etc/password", format!("{PASSWORD}\n"), 0o600);
    of_file.run(&["check", "@store"]).exits(0);
    of_file.run(&["export", "@store"]).exits(0);
    of_file.run(&["verify", "@store/latest"]).exits(0);

    let of_variable = with("env:NAS_PASSWORD");
    let mut command = of_variable.command();
    command
        .args(["list", "@store"])
        .env("NAS_PASSWORD", PASSWORD);
    let listed = support::finish(command, b"").exits(0);
    assert!(listed.text().contains("big-"), "{}", listed.text());

    let begun = Instant::now();
    let wrong = with("file:password");
    wrong.write("etc/password", "hunter2", 0o600);
    let run = wrong.run(&["list", "@store"]).exits(1);
    let run = run
        .says("Permission denied")
        .says("look at `user` and `password`");
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let without = machine(&url, 1).run(&["list", "@store"]).exits(1);
    without.says("Permission denied").says("set `password`");
    // Whether a server is known is not for the password to say.
    let unknown = with("file:password");
    unknown.write("etc/password", PASSWORD, 0o600);
    let text = String::from_utf8(unknown.read("etc/config.toml")).expect("text");
    let text = text.replace(&place.known_hosts().display().to_string(), "/dev/null");
    unknown.write("etc/config.toml", text, 0o600);
    let run = unknown.run(&["list", "@store"]).exits(1);
    run.says("Host key verification failed");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_password_is_in_no_argument_and_no_variable_while_ssh_runs() {
    if !is_root("another /etc/shadow") {
        return;
    }
    let Some(place) = by_password() else {
        return;
    };
    let destination = format!(
        "url = \"sftp://root@127.0.0.1:{}/~/archives\"\nknown_hosts_file = \"{}\"\nssh_config = \"/dev/null\"\n\
         password = \"file:password\"\nbandwidth_limit = \"1 MB\"",
        place.port(),
        place.known_hosts().display(),
    );
    let machine = machine(&destination, 2_000_000);
    machine.write("etc/password", PASSWORD, 0o600);
    let mut command = machine.command();
    let mut child = command
        .args(["export", "@store"])
        .spawn()
        .expect("hookshot");
    let (mut seen, mut shown) = (0, Vec::new());
    while child.try_wait().expect("a child").is_none() {
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
            let (words, variables) = (read("cmdline"), read("environ"));
            // Another test says it in a variable of its own.
            if variables.windows(12).any(|part| part == b"NAS_PASSWORD") {
                continue;
            }
            seen += usize::from(words.starts_with(b"ssh\0"));
            for (what, text) in [("cmdline", words), ("environ", variables)] {
                let has = text
                    .windows(PASSWORD.len())
                    .any(|part| part == PASSWORD.as_bytes());
                if has {
                    shown.push(format!("{} {what}", entry.path().display()));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().expect("its end").success());
    assert!(seen > 0, "no ssh was seen");
    assert_eq!(shown, [""; 0]);
    let left = fs::read_dir(machine.path("tmp")).expect("a folder").count();
    assert_eq!(left, 0, "a file stays");
}
