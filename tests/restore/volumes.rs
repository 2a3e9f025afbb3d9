//! A directory that is a mount point, as a container's volume is: it is restored within, all or nothing after the next
//! hookshot, rolled back, and killed at any step. Each test is a script in a mount namespace of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// `data` is a volume with an older state in its archive `o/*`; `tree` is what the service sees, `kept` what stays of the
/// old state, and `left` what should not be there.
const PRELUDE: &str = r#"
set -u
export TMPDIR=$PWD/tmp; mkdir tmp etc data template
printf '[backup]\nprefix = "x"\n[[backup.sources]]\nname = "data"\nkind = "directory"\npath = "../data"\nexclude = ["/cache/", "/app/log"]\n' > etc/config.toml
hs() { hookshot -q --config "$PWD/etc/config.toml" "$@"; }
tree() { find data -path 'data/.hookshot*' -prune -o -printf '%P %y %m %U %l\n' | sort; find data -path 'data/.hookshot*' -prune -o -type f -printf '%P: ' -exec cat {} \; | sort; }
kept() { find data/.hookshot-bak* -mindepth 1 -printf '%P %y %m %U %l\n' 2> /dev/null | sort; }
left() { find data etc tmp -name '.hookshot-*' ! -name '.hookshot-bak*'; ls etc/.hookshot/journal.json 2> /dev/null; }
wrong() { echo "WRONG: $*"; exit 1; }
is() { [ "$1" = "$2" ] || wrong "$3: '$1' in place of '$2'"; }
mount -t tmpfs n data || wrong no tmpfs
mkdir -p data/app/deep data/cache data/gone data/lost+found; echo a1 > data/app/a; echo d1 > data/app/deep/d; echo log1 > data/app/log
echo f1 > data/f; chown 33:33 data/f; ln -s f data/link; echo g > data/gone/g; echo c > data/cache/c; echo found > data/lost+found/x
chmod 750 data; chown 0:33 data; hs export o/ || wrong export
tar tzf o/* | grep -q 'lost+found\|cache' && wrong it is archived
echo a2 > data/app/a; echo f2 > data/f; rm -r data/gone; echo new > data/new; chmod 700 data; chown 0:0 data; ln -sfn nowhere data/link
"#;

fn run(script: &str) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "mounts need root"
        );
        println!("skipped: mounts need root");
        return None;
    }
    let folder = tempfile::Builder::new().prefix("volume-").tempdir();
    let folder = folder.expect("a folder");
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    Some(said)
}

#[test]
fn a_volume_is_restored_within_and_rolled_back() {
    run(r#"
    tree > before
    hs import --dry-run o/* || wrong dry run; tree | diff before - || wrong the dry run changed something
    echo log2 > data/app/log; echo c2 > data/cache/c; tree > before
    hs --json import o/* > report || wrong import
    grep -q '"backup": ".*/data/.hookshot-bak"' report || wrong the report names no backup
    tree > after; left | grep . && wrong left behind
    is "$(cat data/app/a data/f data/gone/g data/app/log data/cache/c data/lost+found/x | tr '\n' ' ')" "a1 f1 g log2 c2 found " content
    is "$(stat -c '%a %u:%g' data)" "750 0:33" "the volume itself"
    is "$(readlink data/link) $(stat -c %u data/f)" "f 33" attributes
    [ ! -e data/new ] || wrong new is still there
    is "$(cat data/.hookshot-bak/app/a data/.hookshot-bak/f data/.hookshot-bak/new | tr '\n' ' ')" "a2 f2 new " "the old state"
    echo log3 >> data/app/log
    hs rollback || wrong rollback; left | grep . && wrong left behind
    is "$(cat data/app/log | tr '\n' ' ')" "log2 log3 " "what the service wrote"
    echo log2 > data/app/log; tree | diff before - || wrong another state came back
    hs rollback || wrong second rollback; tree | diff after - || wrong the second rollback
    hs export o2/ || wrong export; tar tzf o2/* | grep hookshot- && wrong the backup is archived
    hs verify o2/* || wrong verify
    "#);
}

#[test]
fn what_a_service_made_in_a_volume_since_the_import_goes_with_a_rollback_and_comes_back_with_the_next()
 {
    run(r#"
    # A database ends without a line break.
    tree() { find data -path 'data/.hookshot*' -prune -o -printf '%P %y %m %U %l\n' | sort; find data -path 'data/.hookshot*' -prune -o -type f -exec sha256sum {} + | sort; }
    umount data; mount -t tmpfs n data; printf 'exclude = ["/cache/", "*-wal"]\n' | cat <(grep -v exclude etc/config.toml) - > etc/new; mv etc/new etc/config.toml
    python3 -c 'import sqlite3; c = sqlite3.connect("data/app.db"); c.execute("pragma journal_mode = wal"); c.execute("create table t(x)"); c.execute("insert into t values (1)"); c.commit(); c.close()'
    rm -r o; hs export o/ || wrong export
    python3 -c 'import sqlite3; c = sqlite3.connect("data/app.db"); c.execute("insert into t values (2)"); c.commit(); c.close()'
    echo f2 > data/f; mkdir data/cache; echo c > data/cache/c; tree > before; hs import o/* || wrong import
    # The service is killed, so that its log stays; a folder, a file and a link of its own are new.
    python3 -c 'import os, signal, sqlite3; c = sqlite3.connect("data/app.db"); c.execute("insert into t values (3)"); c.commit(); os.kill(os.getpid(), signal.SIGKILL)'
    [ -e data/app.db-wal ] || wrong no log; mkdir -p data/later/deep; echo l > data/later/deep/x; echo n > data/note; ln -s note data/to; echo c2 > data/cache/c2
    tree > served; hs rollback --dry-run || wrong dry run; tree | diff served - || wrong the dry run changed something
    hs rollback || wrong rollback; left | grep . && wrong left behind
    [ ! -e data/app.db-wal ] && [ ! -e data/later ] && [ ! -e data/note ] && [ ! -L data/to ] || wrong something stayed
    is "$(cat data/cache/c2 data/.hookshot-bak/later/deep/x data/.hookshot-bak/note | tr '\n' ' ')" "c2 l n " "what is excluded, and what is kept"
    python3 -c 'import sqlite3, sys; sys.exit(sqlite3.connect("file:data/app.db?mode=ro", uri=True).execute("select sum(x) from t").fetchone()[0] != 3)' || wrong other rows
    rm -f data/app.db-shm data/app.db-wal data/cache/c2; tree | diff before - || wrong another state came back
    echo c2 > data/cache/c2; hs rollback || wrong second rollback; tree | diff served - || wrong the second rollback
    "#);
}

/// On another file system than the configuration, so that the files are copied.
#[test]
fn a_volume_of_more_files_than_a_manifest_lists_is_restored_within_and_rolled_back() {
    run(r#"
    tree() { find data -path 'data/.hookshot*' -prune -o -printf '%P %y %m %U %l\n' | sort; cat data/app/a data/f; }
    mkdir data/many; (cd data/many && seq 10001 | xargs touch); echo c2 > data/cache/c; tree > before
    hs export o3/ || wrong export; tar tzf o3/* | grep -q 'data.files.jsonl' || wrong it has no listing
    (cd data/many && rm 7 77 777 && touch new); echo a3 > data/app/a; chmod 700 data; tree > old
    hs import --dry-run --json o3/* > dry || wrong dry run; tree | diff old - || wrong the dry run changed something
    hs import --json o3/* > real || wrong import; left | grep . && wrong left behind
    diff <(grep -v 'dry_run\|applied' dry) <(grep -v 'dry_run\|applied' real) || wrong the dry run said something else
    tree | diff before - || wrong another state
    hs rollback || wrong rollback; left | grep . && wrong left behind; tree | diff old - || wrong the rollback
    hs rollback || wrong second rollback; tree | diff before - || wrong the second rollback
    hs import --json o3/* | grep -q '"action": "unchanged"' || wrong the second import changes something
    "#);
}

#[test]
fn a_second_import_keeps_the_backup_and_a_third_replaces_it() {
    run(r#"
    hs import o/* || wrong import; kept > first
    hs import o/* || wrong again; kept | diff first - || wrong the backup changed
    echo f3 > data/f; hs import o/* || wrong third; is "$(cat data/.hookshot-bak/f)" f3 "the newest old state"
    is "$(ls -d data/.hookshot-bak*)" data/.hookshot-bak "one folder"
    "#);
}

#[test]
fn a_folder_of_the_user_that_has_the_name_of_our_backups_stays() {
    run(r#"
    mkdir data/.hookshot-bak; echo mine > data/.hookshot-bak/f
    hs import --dry-run o/* 2>&1 | grep -q 'hookshot-bak.1' || wrong the dry run does not say it
    hs import o/* || wrong import
    is "$(cat data/.hookshot-bak/f) $(cat data/.hookshot-bak.1/f)" "mine f2" backups
    hs rollback || wrong rollback; is "$(cat data/f data/.hookshot-bak/f | tr '\n' ' ')" "f2 mine " "after the rollback"
    "#);
}

#[test]
fn a_volume_gets_its_own_acl_and_attributes_and_loses_them_by_a_rollback() {
    run(r#"
    attributes() { python3 -c 'import os; print([(name, os.getxattr("data", name)) for name in sorted(os.listxattr("data"))])'; }
    # Its owner, user 33 and the mask may read; the group and others may not.
    python3 -c 'import os, struct
entry = lambda tag, may, who=0xffffffff: struct.pack("<HHI", tag, may, who)
acl = struct.pack("<I", 2) + entry(1, 7) + entry(2, 5, 33) + entry(4, 0) + entry(16, 5) + entry(32, 0)
os.setxattr("data", "system.posix_acl_access", acl); os.setxattr("data", "trusted.color", b"red")' || wrong attributes
    attributes > wanted; stat -c %a data >> wanted; hs export o3/ || wrong export
    umount data; mount -t tmpfs n data; chmod 755 data; python3 -c 'import os; os.setxattr("data", "trusted.old", b"here")'
    attributes > before; stat -c %a data >> before
    hs import o3/* || wrong import; attributes > now; stat -c %a data >> now; diff wanted now || wrong other attributes
    hs import o3/* --json | grep -q '"action": "replace"' && wrong the second import changes something
    hs rollback; is $? 10 "nothing to undo"
    umount data; mount -t tmpfs n data; chmod 755 data; python3 -c 'import os; os.setxattr("data", "trusted.old", b"here")'
    hs import o3/* || wrong import; hs rollback || wrong rollback
    attributes > now; stat -c %a data >> now; diff before now || wrong after the rollback
    "#);
}

#[test]
fn an_empty_volume_whose_attributes_stay_is_named() {
    run(r#"
    umount data; mount -t tmpfs n data; chmod 750 data; chown 33 data; hs export o3/ || wrong export
    umount data; mount -t tmpfs n data
    hs import --dry-run o3/*; is $? 3 "the dry run"; hs import o3/* 2> said; is $? 3 "the import"
    grep -q 'its own mode, owner and attributes are not restored' said || wrong it is not said
    chmod 750 data; chown 33 data; hs import o3/*; is $? 0 "it is what the archive has"
    "#);
}

#[test]
fn an_empty_volume_of_a_new_machine_gets_everything() {
    run(r#"
    tree > /dev/null; umount data; mount -t tmpfs n data; mkdir data/lost+found
    hs import o/* || wrong import; is "$(cat data/app/a data/f | tr '\n' ' ')" "a1 f1 " content
    is "$(stat -c '%a %u:%g' data)" "750 0:33" "the volume itself"
    hs rollback || wrong rollback; is "$(ls data)" "lost+found" "after the rollback"
    "#);
}

#[test]
fn a_database_in_a_volume_is_restored_with_it() {
    run(r#"
    printf '[[backup.sources]]\nname = "app.db"\nkind = "sqlite"\npath = "../data/app.db"\n[[backup.sources]]\nname = "deep.db"\nkind = "sqlite"\npath = "../data/app/deep.db"\n' >> etc/config.toml
    for at in data/app.db data/app/deep.db; do sqlite3 $at 'create table t(a); insert into t values(1)'; done
    hs export o3/ || wrong export
    for at in data/app.db data/app/deep.db; do sqlite3 $at 'insert into t values(2)'; done; echo f4 > data/f
    hs import o3/* || wrong import
    for at in data/app.db data/app/deep.db; do is $(sqlite3 $at 'select count(*) from t') 1 $at; done; is $(cat data/f) f2 "the file"
    hs rollback || wrong rollback
    for at in data/app.db data/app/deep.db; do is $(sqlite3 $at 'select count(*) from t') 2 $at; done; is $(cat data/f) f4 "the file"
    "#);
}

/// Kills hookshot at every call of a kind, and lets every one fail.
const TRY: &str = r#"
strace -o /dev/null true || { echo no strace; exit 0; }
save() { find template -mindepth 1 -delete; cp -a data/. template; rm -rf template-etc; cp -a etc template-etc; tree > old; kept > old-kept; }
reset() { find data -mindepth 1 -delete; cp -a template/. data; chmod --reference=template data; chown --reference=template data; rm -rf etc; cp -a template-etc etc; }
met() { strace -f -qq -o /dev/null -e trace=$1 -e inject=$1:$2 hookshot -q --config $PWD/etc/config.toml "${@:3}" > log 2>&1; }
whole() { # what happened
    tree > now; kept > now-kept; left > now-left
    if cmp -s now new && cmp -s now-kept new-kept; then forward=$((forward + 1))
    elif ! { cmp -s now old && cmp -s now-kept old-kept; }; then cat log; diff old now; diff new now; diff new-kept now-kept; wrong "$*: a mixture"; fi
    [ ! -s now-left ] || { cat now-left; wrong "$*: left behind"; }
}
try() { # verb
    points=0; forward=0
    for call in renameat2 linkat unlinkat mkdir fsync chmod; do
        for ((n = 1; ; n++)); do
            reset; met $call signal=KILL:when=$n "$@"; rc=$?
            [ $rc = 137 ] || break
            points=$((points + 1)); hs version > log 2>&1 || { cat log; wrong "$* $call $n"; }
            whole "$* $call $n"
        done
        [ $rc = 0 ] || { cat log; wrong "$* $call ends with $rc"; }
    done
    echo "$*: $points kills, $forward forward"
    [ $points -gt 25 ] && [ $forward -gt 3 ] && [ $forward -lt $points ] || wrong too few
    for ((n = 1; n < 40; n++)); do
        reset; met renameat2 error=EIO:when=$n "$@"; rc=$?
        whole "$* renameat2 fails at $n ($rc)"
        [ $rc != 0 ] || cmp -s now new || wrong "$n: 0, and the old state"
    done
} 2> /dev/null
"#;

#[test]
fn a_volume_whose_import_or_rollback_is_killed_is_the_old_or_the_new_one() {
    let script = r#"
    rm -rf etc/.hookshot; save; hs import o/* || wrong import; tree > new; kept > new-kept; try import o/*
    reset; hs import o/* || wrong import; save; hs rollback || wrong rollback; tree > new; kept > new-kept; try rollback
    "#;
    if let Some(said) = run(&format!("{TRY}\n{script}")) {
        assert!(
            !said.contains("no strace") || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "strace is missing, or may not trace"
        );
        println!("{said}");
    }
}

#[test]
fn a_rollback_of_a_volume_that_is_not_mounted_asks_for_it() {
    run(r#"
    mkdir disk && mount -t tmpfs n disk && cp -a data/. disk/ || wrong no second tmpfs; umount data; mount --move disk data
    hs import o/* || wrong import
    mkdir aside; mount --move data aside
    for verb in 'rollback --dry-run' rollback; do
        hs $verb 2> said; is $? 11 "$verb"; grep -q 'data was a mount point' said && grep -q 'mount it again' said || wrong "$(cat said)"
        grep -q 'import an archive instead' said && wrong "$(cat said)"
    done
    mount --move aside data; hs rollback || wrong rollback; is "$(cat data/new)" new content
    "#);
}
