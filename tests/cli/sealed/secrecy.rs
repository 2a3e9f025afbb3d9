//! Private keys and passphrases are seen nowhere: not in what a verb prints, not in what it leaves, not in a core dump.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use hookshot::crypt::{ExposeSecret as _, generate};
use nix::sys::signal::Signal;
use support::{program, signals};

use super::Sealing;

const PASSPHRASE: &str = "tanager-obelisk-quarry-7";
const TOKEN: &str = "tk_9ffa61d2c4";
const VAULT: &str = "marmot-lattice-53";

/// The machine, and the texts that must not be seen.
struct Guarded {
    sealing: Sealing,
    secrets: Vec<String>,
}

impl Guarded {
    /// A machine with an identity, a passphrase, a token, and an archive of each kind.
    fn new() -> Guarded {
        let sealing = Sealing::new();
        let other = generate();
        sealing.machine.write(
            "two.key",
            format!("{}{}", &*sealing.pair.file("now"), &*other.file("now")),
            0o600,
        );
        sealing.machine.write("phrase", PASSPHRASE, 0o600);
        sealing.machine.write("token", TOKEN, 0o600);
        sealing.machine.write("vault.key", VAULT, 0o600);
        let place = |name: &str| sealing.path(name);
        let (keyed, locked, token) = (place("keyed"), place("locked"), place("token"));
        sealing.configure(&format!(
            "identity_file = \"{}\"\n[backup]\nto = [\"keyed\", \"locked\"]\n\
            [backup.destinations.keyed]\nurl = \"{keyed}\"\n[backup.destinations.locked]\nurl = \"{locked}\"\n\
            [backup.destinations.locked.encryption]\npassphrase = \"file:{}\"\n\
            [backup.destinations.vault]\nurl = \"restic:{}\"\npassword = \"file:{}\"\n\
            [[backup.hooks]]\nstage = \"before\"\nrun = \"echo the phrase is; cat {}\"\n\
            [[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"http://127.0.0.1:9/topic\"\ntoken = \"file:{token}\"\n",
            place("two.key"),
            place("phrase"),
            place("vault"),
            place("vault.key"),
            place("phrase"),
        ));
        let secrets = [
            sealing.pair.secret.expose_secret(),
            other.secret.expose_secret(),
        ];
        // A part of a key is as good as a key.
        let mut secrets: Vec<String> = secrets.iter().map(|key| key[20..60].to_owned()).collect();
        secrets.extend([PASSPHRASE, TOKEN, VAULT].map(str::to_owned));
        Guarded { sealing, secrets }
    }

    #[track_caller]
    fn require_unseen(&self, what: &str, text: &str) {
        let text = text.to_ascii_lowercase();
        for secret in &self.secrets {
            let is_seen = text.contains(&secret.to_ascii_lowercase());
            assert!(!is_seen, "{what} shows a secret: {text}");
        }
    }

    /// Runs the verbs of the server.
    #[cfg(feature = "serve")]
    fn run_server(&self, phrase: &str) {
        let user = ["serve", "user", "add", "anna", "--password-file", phrase];
        self.run(&user, &[0, 2]);
        self.run(&["serve", "user", "list"], &[0]);
        self.run(&["serve"], &[2]);
    }

    fn run(&self, arguments: &[&str], codes: &[i32]) {
        const ALL: [&[&str]; 4] = [
            &["--json", "-vv"],
            &[],
            &["-vv"],
            &["--log-format", "json", "-v"],
        ];
        // A passphrase takes seconds each time.
        let is_slow = |word: &&str| {
            ["export", "backup", "@locked", "@vault"].contains(word) || word.starts_with("@locked/")
        };
        let modes = match arguments.iter().any(is_slow) {
            true => &ALL[..1],
            false => &ALL[..],
        };
        for &more in modes {
            let all: Vec<&str> = arguments.iter().chain(more).copied().collect();
            let run = self.sealing.machine.run(&all);
            let what = format!("{all:?}");
            self.require_unseen(&what, &format!("{}{}", run.text(), run.stderr));
            assert!(
                codes.contains(&run.code),
                "{what}: {}\n{}\n{}",
                run.code,
                run.text(),
                run.stderr
            );
        }
    }

