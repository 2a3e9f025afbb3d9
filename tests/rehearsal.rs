//! A rehearsal says what the import will do: both end with the same exit code, and name the same obstacles, in every
//! situation of the table below. Each is a script in an empty folder, in a mount namespace of its own.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what was left out is said; tests may do what hookshot may not"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

/// A situation: a name, a script that ends in `both import ARCHIVE` or `both rollback`, the exit code of both, and the
/// kinds of what they name.
struct Case(&'static str, &'static str, i32, &'static [&'static str]);

/// `mk NAME KIND PATH...` writes the configuration, `hs` runs hookshot, and `both VERB...` runs it twice.
const PRELUDE: &str = r#"
set -u
mk() { mkdir -p etc; { printf '[backup]\nprefix = "x"\n'; while [ $# -gt 0 ]; do printf '[[backup.sources]]\nname = "%s"\nkind = "%s"\npath = "%s"\n' "$1" "$2" "$PWD/$3"; shift 3; done; } > etc/config.toml; }
hs() { hookshot -q --config "$PWD/etc/config.toml" "$@"; }
both() {
    local verb=$1; shift
    hs --json "$verb" --dry-run "$@" > dry.json 2> dry.err; echo $? > dry.rc
    hs --json "$verb" "$@" > real.json 2> real.err; echo $? > real.rc
}
leave() { echo "$*" > skipped; exit 0; }
tidy() { chattr -R -i -a . 2> /dev/null; for at in $(jobs -p); do kill $at 2> /dev/null; done; }
trap tidy EXIT
export -f hs both
"#;

const CASES: &[Case] = &[
    Case(
        "nothing in the way",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*",
        0,
        &[],
    ),
    Case(
        "nothing to do",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; both import o/*",
        0,
        &[],
    ),
    Case(
        "a bind mount of the same file system below the folder",
        "mkdir -p vol data/media; mk data directory data; mount --bind vol data/media; echo p > data/media/p; echo 1 > data/f
        hs export o/; echo 2 > data/f; both import o/*; [ $(stat -c %i vol) = $(stat -c %i data/media) ] || rm real.rc",
        11,
        &["mount"],
    ),
    Case(
        "another file system below the folder",
        "mkdir -p data/media; mk data directory data; mount -t tmpfs n data/media; echo 1 > data/f
        hs export o/; echo 2 > data/f; both import o/*",
        11,
        &["mount"],
    ),
    Case(
        "a file of the folder that is bound",
        "mkdir data; mk data directory data; echo h > host; echo 1 > data/f; hs export o/; mount --bind host data/f; both import o/*",
        11,
        &["mount"],
    ),
    Case(
        "a mount below the folder that is hidden by another above it",
        "mkdir -p outer/data/sub; mk data directory outer/data; mount -t tmpfs n outer/data/sub; mount -t tmpfs n outer
        mkdir outer/data; echo 1 > outer/data/f; hs export o/; echo 2 > outer/data/f; both import o/*",
        0,
        &[],
    ),
    Case(
        "a mount below a folder with blanks in its name",
        r#"mkdir -p "my data/a b" vol; mk data directory "my data"; mount --bind vol "my data/a b"; echo 1 > "my data/f"
        hs export o/; echo 2 > "my data/f"; both import o/*"#,
        11,
        &["mount"],
    ),
    Case(
        "a folder that is a volume",
        "mkdir -p vol data; mk data directory data; mount --bind vol data; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*
        [ $(cat vol/f vol/.hookshot-bak/f | tr -d '\\n') = 12 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a volume in which something is mounted",
        "mkdir -p vol/in more data; mk data directory data; mount --bind vol data; mount --bind more data/in; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*",
        11,
        &["mount"],
    ),
    Case(
        "a volume in which something is mounted that is excluded",
        "mkdir -p vol/in more data; mk data directory data; echo 'exclude = [\"/in\"]' >> etc/config.toml; mount --bind vol data; mount --bind more data/in
        echo 1 > data/f; echo m > more/m; hs export o/; echo 2 > data/f; both import o/*; [ $(cat data/f data/in/m | tr -d '\\n') = 1m ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an immutable file in a volume",
        "truncate -s 20M image; mkfs.ext4 -q image || leave no ext4; mkdir data; mount -o loop image data || leave no loop device
        mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; chattr +i data/f; both import o/*; chattr -i data/f; umount data",
        11,
        &["target"],
    ),
    Case(
        "a volume of xfs",
        "truncate -s 310M image; mkfs.xfs -q image || leave no xfs; mkdir data; mount -o loop image data || leave no loop device
        mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*; [ $(cat data/f) = 1 ] || rm real.rc; umount data",
        0,
        &[],
    ),
    Case(
        "a container that has mounted a folder in a volume, and one that has mounted the volume",
        "mkdir -p vol/in data c d; mk data directory data; mount --bind vol data; echo 1 > data/in/f; hs export o/; echo 2 > data/in/f
        unshare -m bash -c 'mount --bind data/in c; touch ready; exec sleep 60' & until [ -e ready ]; do sleep 0.05; done
        unshare -m bash -c 'mount --bind data d; touch ready2; exec sleep 60' & until [ -e ready2 ]; do sleep 0.05; done; both import o/*
        [ $(grep -o 'namespace of its own' real.json | wc -l) = 1 ] || rm real.rc",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a file that is bound",
        "mk app.ini file app.ini; touch app.ini host.ini; mount --bind host.ini app.ini; echo 1 > app.ini; hs export o/
        echo 2 > app.ini; both import o/*; [ ! -e app.ini.bak ] || rm real.rc",
        11,
        &["mount"],
    ),
    Case(
        "a file that is bound, and is what the archive has",
        "mk app.ini file app.ini; touch app.ini host.ini; mount --bind host.ini app.ini; echo 1 > app.ini; hs export o/; both import o/*",
        0,
        &[],
    ),
    Case(
        "a database that is bound",
        "mk app.db sqlite app.db; sqlite3 host.db 'create table t(a)'; touch app.db; mount --bind host.db app.db; hs export o/
        sqlite3 app.db 'insert into t values(1)'; both import o/*",
        11,
        &["mount"],
    ),
    Case(
        "a folder of an overlay's lower layer",
        "mkdir -p low/data up work all; echo 1 > low/data/f; mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=off all
        mk data directory all/data; hs export o/; echo 2 > all/data/f; both import o/*; [ -z \"$(find all up -name '*probe*')\" ] || rm real.rc",
        11,
        &["mount"],
    ),
    Case(
        "the same, and the temporary folder is on the overlay too",
        "mkdir -p low/data up work all; echo 1 > low/data/f; mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=off all
        mkdir all/tmp; export TMPDIR=$PWD/all/tmp; mk data directory all/data; hs export o/; echo 2 > all/data/f; both import o/*
        [ -z \"$(ls -A all/tmp)\" ] || rm real.rc",
        11,
        &["mount"],
    ),
    Case(
        "a folder of an overlay's upper layer",
        "mkdir -p low up work all; mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=off all
        mkdir all/data; mk data directory all/data; echo 1 > all/data/f; hs export o/; echo 2 > all/data/f; both import o/*
        [ $(cat all/data/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a lower layer whose folders may be renamed",
        "mkdir -p low/data up work all; echo 1 > low/data/f; mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=on all || leave no redirect_dir
        mk data directory all/data; hs export o/; echo 2 > all/data/f; both import o/*; [ $(cat all/data/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "files of a lower layer",
        "mkdir -p low up work all; echo 1 > low/f; mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,redirect_dir=off all
        mk f file all/f; hs export o/; echo 2 > all/f; both import o/*; [ $(cat all/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "subvolumes are no mounts",
        "truncate -s 200M image; mkfs.btrfs -q image || leave no btrfs; mkdir disk; mount -o loop image disk || leave no loop device
        btrfs -q subvolume create disk/data > /dev/null && btrfs -q subvolume create disk/data/sub > /dev/null || leave no btrfs
        mk data directory disk/data; echo 1 > disk/data/f; echo s > disk/data/sub/s; hs export o/; echo 2 > disk/data/f; both import o/*
        [ $(cat disk/data/f disk/data/sub/s | tr -d '\\n') = 1s ] || rm real.rc; umount disk",
        0,
        &[],
    ),
    Case(
        "a file without permission to change it",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; chattr +i f 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "a file that only grows",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; chattr +a f 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "an immutable folder",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f
        chattr +i data 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "an immutable file in a folder, which moves along",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f
        chattr +i data/f 2> /dev/null || leave no attributes here; both import o/*",
        0,
        &[],
    ),
    Case(
        "an append-only folder above",
        "mkdir -p up/data; mk data directory up/data; echo 1 > up/data/f; hs export o/; echo 2 > up/data/f
        chattr +a up 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "an immutable file in the backup of the last import",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; echo 3 > data/f
        chattr +i data.bak/f 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "an immutable backup of the last import",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; hs import o/*; echo 3 > f
        chattr +i f.bak 2> /dev/null || leave no attributes here; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "a volume mounted in the backup of the last import",
        "mkdir data vol; echo v > vol/v; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; echo 3 > data/f
        mkdir data.bak/v; mount --bind vol data.bak/v; both import o/*; [ -e vol/v ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a folder above that is mounted read-only",
        "mkdir -p up/data; mk data directory up/data; echo 1 > up/data/f; hs export o/; echo 2 > up/data/f
        mount --bind up up; mount -o remount,bind,ro up; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "a read-only folder of the configuration",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f
        mount --bind etc etc; mount -o remount,bind,ro etc; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "a read-only folder above a target that is not there",
        "mkdir -p up/deep; mk f file up/deep/f; echo 1 > up/deep/f; hs export o/; rm -r up/deep
        mount --bind up up; mount -o remount,bind,ro up; both import o/*",
        11,
        &["target"],
    ),
    Case(
        "a file where a folder must be",
        "mkdir up; mk f file up/f; echo 1 > up/f; hs export o/; rm -r up; echo x > up; both import o/*",
        1,
        &["failed"],
    ),
    Case(
        "a user who may not write in the folder",
        "mkdir up; mk f file up/f; echo 1 > up/f; chmod 755 . up; chmod 777 . ; hs export o/; echo 2 > up/f; chmod 755 o; chmod 644 o/* up/f; chown -R 1234 etc
        export -f both hs; setpriv --reuid 1234 --regid 1234 --clear-groups bash -c 'both import o/*'",
        11,
        &["owner", "target"],
    ),
    Case(
        "a container that has mounted the folder and nothing open in it",
        "mkdir data c; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f
        unshare -m bash -c 'mount --bind data c; touch ready; exec sleep 60' & until [ -e ready ]; do sleep 0.05; done; both import o/*",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a container that works in the folder",
        "mkdir data c; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f
        unshare -m bash -c 'mount --bind data c; cd c; touch ../ready; exec sleep 60' & until [ -e ready ]; do sleep 0.05; done; both import o/*",
        11,
        &["file_held", "mounted_elsewhere"],
    ),
    Case(
        "a container that has mounted a file",
        "mkdir c; touch c/f; mk f file f; echo 1 > f; hs export o/; echo 2 > f
        unshare -m bash -c 'mount --bind f c/f; touch ready; exec sleep 60' & until [ -e ready ]; do sleep 0.05; done; both import o/*",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a container that has mounted a folder inside, and one that has mounted the folder above",
        "mkdir -p up/data/in c d; mk data directory up/data; echo 1 > up/data/f; hs export o/; echo 2 > up/data/f
        unshare -m bash -c 'mount --bind up/data/in c; touch ready; exec sleep 60' & until [ -e ready ]; do sleep 0.05; done
        unshare -m bash -c 'mount --bind up d; touch ready2; exec sleep 60' & until [ -e ready2 ]; do sleep 0.05; done; both import o/*
        [ $(grep -o 'namespace of its own' real.json | wc -l) = 1 ] || rm real.rc",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a second mount of the folder here",
        "mkdir data c; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; mount --bind data c; both import o/*",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "no /proc",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; mount -t tmpfs n /proc; both import o/*; umount /proc",
        1,
        &["failed"],
    ),
    Case(
        "a rollback of a folder in which something was mounted since",
        "mkdir -p data vol; mk data directory data; echo 1 > data/f; mkdir data/m; hs export o/; echo 2 > data/f; hs import o/*; mount --bind vol data/m; both rollback",
        11,
        &["mount"],
    ),
    Case(
        "a rollback of a file that is immutable since",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; hs import o/*; chattr +i f 2> /dev/null || leave no attributes here; both rollback",
        11,
        &["target"],
    ),
];

#[test]
fn a_rehearsal_ends_as_the_import_does() {
    if !nix::unistd::geteuid().is_root() {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "mounts need root"
        );
        println!("skipped: mounts need root");
        return;
    }
    let only = std::env::var("HOOKSHOT_CASE").unwrap_or_default();
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.0.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut faults = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            faults.extend(run(case).err().map(|fault| format!("{}: {fault}", case.0)));
        }
        faults
    };
    let faults: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.flat_map(|end| end.expect("an end")).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

fn run(Case(name, script, code, kinds): &Case) -> Result<(), String> {
    let folder = tempfile::Builder::new().prefix("case-").tempdir();
    let folder = folder.expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let programs = Path::new(env!("CARGO_BIN_EXE_hookshot"));
    let programs = programs.parent().expect("a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("unshare")
        .args(["-m", "bash", "-c", &format!("{PRELUDE}\n{script}")])
        .env("PATH", format!("{programs}:{path}"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("unshare and bash");
    if let Ok(reason) = fs::read_to_string(at("skipped")) {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "{name}: {reason}"
        );
        println!("skipped: {name}: {reason}");
        return Ok(());
    }
    let text = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
    let shown = || {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let names = ["dry.json", "dry.err", "real.json", "real.err"];
        names.map(text).concat() + &said
    };
    let codes = ["dry.rc", "real.rc"].map(|name| text(name).trim().to_owned());
    if codes != [code.to_string(), code.to_string()] {
        return Err(format!("{codes:?} in place of {code}\n{}", shown()));
    }
    for report in ["dry.json", "real.json"] {
        let found = named(&text(report));
        let wanted: BTreeSet<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        if found != wanted {
            return Err(format!("{report} names {found:?}\n{}", shown()));
        }
    }
    Ok(())
}

/// The kinds of what a report names; that of the error if it is no report.
fn named(report: &str) -> BTreeSet<String> {
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    let lists = ["blocked", "left_undone", "warnings"].map(|key| report[key].as_array());
    let mut found: BTreeSet<String> = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|remark| Some(remark["kind"].as_str()?.to_owned()))
        .collect();
    if report.get("steps").is_none() {
        found.extend(report["error"]["kind"].as_str().map(str::to_owned));
    }
    found
}
