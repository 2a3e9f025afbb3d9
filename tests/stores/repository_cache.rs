//! Copies of the indexes and records of a repository: what they spare, and that nothing depends on them.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use hookshot::model::digest::Digest;
use support::{
    Machine, Mounted, finish, is_root,
    servers::{Faults, S3},
    vaults::{self, all_verify, copy_folder, files_below, machine_at, names, with_states_at_s3},
};

/// The requests for the content of each file of a kind, from the request with this number on.
fn gets(faults: &Faults, from: usize, folder: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let below = format!("/vault/{folder}/");
    for seen in &faults.seen()[from..] {
        let [method, target, _] = &seen.head.line;
        if let Some((_, name)) = target.split_once(&below)
            && method == "GET"
        {
            let name = name.split('?').next().expect("a name");
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// The names of the files of a kind, each asked for once.
fn each_once(s3: &S3, folder: &str) -> BTreeMap<String, usize> {
    let files = files_below(&s3.file("vault").join(folder));
    let name = |file: &PathBuf| file.file_name()?.to_str().map(str::to_owned);
    files
        .iter()
        .filter_map(name)
        .map(|name| (name, 1))
        .collect()
}

/// The folder of the copies of the only repository below `cache`.
fn copies_in(cache: &Path) -> PathBuf {
    let mut folders = fs::read_dir(cache).expect("a cache");
    let folder = folders.next().expect("a repository").expect("an entry");
    assert!(folders.next().is_none());
    folder.path()
}

fn copies(machine: &Machine) -> PathBuf {
    copies_in(&machine.path("cache/hookshot"))
}

/// The copies of indexes and records.
fn copied(machine: &Machine) -> Vec<PathBuf> {
    let folder = copies(machine);
    let mut files = files_below(&folder.join("index"));
    files.extend(files_below(&folder.join("snapshots")));
    files
}

fn is_whole(copy: &Path) -> bool {
    let name = copy.file_name().expect("a name").to_string_lossy();
    let is_file = copy.symlink_metadata().is_ok_and(|found| found.is_file());
    is_file && Digest::of(&fs::read(copy).expect("a copy")).to_string() == name
}

#[test]
fn an_export_asks_for_no_index_that_it_has_a_copy_of() {
    let (s3, faults, machine) = with_states_at_s3(3);
    let begin = faults.seen().len();
    machine.run(&["export", "@vault"]).exits(0);
    assert_eq!(gets(&faults, begin, "index"), BTreeMap::new());
    assert_eq!(gets(&faults, begin, "snapshots"), BTreeMap::new());
    for verb in [
        &["list", "@vault"][..],
        &["inspect", "@vault/latest"],
        &["status", "@vault"],
    ] {
        let begin = faults.seen().len();
        machine.run(verb).exits(0);
        assert_eq!(gets(&faults, begin, "index"), BTreeMap::new(), "{verb:?}");
        assert_eq!(
            gets(&faults, begin, "snapshots"),
            BTreeMap::new(),
            "{verb:?}"
        );
    }
    // A machine without copies asks for each once, and from then on for none.
    let (indexes, records) = (each_once(&s3, "index"), each_once(&s3, "snapshots"));
    fs::remove_dir_all(machine.path("cache")).expect("removed");
    let begin = faults.seen().len();
    machine.run(&["export", "@vault"]).exits(0);
    assert_eq!(gets(&faults, begin, "index"), indexes);
    assert_eq!(gets(&faults, begin, "snapshots"), records);
    let begin = faults.seen().len();
    machine.run(&["export", "@vault"]).exits(0);
    assert_eq!(gets(&faults, begin, "index"), BTreeMap::new());
    all_verify(&machine);
}

#[test]
fn without_copies_an_export_asks_for_each_index_once() {
    let (s3, faults, machine) = with_states_at_s3(3);
    copy_folder(&machine.path("cache"), &machine.path("before"));
    let (indexes, records) = (each_once(&s3, "index"), each_once(&s3, "snapshots"));
    let begin = faults.seen().len();
    machine.run(&["--no-cache", "export", "@vault"]).exits(0);
    assert_eq!(gets(&faults, begin, "index"), indexes);
    let mut asked = gets(&faults, begin, "snapshots");
    asked.retain(|name, _| records.contains_key(name));
    assert_eq!(asked, records);
    // Nothing was written either.
    let files = files_below(&machine.path("cache"));
    assert_eq!(files.len(), files_below(&machine.path("before")).len());
    fs::remove_dir_all(machine.path("cache")).expect("removed");
    let mut command = machine.command();
    command
        .args(["list", "@vault"])
        .env("HOOKSHOT_NO_CACHE", "1");
    finish(command, b"").exits(0);
    assert!(!machine.path("cache").exists());
}

/// Verbs that read a repository. The last one reads every copy.
const READING: [&[&str]; 7] = [
    &["list", "@vault", "--json"],
    &["inspect", "@vault/latest", "--json"],
    &["repo", "stats", "@vault"],
    &["verify", "@vault/latest"],
    &["diff", "@vault/latest"],
    &["repo", "check", "@vault"],
    &["extract", "@vault/latest", "secrets", "-o", "-"],
];

/// Returns the answer of a verb, without the age of a state: it grows meanwhile.
fn answer(machine: &Machine, verb: &[&str]) -> (i32, String) {
    let run = machine.run(verb);
    let text = run.text();
    let lines = text.lines().filter(|line| !line.contains("age_seconds"));
    (run.code, lines.collect::<Vec<_>>().join("\n"))
}

/// Something that happens to a copy.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn a_damaged_copy_changes_nothing_and_is_made_anew() {
    let (_s3, _faults, machine) = with_states_at_s3(2);
    let before = READING.map(|verb| answer(&machine, verb));
    let all = copied(&machine);
    assert!(all.len() >= 4 && all.iter().all(|copy| is_whole(copy)));
    let flip = |copy: &Path| {
        let mut bytes = fs::read(copy).expect("a copy");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(copy, bytes).expect("written");
    };
    let cut = |copy: &Path| {
        let bytes = fs::read(copy).expect("a copy");
        fs::write(copy, &bytes[..bytes.len() / 2]).expect("written");
    };
    let lengthen = |copy: &Path| {
        let bytes = fs::read(copy).expect("a copy");
        fs::write(copy, [&bytes[..], b"x"].concat()).expect("written");
    };
    let empty = |copy: &Path| fs::write(copy, "").expect("written");
    let link = |copy: &Path| {
        let elsewhere = copy.with_file_name("elsewhere");
        fs::rename(copy, &elsewhere).expect("moved");
        symlink(elsewhere, copy).expect("a link");
    };
    let fifo = |copy: &Path| {
        fs::remove_file(copy).expect("removed");
        let path = CString::new(copy.as_os_str().as_bytes()).expect("a path");
        nix::unistd::mkfifo(&*path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    };
    let other = |copy: &Path| {
        // One that is whole, under another name.
        let wrong = all.iter().find(|other| *other != copy && is_whole(other));
        fs::copy(wrong.expect("another"), copy).expect("copied");
    };
    let damages: [(&str, Damage<'_>); 7] = [
        ("flip", &flip),
        ("cut", &cut),
        ("lengthen", &lengthen),
        ("empty", &empty),
        ("link", &link),
        ("fifo", &fifo),
        ("other", &other),
    ];
    // The first verb that reads a copy makes it anew, so each verb is the first one after one of the damages.
    let last = READING.len() - 1;
    for (number, (what, damage)) in damages.into_iter().enumerate() {
        match what {
            "other" => damage(&all[0]),
            _ => all.iter().for_each(|copy| damage(copy)),
        }
        assert!(all.iter().any(|copy| !is_whole(copy)), "{what}");
        for place in [number, last] {
            let found = answer(&machine, READING[place]);
            assert_eq!(found, before[place], "{what}: {:?}", READING[place]);
        }
        for copy in &all {
            assert!(is_whole(copy), "{what}: {}", copy.display());
        }
        assert_eq!(copied(&machine), all, "{what}");
    }
}

#[test]
fn damage_in_the_store_is_found_although_there_is_a_copy() {
    let (s3, _faults, machine) = with_states_at_s3(1);
    machine.write("etc/secrets", "now", 0o600);
    let before = machine.targets();
    for folder in ["index", "snapshots"] {
        let file = files_below(&s3.file("vault").join(folder)).remove(0);
        let good = fs::read(&file).expect("an object");
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        fs::write(&file, flipped).expect("written");
        for verb in [
            &["verify", "@vault/latest"][..],
            &["import", "@vault/latest"],
            &["repo", "check", "@vault"],
            &["check", "@vault"],
        ] {
            let run = machine.run(verb);
            assert_eq!(
                run.code,
                13,
                "{folder} {verb:?}: {}{}",
                run.text(),
                run.stderr
            );
        }
        assert_eq!(machine.targets(), before);
        // The size is listed: what reads no whole state sees that much.
        fs::write(&file, &good[..good.len() / 2]).expect("written");
        let run = machine.run(&["inspect", "@vault/latest"]);
        assert_eq!(run.code, 13, "{folder}: {}", run.stderr);
        fs::write(&file, good).expect("written");
        machine.run(&["verify", "@vault/latest"]).exits(0);
    }
}

#[test]
fn no_state_is_removed_in_favour_of_one_that_only_a_copy_holds() {
    let (s3, _faults, machine) = with_states_at_s3(3);
    let before = files_below(&s3.file("vault/snapshots"));
    assert_eq!(before.len(), 3);
    // The newest record is written last.
    let newest = before
        .iter()
        .max_by_key(|file| fs::metadata(file).and_then(|known| known.modified()).ok())
        .expect("a record");
    let mut flipped = fs::read(newest).expect("an object");
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(newest, flipped).expect("written");
    machine.run(&["prune", "@vault", "--keep-last", "1", "--yes"]);
    let after = files_below(&s3.file("vault/snapshots"));
    // A good one stays, too.
    assert!(
        after.iter().any(|file| file != newest),
        "{before:?} {after:?}"
    );
    let said = machine.run(&["verify", "@vault"]).text();
    assert!(said.contains(": good"), "{said}");
}

/// Runs the verbs of a night, and fails the test if one of them says a word about copies.
fn works(machine: &Machine, case: &str) {
    for verb in [
        &["export", "@vault"][..],
        &["list", "@vault"],
        &["verify", "@vault/latest"],
    ] {
        let run = machine.run(verb);
        assert_eq!(run.code, 0, "{case}: {}", run.stderr);
        assert!(
            !run.stderr.to_lowercase().contains("cop"),
            "{case}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_cache_that_cannot_be_used_changes_nothing() {
    let (_s3, _faults, machine) = with_states_at_s3(1);
    let cache = machine.path("cache");
    fs::remove_dir_all(&cache).expect("removed");
    fs::write(&cache, "a file").expect("written");
    works(&machine, "a file");
    fs::remove_file(&cache).expect("removed");
    symlink("/nowhere/at/all", &cache).expect("a link");
    works(&machine, "a link to nothing");
    fs::remove_file(&cache).expect("removed");
    // A link in place of the repository's folder.
    machine.run(&["export", "@vault"]).exits(0);
    let (folder, elsewhere) = (copies(&machine), machine.path("elsewhere"));
    fs::rename(&folder, &elsewhere).expect("moved");
    for kind in ["index", "snapshots"] {
        fs::remove_dir_all(elsewhere.join(kind)).expect("removed");
    }
    symlink(&elsewhere, &folder).expect("a link");
    works(&machine, "a link");
    assert!(!elsewhere.join("index").exists());
    fs::remove_file(&folder).expect("removed");
    if !is_root("other users and file systems") {
        return;
    }
    let stranger = Some(nix::unistd::Uid::from_raw(12345));
    machine.run(&["export", "@vault"]).exits(0);
    nix::unistd::chown(&folder, stranger, None).expect("given away");
    for kind in ["index", "snapshots"] {
        fs::remove_dir_all(folder.join(kind)).expect("removed");
    }
    works(&machine, "another user's");
    assert!(!folder.join("index").exists());
    fs::remove_dir_all(&cache).expect("removed");
    fs::create_dir(&cache).expect("made");
    nix::unistd::chown(&cache, stranger, None).expect("given away");
    works(&machine, "in another user's");
    assert!(!cache.join("hookshot").exists());
    fs::remove_dir(&cache).expect("removed");
    fs::create_dir(&cache).expect("made");
    for size in ["4k", "16k", "32k"] {
        let _mounted = Mounted::tmpfs(&cache, size);
        works(&machine, size);
        for file in files_below(&cache) {
            let is_tag = file.ends_with("CACHEDIR.TAG");
            assert!(is_tag || is_whole(&file), "{size}: {}", file.display());
        }
    }
    let _mounted = Mounted::tmpfs(&cache, "1m");
    works(&machine, "room");
    let held = copied(&machine);
    let mut command = std::process::Command::new("mount");
    command.args(["-o", "remount,ro"]).arg(&cache);
    finish(command, b"").exits(0);
    works(&machine, "read-only");
    assert_eq!(copied(&machine), held);
}

#[test]
fn copies_are_private_and_those_of_files_that_are_gone_are_removed() {
    let (s3, _faults, machine) = with_states_at_s3(2);
    let cache = machine.path("cache");
    let tag = fs::read_to_string(copies(&machine).join("CACHEDIR.TAG")).expect("a tag");
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    let mut folders = vec![cache.clone()];
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| path.symlink_metadata().expect("it").mode() & 0o7777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => assert_eq!(mode(&entry.path()), 0o600, "{entry:?}"),
            }
        }
    }
    // Nothing in them is readable without the password.
    for file in files_below(&copies(&machine).join("snapshots")) {
        let bytes = fs::read(file).expect("a copy");
        assert!(!bytes.windows(8).any(|part| part == b"hookshot"));
    }
    // Another machine, without these copies, removes a state and prunes.
    let other = machine_at(&s3.endpoint());
    let gone = &names(&machine)[1];
    other
        .run(&["delete", &format!("@vault/{gone}"), "--yes"])
        .exits(0);
    other.run(&["prune", "@vault", "--keep-last", "1"]).exits(0);
    let leftover = copies(&machine).join("index/.part.1");
    fs::write(&leftover, "of a run that was killed").expect("written");
    assert_eq!(all_verify(&machine).len(), 1);
    let names = |files: Vec<PathBuf>| -> Vec<String> {
        let name = |file: &PathBuf| file.file_name().expect("a name").display().to_string();
        files.iter().map(name).collect()
    };
    machine.run(&["inspect", "@vault/latest"]).exits(0);
    for kind in ["index", "snapshots"] {
        let copied = names(files_below(&copies(&machine).join(kind)));
        assert_eq!(copied, names(files_below(&s3.file("vault").join(kind))));
    }
}

#[test]
fn a_repository_that_was_made_anew_has_other_copies() {
    let (s3, _faults, machine) = with_states_at_s3(2);
    let first = copies(&machine);
    fs::remove_dir_all(s3.file("vault")).expect("removed");
    machine.run(&["list", "@vault"]).exits(10);
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    assert_eq!(all_verify(&machine).len(), 1);
    let folders = fs::read_dir(machine.path("cache/hookshot")).expect("a cache");
    let folders: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).collect();
    assert!(
        folders.len() == 2 && folders.contains(&first),
        "{folders:?}"
    );
    // The identifier is that of the repository.
    let stats = machine
        .run(&["repo", "stats", "@vault", "--json"])
        .exits(0)
        .json();
    let id = stats["id"].as_str().expect("an identifier");
    assert!(folders.iter().any(|folder| folder.ends_with(id)), "{stats}");
}

#[test]
fn the_folder_of_copies_is_that_of_configuration_service_or_user() {
    let (_s3, faults, machine) = with_states_at_s3(1);
    let list = |variables: &[(&str, &Path)]| {
        let mut command = machine.command();
        command.args(["list", "@vault"]);
        for name in ["CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        finish(command, b"").exits(0);
    };
    fs::remove_dir_all(machine.path("cache")).expect("removed");
    let [service, user, home] = ["service", "user", "home"].map(|name| machine.path(name));
    let relative = Path::new("relative");
    // Without a folder nothing is kept.
    list(&[]);
    list(&[("HOME", relative), ("XDG_CACHE_HOME", Path::new(""))]);
    assert!(!machine.path("out/relative").exists());
    let all = [
        ("HOME", &*home),
        ("XDG_CACHE_HOME", &user),
        ("CACHE_DIRECTORY", &service),
    ];
    for (count, expected) in [
        (1, home.join(".cache/hookshot")),
        (2, user.join("hookshot")),
        (3, service.clone()),
    ] {
        list(&all[..count]);
        assert!(!files_below(&copies_in(&expected).join("snapshots")).is_empty());
        for folder in [&service, &user, &home] {
            let _ = fs::remove_dir_all(folder);
        }
    }
    let two = format!("{}:/nowhere", service.display());
    list(&[("CACHE_DIRECTORY", Path::new(&two))]);
    assert!(copies_in(&service).exists());
    // A path in the configuration is relative to that.
    let config = fs::read_to_string(machine.path("etc/config.toml")).expect("it");
    machine.write(
        "etc/config.toml",
        format!("{config}cache_dir = \"../copies\"\n"),
        0o600,
    );
    list(&all);
    assert!(copies_in(&machine.path("copies")).exists());
    let begin = faults.seen().len();
    list(&[]);
    assert_eq!(gets(&faults, begin, "snapshots"), BTreeMap::new());
    assert!(!home.exists() && !user.exists());
}

#[test]
fn a_repository_in_a_folder_has_no_copies() {
    let machine = vaults::with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    machine.run(&["list", "@vault"]).exits(0);
    assert!(!machine.path("cache").exists());
    vaults::configure(&machine, &vaults::vault(&machine, "cache_dir = \"x\"\n"));
    let run = machine.run(&["list", "@vault"]).exits(2);
    run.says(
        "`cache_dir` under [backup.destinations.vault] is not needed: a repository in a folder",
    );
}

#[test]
fn runs_at_the_same_time_share_copies() {
    let (_s3, _faults, machine) = with_states_at_s3(2);
    fs::remove_dir_all(machine.path("cache")).expect("removed");
    std::thread::scope(|scope| {
        let machine = &machine;
        for verb in [
            &["list", "@vault"][..],
            &["export", "@vault"],
            &["inspect", "@vault/latest"],
            &["list", "@vault"],
        ] {
            scope.spawn(move || machine.run(verb).exits(0));
        }
    });
    assert_eq!(all_verify(&machine).len(), 3);
    machine.run(&["inspect", "@vault/latest"]).exits(0);
    assert!(copied(&machine).iter().all(|copy| is_whole(copy)));
}