    /// Inspects every file of the machine but those that hold a secret on purpose.
    fn require_clean(&self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.require_clean(&path);
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if ["two.key", "key.txt", "phrase", "token", "vault.key"].contains(&&*name) {
                continue;
            }
            let bytes = fs::read(&path).expect("a file");
            let text = String::from_utf8_lossy(&bytes);
            self.require_unseen(&path.display().to_string(), &text);
            let name = path.as_os_str().to_string_lossy();
            self.require_unseen("a name", &name);
        }
    }
}

/// The newest archive of a destination.
fn newest(folder: &Path) -> String {
    let names = fs::read_dir(folder).expect("a folder").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let archives = names.filter(|name| name.ends_with(".age"));
    archives.max().expect("an archive")
}

#[test]
fn no_verb_shows_or_stores_a_private_key_or_a_passphrase() {
    let guarded = Guarded::new();
    let sealing = &guarded.sealing;
    // The server of the notifications does not answer, and the hook prints the passphrase.
    guarded.run(&["export"], &[0, 3]);
    guarded.run(&["backup"], &[0, 3]);
    let keyed = format!("@keyed/{}", newest(&sealing.machine.path("keyed")));
    let locked = format!("@locked/{}", newest(&sealing.machine.path("locked")));
    let taken = sealing.path("taken");
    let copies = sealing.path("copies/");
    let root = sealing.path("root");
    for archive in [keyed.as_str(), &locked] {
        guarded.run(&["verify", "--deep", archive], &[0, 3]);
        guarded.run(&["inspect", archive], &[0]);
        guarded.run(&["diff", archive], &[0, 1, 3]);
        guarded.run(&["key", "test", archive], &[0]);
        guarded.run(&["import", archive, "--root", &root], &[0, 3]);
        guarded.run(&["import", archive, "--dry-run"], &[0, 3, 11]);
        guarded.run(&["import", archive], &[0, 3]);
        // A second extraction finds the first.
        guarded.run(
            &["extract", archive, "config.toml", "-o", &taken],
            &[0, 2, 3],
        );
        guarded.run(&["copy", archive, &copies], &[0, 2, 3]);
    }
    let tar = sealing.path("out/other.tar");
    let config = sealing.machine.path("etc");
    let packed = Command::new("tar")
        .args(["-cf", &tar, "-C"])
        .arg(config)
        .arg("config.toml")
        .status();
    assert!(packed.expect("tar").success());
    guarded.run(&["convert", "--from", "tar", &tar, &copies], &[0]);
    guarded.run(&["repo", "init", "@vault"], &[0, 2]);
    guarded.run(&["repo", "check", "@vault"], &[0]);
    guarded.run(&["repo", "stats", "@vault"], &[0]);
    let phrase = guarded.sealing.path("phrase");
    let add = ["repo", "key", "add", "@vault", "--password-file", &phrase];
    guarded.run(&add, &[0, 2]);
    guarded.run(&["repo", "key", "list", "@vault"], &[0]);
    guarded.run(&["repo", "key", "remove", "0", "@vault"], &[0, 2, 10]);
    guarded.run(&["repo", "upgrade", "@vault"], &[0]);
    guarded.run(&["repo", "unlock", "@vault"], &[0]);
    guarded.run(&["rollback"], &[0, 10, 3]);
    guarded.run(&["keep", &keyed], &[0]);
    guarded.run(&["keep", &keyed, "--remove"], &[0]);
    let (own, added) = (sealing.path("key.txt"), generate().public);
    let rekey = ["rekey", "@keyed", "--identity", &own, "--add", &added];
    guarded.run(&[&rekey[..], &["--dry-run"]].concat(), &[0, 3]);
    guarded.run(&[&rekey[..], &["--yes"]].concat(), &[0, 3]);
    let keyed = format!("@keyed/{}", newest(&sealing.machine.path("keyed")));
    guarded.run(&["delete", &locked], &[0, 2, 3, 10, 11]);
    guarded.run(&["prune", "--keep-last", "1", "--dry-run"], &[0, 2, 3]);
    #[cfg(feature = "serve")]
    guarded.run_server(&phrase);
    let show = sealing.path("two.key");
    for (arguments, codes) in [
        (&["check"][..], &[0, 3][..]),
        (&["list", "@keyed"], &[0]),
        (&["list", "@locked"], &[0]),
        (&["status"], &[0, 19]),
        (&["stats"], &[0]),
        (&["history"], &[0]),
        (&["notify", "--test"], &[0, 1, 3]),
        (&["schedule"], &[0, 2, 10]),
        (&["timer", "show", "--user"], &[0, 1, 2, 3, 10]),
        (&["validate"], &[0, 3]),
        (&["validate", "--show"], &[0, 3]),
        (&["init"], &[2]),
        (&["version"], &[0]),
        (&["completions", "bash"], &[0]),
        (&["man"], &[0, 2]),
        (&["key", "show", &show], &[0]),
        (&["key", "export", "--paper"], &[0]),
        (&["drill", &keyed], &[0, 1, 3]),
        (&["protect", "--", "true"], &[0, 1, 2, 3, 11]),
    ] {
        guarded.run(arguments, codes);
    }
    // Failures that have a key at hand.
    let (own, others) = (sealing.path("two.key"), sealing.path("other.key"));
    let other = generate().file("now");
    sealing.machine.write("other.key", other.as_bytes(), 0o600);
    guarded.run(&["verify", &keyed, "--identity", &others], &[12]);
    let damaged = sealing.path("out/damaged.tar.gz.age");
    fs::write(&damaged, b"age-encryption.org/v1\n-> X25519 x\n").expect("written");
    guarded.run(&["verify", &damaged, "--identity", &own], &[13]);
    let text = fs::read_to_string(&own)
        .expect("a file")
        .replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1x");
    sealing.machine.write("two.key", text, 0o600);
    guarded.run(&["verify", &keyed], &[12]);
    guarded.run(&["key", "show", &own], &[12]);
    fs::set_permissions(
        sealing.machine.path("phrase"),
        fs::Permissions::from_mode(0o644),
    )
    .expect("a mode");
    guarded.run(&["export"], &[1, 2, 3, 12]);
    guarded.require_clean(&sealing.machine.path(""));
    // A new verb must be in this test.
    let known = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/sealed/secrecy.rs"),
    );
    let known = known.expect("this file");
    let command = hookshot::cli::command();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let missing: BTreeSet<&str> = verbs
        .map(|verb| verb.get_name())
        // One has a state of its own, the other starts these verbs.
        .filter(|name| !["agent", "demo", "help"].contains(name))
        .filter(|name| !known.contains(&format!("[\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_core_dump_is_made_while_a_key_is_held() {
    let sealing = Sealing::new();
    let sealed = fs::read(sealing.export("a.tar.gz.age")).expect("an archive");
    // A run that has no key leaves a core dump, if this machine makes any.
    let plain = sealing.machine.export("a.tar.gz");
    let plain = fs::read(plain).expect("an archive");
    if !is_dumped(&sealing, &plain) {
        eprintln!("left out: this machine makes no core dumps");
        return;
    }
    assert!(!is_dumped(&sealing, &sealed));
}

/// Ends a run that has read the beginning of an archive; returns true if that leaves a core dump.
fn is_dumped(sealing: &Sealing, archive: &[u8]) -> bool {
    let ready = sealing.machine.path("ready");
    let _ = fs::remove_file(&ready);
    nix::unistd::mkfifo(&ready, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // The key comes from a command, which tells that it was asked.
    sealing.machine.write(
        "etc/config.toml",
        sealing.machine.config_text(&format!(
            "[backup.encryption]\nidentity_file = \"command:cat {}; echo > {}\"\n",
            sealing.path("key.txt"),
            ready.display()
        )),
        0o600,
    );
    let mut child = Command::new("prlimit")
        .arg("--core=unlimited:unlimited")
        .arg(program())
        .arg("--config")
        .arg(sealing.machine.path("etc/config.toml"))
        .args(["verify", "-"])
        .env("TMPDIR", sealing.machine.path("tmp"))
        .current_dir(sealing.machine.path("out"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prlimit");
    let mut stdin = child.stdin.take().expect("a pipe");
    let half = archive.len() / 2;
    stdin.write_all(&archive[..half]).expect("written");
    if archive.starts_with(b"age") {
        let mut told = String::new();
        let mut fifo = fs::File::open(&ready).expect("a fifo");
        fifo.read_to_string(&mut told).expect("told");
    }
    // Before that it is prlimit, without the limit perhaps.
    let exe = format!("/proc/{}/exe", child.id());
    let started = program().canonicalize().expect("the program");
    while fs::read_link(&exe).expect("a process") != started {
        thread::yield_now();
    }
    signals::send(Signal::SIGABRT, &child);
    child.wait().expect("an end").core_dumped()
}
