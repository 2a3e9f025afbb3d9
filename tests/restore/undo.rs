//! The backups that an import leaves, and the rollback that uses them: no file of the user is ever in the way, and the
//! last import can be undone after the service has run.
//!
//! Each situation is a script in an empty folder: `mk NAME KIND PATH...` writes the configuration, `hs CODE VERB...` runs
//! hookshot and insists on its exit code, `is GOT WANTED` compares.

use std::{
    path::Path,
    process::{Command, Stdio},
};

const PRELUDE: &str = r#"
set -u
mk() { mkdir -p etc; { printf '[backup]\nprefix = "x"\n'; while [ $# -gt 0 ]; do printf '[[backup.sources]]\nname = "%s"\nkind = "%s"\npath = "%s"\n' "$1" "$2" "$PWD/$3"; shift 3; done; } > etc/config.toml; }
add() { printf '%s\n' "$@" >> etc/config.toml; }
wrong() { echo "line ${BASH_LINENO[*]}: $*" >&2; exit 1; }
hs() {
    local wanted=$1 code; shift
    hookshot --config "$PWD/etc/config.toml" "$@" > said 2>&1; code=$?
    [ $code = $wanted ] || wrong "hookshot $*: $code in place of $wanted: $(cat said)"
}
any() { hookshot --config "$PWD/etc/config.toml" "$@" > said 2>&1; }
is() { [ "$1" = "$2" ] || wrong "$1 is not $2"; }
says() { grep -q -e "$1" said || wrong "no word of $1 in: $(cat said)"; }
leave() { echo "skipped: $*"; exit 77; }
tidy() { for at in $(jobs -p); do kill $at 2> /dev/null; done; }
trap tidy EXIT
"#;

/// Runs a script in a folder of its own, and in a mount namespace of its own if it mounts.
#[track_caller]
fn run(script: &str, program: &[&str]) {
    let folder = tempfile::Builder::new().prefix("undo-").tempdir();
    let folder = folder.expect("a folder");
    let programs = Path::new(env!("CARGO_BIN_EXE_hookshot"));
    let programs = programs.parent().expect("a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program[0])
        .args(&program[1..])
        .arg(format!("{PRELUDE}\n{script}"))
        .env("PATH", format!("{programs}:{path}"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(77) {
        let is_complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
        assert!(!is_complete, "{said}");
        println!("{said}");
        return;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
}

#[track_caller]
fn script(script: &str) {
    run(script, &["bash", "-c"]);
}

/// The same, with mounts that no other process sees.
#[track_caller]
fn mounting(script: &str) {
    if !nix::unistd::geteuid().is_root() {
        let is_complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
        assert!(!is_complete, "mounts need root");
        println!("skipped: mounts need root");
        return;
    }
    run(script, &["unshare", "-m", "bash", "-c"]);
}

#[test]
fn a_copy_of_the_folder_that_the_user_made_is_never_removed() {
    script(
        r#"mkdir data; mk data directory data; echo f > data/f; hs 0 export o/
        cp -a data data.bak; echo only-here > data.bak/mine; echo f2 > data/f
        hs 0 import --dry-run o/*; says 'data.bak is not of an earlier import'; says 'data.bak.1'
        hs 0 --json import o/*; says '"backup": ".*/data.bak.1"'; says '"kind": "backup"'
        is "$(cat data/f data.bak/mine data.bak.1/f)" $'f\nonly-here\nf2'
        hs 0 rollback --dry-run; says "data.bak.1 -> $PWD/data"
        hs 0 rollback; is "$(cat data/f data.bak/mine data.bak.1/f)" $'f2\nonly-here\nf'
        hs 0 rollback; is "$(cat data/f data.bak.1/f)" $'f\nf2'
        # The next import replaces its own backup, and no other.
        echo f3 > data/f; hs 0 import o/*; is "$(cat data/f data.bak/mine data.bak.1/f)" $'f\nonly-here\nf3'
        is "$(ls)" $'data\ndata.bak\ndata.bak.1\netc\no\nsaid'"#,
    );
}

#[test]
fn whatever_has_the_name_of_a_backup_is_kept_beside_every_kind_of_source() {
    script(
        r#"mk db sqlite db ini file ini link file link dir file dir; echo 1 > ini; echo 1 > link; echo 1 > dir
        sqlite3 db 'pragma journal_mode=wal; create table t(a); insert into t values(1)' > /dev/null || leave no sqlite3
        hs 0 export o/
        sqlite3 db 'insert into t values(2)'; echo 2 > ini; echo 2 > link; echo 2 > dir; echo '# changed' >> etc/config.toml
        echo mine > db.bak; echo mine > ini.bak; ln -s nowhere link.bak; mkdir dir.bak; echo mine > dir.bak/mine
        echo editor > etc/config.toml.bak; echo log > db-wal.bak
        hs 0 --json import o/* --with-config; [ $(grep -c '"kind": "backup"' said) = 5 ] || wrong "$(cat said)"
        kept() { is "$(cat db.bak ini.bak dir.bak/mine etc/config.toml.bak db-wal.bak; readlink link.bak)" $'mine\nmine\nmine\neditor\nlog\nnowhere'; }
        kept; is "$(sqlite3 db 'select count(*) from t')" 1; is "$(cat ini link dir ini.bak.1 link.bak.1 dir.bak.1)" $'1\n1\n1\n2\n2\n2'
        hs 0 rollback; kept; is "$(sqlite3 db 'select count(*) from t')" 2; is "$(cat ini link dir)" $'2\n2\n2'
        hs 0 rollback; kept; is "$(sqlite3 db 'select count(*) from t')" 1; is "$(cat ini link dir)" $'1\n1\n1'"#,
    );
}

#[test]
fn an_import_that_is_run_twice_leaves_the_backup_of_the_first() {
    script(
        r#"mkdir data; mk data directory data ini file ini; echo f > data/f; echo 1 > ini; hs 0 export o/
        echo old > data/f; echo old > ini; hs 0 import o/*; hs 0 import o/*; says 'Nothing to restore'; is "$(cat data.bak/f ini.bak)" $'old\nold'
        hs 10 rollback; says 'changed nothing'; says "$PWD/data.bak, $PWD/ini.bak"
        # It is still known whose they are.
        echo new > data/f; echo new > ini; hs 0 import o/*
        is "$(cat data.bak/f ini.bak)" $'new\nnew'; [ ! -e data.bak.1 ] && [ ! -e ini.bak.1 ] || wrong "$(ls)""#,
    );
}

#[test]
fn a_backup_that_the_user_has_worked_on_is_kept() {
    script(
        r#"mkdir data; mk data directory data ini file ini; echo f > data/f; echo 1 > ini; hs 0 export o/
        echo 2 > data/f; echo 2 > ini; hs 0 import o/*; echo mine > data.bak/mine; echo mine >> ini.bak
        echo 3 > data/f; echo 3 > ini; hs 0 import o/*
        is "$(cat data.bak/mine data.bak.1/f ini.bak ini.bak.1)" $'mine\n3\n2\nmine\n3'"#,
    );
}

#[test]
fn a_rollback_works_after_the_service_has_run_and_leaves_what_is_excluded_as_it_is() {
    script(
        r#"mkdir -p data/cache/deep data/empty; mk data directory data; add 'exclude = ["*.log", "/.lock", "/cache/"]'
        echo 1 > data/doc; echo l1 > data/app.log; echo c > data/cache/deep/c; echo own > data/.hookshot-notes; mkfifo data/fifo; any export o/
        cache=$(stat -c %i data/cache/deep/c); echo 2 > data/doc; hs 0 import o/*
        # It is one file with one name, which was moved and not copied.
        is "$(stat -c %i:%h data/cache/deep/c)" $cache:1; is "$(cat data/app.log data/.hookshot-notes)" $'l1\nown'; [ -p data/fifo ] || wrong no fifo
        is "$(ls -A data.bak)" $'doc\nempty'
        # The service runs: log, lock, cache, and a document.
        echo l2 >> data/app.log; touch data/.lock; echo d > data/cache/d; echo 3 > data/doc; echo more > data/more; touch data/other.log
        hs 0 rollback
        is "$(cat data/doc data/app.log data/cache/d data/.hookshot-notes)" $'2\nl1\nl2\nd\nown'; [ -e data/.lock ] && [ ! -e data/more ] && [ -e data/other.log ] || wrong "$(ls -A data)"
        is "$(ls -A data.bak)" $'doc\nempty\nmore'; is "$(stat -c %i:%h data/cache/deep/c)" $cache:1
        echo l3 >> data/app.log
        hs 0 rollback; is "$(cat data/doc data/more data/app.log)" $'3\nmore\nl1\nl2\nl3'
        # Patterns that change later change nothing of what was recorded.
        sed -i 's/^exclude.*/exclude = []/' etc/config.toml; echo l4 >> data/app.log; hs 0 rollback; is "$(cat data/doc) $(tail -1 data/app.log)" '2 l4'"#,
    );
}

#[test]
fn a_database_that_an_import_left_alone_is_left_alone_by_its_rollback() {
    script(
        r#"mkdir -p data/state; mk data directory data kept.db sqlite data/state/kept.db back.db sqlite data/back.db; sed -i '/"data"$/a exclude = ["/state/"]' etc/config.toml
        for db in data/state/kept.db data/back.db; do sqlite3 $db 'pragma journal_mode=wal; create table t(a); insert into t values(1)' > /dev/null || leave no sqlite3; done
        echo 1 > data/doc; hs 0 export o/
        echo 2 > data/doc; sqlite3 data/back.db 'insert into t values(2)'; hs 0 import --only data --only back.db o/*
        count() { is "$(sqlite3 data/state/kept.db 'select count(*) from t') $(sqlite3 data/back.db 'select count(*) from t')" "$1"; }
        count '1 1'; [ -e data.bak/back.db ] && [ ! -e data.bak/state ] || wrong "$(ls -R data.bak)"
        # The service writes into both.
        sqlite3 data/state/kept.db 'insert into t values(5),(6)'; sqlite3 data/back.db 'insert into t values(7),(8)'
        hs 0 rollback; count '3 2'; is "$(cat data/doc)" 2
        hs 0 rollback; count '3 3'; is "$(cat data/doc)" 1"#,
    );
}

#[test]
fn the_log_of_a_database_in_a_directory_never_comes_to_another_state_of_it() {
    script(
        r#"mkdir -p data/deep; mk data directory data; add 'exclude = ["*-wal", "*-shm", "*.log"]'
        # A service that is killed leaves its log behind.
        crash() { /usr/bin/python3 -c "
import sqlite3, os
c = sqlite3.connect('data/deep/app.db', isolation_level=None)
c.execute('pragma journal_mode = wal'); c.execute('create table if not exists t(a)')
for row in range($1): c.execute('insert into t values(?)', (row,))
os._exit(0)" || leave no python3; }
        rows() { cp -a data/deep look; is "$(sqlite3 look/app.db 'select count(*) from t; pragma integrity_check')" "$1"$'\nok'; rm -r look; }
        crash 3; echo l > data/app.log; hs 0 export o/; crash 20; [ -s data/deep/app.db-wal ] || wrong no log
        hs 0 import o/*; rows 3; crash 5; rows 8
        hs 0 rollback; rows 23; hs 0 rollback; rows 8; is "$(cat data/app.log)" l"#,
    );
}

#[test]
fn a_database_that_is_named_as_a_file_does_not_get_the_log_of_another_state() {
    script(
        r#"mk app.db file app.db
        rows() { cp app.db* look; is "$(sqlite3 look/app.db 'select count(*) from t')" $1; rm look/*; }; mkdir look
        sqlite3 app.db 'pragma journal_mode = wal; create table t(a); insert into t values(1),(2),(3)' > /dev/null || leave no sqlite3
        hs 0 export o/
        /usr/bin/python3 -c "
import sqlite3, os
c = sqlite3.connect('app.db', isolation_level=None)
for row in range(20): c.execute('insert into t values(?)', (row,))
os._exit(0)" || leave no python3
        rows 23; hs 0 import o/*; rows 3; hs 0 rollback; rows 23
        # Who names the log as well gets it back as it was archived.
        mk app.db file app.db app.db-wal file app.db-wal; rm o/*; hs 0 export o/; sqlite3 app.db 'insert into t values(9)'; any import o/*; rows 23"#,
    );
}

/// A "database" that only commands reach.
const COMMANDS: &str = r#"mkdir -p etc data; printf '%s\n' '[backup]' 'prefix = "x"' '[[backup.sources]]' 'name = "dump"' 'kind = "command"' \
    "export = \"cat $PWD/db\"" "import = \"cat > $PWD/db; test ! -e $PWD/fail\"" '[[backup.sources]]' 'name = "data"' 'kind = "directory"' "path = \"$PWD/data\"" > etc/config.toml
echo 1 > data/f; echo v1 > db; hs 0 export o/
"#;

#[test]
fn what_commands_were_given_is_taken_back_by_a_rollback() {
    script(&format!(
        r#"{COMMANDS}
        kept=$PWD/etc/.hookshot/dump.bak
        for change in 'true' 'echo 2 > data/f'; do
            echo v2 > db; $change; f=$(cat data/f)
            hs 0 --json import --dry-run o/*; says "\"backup\": \"$kept\""; is "$(cat db)" v2
            hs 0 --json import o/*; says "\"backup\": \"$kept\""; is "$(cat db data/f $kept)" $'v1\n1\nv2'; is $(stat -c %a $kept) 600
            echo v3 > db; hs 0 rollback --dry-run; says 'import command of dump'; is "$(cat db)" v3
            hs 0 rollback; is "$(cat db data/f $kept)" "v2
$f
v3"
            hs 0 rollback; is "$(cat db data/f $kept)" $'v3\n1\nv2'
            is "$(ls -A etc/.hookshot)" $'dump.bak\nlast-import.json'
        done
        # A kept entry that was changed is given to nobody.
        echo x > $kept; hs 11 rollback; says 'dump.bak is not what'; is "$(cat db)" v3"#
    ));
}

#[test]
fn a_machine_that_has_nothing_to_keep_is_told_and_not_refused() {
    script(&format!(
        r#"{COMMANDS}
        rm db; hs 3 --json import --dry-run o/*; says '"left_undone"'; hs 3 --json import o/*; says '"kind": "backup"'; is "$(cat db)" v1
        hs 3 rollback; says 'was not kept'; is "$(cat db)" v1
        rm db; hs 0 --json import --force o/*; says '"warnings"'; is "$(cat db)" v1"#
    ));
}

#[test]
fn what_a_command_held_stays_when_its_import_command_fails() {
    script(&format!(
        r#"{COMMANDS}
        echo v2 > db; echo 2 > data/f; touch fail; hs 20 import o/*; says 'dump held .*/dump.bak.1'
        is "$(cat data/f etc/.hookshot/dump.bak.1)" $'2\nv2'; [ ! -e data.bak ] || wrong "$(ls)"
        says 'every file is the old one again'; says 'what it did up to then is not undone'; is "$(grep -c 'the old state is back\|nothing is lost' said)" 0
        # Each try that fails leaves what the command held, but not the same again and again.
        for try in 1 2 3 4; do hs 20 import o/*; done; is "$(cd etc/.hookshot && echo dump.bak* && cat dump.bak.*)" $'dump.bak.1 dump.bak.2\nv2\nv1'
        # A rollback that fails in the command brings back everything else.
        rm fail; echo v2 > db; hs 0 import o/*; echo v4 > db; touch fail; hs 20 rollback; is "$(cat data/f data.bak/f etc/.hookshot/dump.bak)" $'1\n2\nv2'
        rm fail; hs 0 rollback; is "$(cat db data/f)" $'v2\n2'"#
    ));
}

#[test]
fn what_a_command_held_is_somewhere_whenever_hookshot_is_killed() {
    script(&format!(
        r#"{COMMANDS}
        command -v strace > /dev/null || leave no strace
        cp -a etc fresh; killed=0
        for verb in 'import o/x.tar.gz' rollback; do
            for call in rename fsync; do
                for number in $(seq 40); do
                    rm -rf etc data data.bak; cp -a fresh etc; mkdir data; echo 2 > data/f; echo v2 > db; [ -e o/x.tar.gz ] || mv o/* o/x.tar.gz
                    [ "$verb" != rollback ] || {{ hs 0 import o/x.tar.gz; echo v3 > db; }}
                    strace -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$number hookshot -q -c etc/config.toml $verb > said 2>&1; code=$?
                    [ $code != 0 ] || break
                    [ $code != 1 ] && [ $code != 11 ] && [ $code != 20 ] || break
                    hs 0 validate
                    [ -z "$(find etc data* -name '.hookshot-*' -o -name journal.json)" ] || wrong "$verb $call $number: $(find etc data*)"
                    held=$(cat db etc/.hookshot/dump.bak* 2> /dev/null)
                    # All that there was before the verb: the archive has v1.
                    case $verb-$held in import*v2*) ;; rollback-*v2*v3* | rollback-*v3*v2*) ;; *) wrong "$verb $call $number: $held: $(cat said)" ;; esac
                    killed=$((killed + 1))
                done
            done
        done
        [ $killed -gt 20 ] || wrong "only $killed kills""#
    ));
}

#[test]
fn a_rollback_asks_about_every_source_that_the_import_asked_about() {
    script(
        r#"mk a file a b file b; add 'active_command = "cat busy"'; touch busy; echo 1 > a; echo 1 > b; hs 0 export o/
        echo 2 > b; hs 0 import o/*
        # `a` is not what changes, but the service that holds it is the one that has `b`.
        (exec 9>> a; touch held; exec sleep 60) & until [ -e held ]; do sleep 0.05; done
        hs 11 import --dry-run o/*; says 'a is open in'; hs 11 rollback --dry-run; says 'a is open in'; hs 11 rollback; kill $!; wait
        echo somebody > busy; hs 11 rollback; says 'b is in use'; is "$(cat b)" 1
        hs 0 rollback --force; is "$(cat b)" 2
        # An import of one file asks about that one, and so does its rollback.
        true > busy; hs 0 import --only b o/*; (exec 9>> a; touch held2; exec sleep 60) & until [ -e held2 ]; do sleep 0.05; done
        hs 0 rollback; is "$(cat b)" 2"#,
    );
}

#[test]
fn a_rollback_undoes_the_last_import_and_no_other() {
    script(
        r#"mkdir n; mk n directory n; echo v1 > n/f; hs 0 export n1.tar.gz; echo v2 > n/f; hs 0 import n1.tar.gz
        echo work > n/new; hs 0 export n2.tar.gz; hs 0 import n2.tar.gz; says 'Nothing to restore'
        hs 10 rollback; says 'nothing to undo'; is "$(cat n/f n/new)" $'v1\nwork'; hs 10 rollback --dry-run"#,
    );
}

#[test]
fn a_journal_of_a_newer_hookshot_is_refused_as_such() {
    script(
        r#"mkdir data; mk data directory data; echo 1 > data/f; hs 0 export o/; echo 2 > data/f; hs 0 import o/*
        command -v jq > /dev/null || leave no jq
        newer() { jq -cjS '.journal | .version = 3 | .new_key = "x" | .phase = "unheard-of"' "$1" > content
            jq -n --slurpfile journal content --arg sha256 $(sha256sum < content | cut -d' ' -f1) '{$sha256, journal: $journal[0]}' > newer; chmod 600 newer; mv newer "$2"; }
        record=etc/.hookshot/last-import.json; cp -p $record kept
        newer $record $record; hs 11 rollback; says 'written by a newer hookshot (version 3)'
        # The record is for a rollback alone: an import goes on, and takes no .bak for its own.
        echo 3 > data/f; hs 0 import o/*; is "$(cat data.bak/f data.bak.1/f)" $'2\n3'
        newer $record etc/.hookshot/journal.json; before=$(sha256sum etc/.hookshot/journal.json)
        hs 11 export o/; says 'written by a newer hookshot (version 3)'; grep -q damaged said && wrong "$(cat said)"
        hs 0 validate; says 'written by a newer hookshot'; is "$(sha256sum etc/.hookshot/journal.json)" "$before""#,
    );
}

/// Kills an import at each of its renames, and mounts the disk again with another device number before a verb ends it.
const REMOUNT: &str = r#"
command -v strace > /dev/null || leave no strace
truncate -s 400M image; mkfs.$kind -q image || leave "no $kind"; truncate -s 16M other; mkdir disk
attach() { loop=$(losetup --find --show image) && mount $loop disk; }
detach() { umount disk && losetup -d $loop; }
attach || leave no loop device
tidy() { umount disk; losetup -d $loop $(losetup -n -O NAME -j other); } 2> /dev/null
killed=0
for call in renameat2 rename fsync; do
    for number in $(seq 40); do
        prepare
        strace -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$number hookshot -q -c etc/config.toml $verb > said 2>&1; code=$?
        [ $code != 0 ] || break
        [ $code = 137 ] || wrong "$code: $(cat said)"
        device=$(stat -c %d disk); detach
        # Somebody else has the number of its device now.
        if [ $kind != btrfs ]; then losetup $loop other; fi
        attach || wrong cannot mount again
        for taken in $(losetup -n -O NAME -j other); do losetup -d $taken; done
        [ $kind = btrfs ] || [ $(stat -c %d disk) != $device ] || wrong the number is the same
        hs 0 validate; now=$(cat disk/data/f)
        case $now in $old | $new) ;; *) wrong "$call $number: $now: $(cat said)" ;; esac
        [ -z "$(find disk etc -name '.hookshot-*' -o -name journal.json)" ] || wrong "$call $number: $(find disk etc)"
        if [ $now = $new ]; then hs 0 rollback; is "$(cat disk/data/f)" $old; fi
        killed=$((killed + 1))
    done
done
[ $killed -gt 10 ] || wrong "only $killed kills"
"#;

#[test]
fn an_import_that_was_killed_is_ended_although_its_disk_has_another_number() {
    mounting(&format!(
        r#"kind=xfs; verb="import a.tar.gz"; old=2; new=1; mk data directory disk/data
        prepare() {{ rm -rf disk/data* etc/.hookshot; mkdir disk/data; echo 1 > disk/data/f; [ -e a.tar.gz ] || hs 0 export a.tar.gz; echo 2 > disk/data/f; }}
        {REMOUNT}"#
    ));
}

#[test]
fn two_subvolumes_are_told_apart_although_both_have_the_number_256() {
    mounting(&format!(
        r#"kind=btrfs; verb=rollback; old=1; new=2; mk data directory disk/data
        command -v btrfs > /dev/null || leave no btrfs
        prepare() {{
            for at in disk/data*; do btrfs -q subvolume delete $at 2> /dev/null || rm -rf $at; done; rm -rf etc/.hookshot
            btrfs -q subvolume create disk/data; echo 1 > disk/data/f; [ -e a.tar.gz ] || hs 0 export a.tar.gz; echo 2 > disk/data/f
            hs 0 import a.tar.gz; mv disk/data disk/new; btrfs -q subvolume create disk/data; cp -a disk/new/. disk/data; rm -r disk/new
            is "$(stat -c %i disk/data disk/data.bak)" $'256\n256'
        }}
        {REMOUNT}"#
    ));
}
