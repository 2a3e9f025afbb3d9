//! A rehearsal says what the import will do: both end with the same exit code, and name the same obstacles, in every
//! situation of the table below. Each is a script in an empty folder, in a mount namespace of its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use serde_json::Value;

/// A situation: a name, a script that ends in `both import ARCHIVE` or `both rollback`, the exit code of both, and the
/// kinds of what they name.
struct Case(&'static str, &'static str, i32, &'static [&'static str]);

/// `mk NAME KIND PATH...` writes the configuration, `hs` runs hookshot, and `both VERB...` runs it twice.
const PRELUDE: &str = r#"
set -u
umask 022
mkdir -m 1777 tmp; export TMPDIR=$PWD/tmp
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
user() { chmod 777 .; chmod -R a+rX o; [ -n "${KEEP-}" ] || chown -R 1234:1234 etc; setpriv --reuid 1234 --regid 1234 --clear-groups bash -c "$1"; }
command() { printf '[[backup.sources]]\nname = "d"\nkind = "command"\nexport = "cat %s"\nimport = "cat > %s"\n' "$PWD/held" "$PWD/held" >> etc/config.toml; }
holder() { mkfifo line; sqlite3 "$1" < line & exec 8> line; printf 'insert into t values(1);\n.shell touch held\n' >&8; until [ -e held ]; do sleep 0.05; done; }
crash() { mkfifo line; sqlite3 "$1" < line & local at=$!; exec 8> line; printf 'insert into t values(1);\n.shell touch held\n' >&8; until [ -e held ]; do sleep 0.05; done; kill -9 $at; wait $at 2> /dev/null; exec 8>&-; }
ghost() { cp /etc/passwd users; echo ghost:x:7777:0::/:/bin/sh >> users; mount --bind users /etc/passwd; }
acl() { local value=0x0200000001000600ffffffff02000400d204000004000000ffffffff10000400ffffffff20000000ffffffff; for at in "$@"; do setfattr -n system.posix_acl_access -v $value "$at" 2> /dev/null || return 1; done; }
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
        "subvolumes are not mounts",
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
        "a user without permission to write in the folder",
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
    Case(
        "a copy of the folder that the user has made as .bak",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; cp -a data data.bak; echo mine > data.bak/mine; echo 2 > data/f
        both import o/*; [ -e data.bak/mine ] && [ $(cat data.bak.1/f) = 2 ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a copy of the file that the user has made as .bak",
        "mk f file f; echo 1 > f; hs export o/; echo mine > f.bak; echo 2 > f; both import o/*; [ $(cat f.bak) = mine ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a copy of the database that the user has made as .bak",
        "mk app.db sqlite app.db; sqlite3 app.db 'create table t(a)'; hs export o/; echo mine > app.db.bak; sqlite3 app.db 'insert into t values(1)'
        both import o/*; [ $(cat app.db.bak) = mine ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a .bak that the user has put in the place of that of the last import",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; hs import o/*; echo 3 > f; rm f.bak; echo mine > f.bak; both import o/*; [ $(cat f.bak) = mine ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a database behind a link in a folder",
        "mkdir data real; mk app.db sqlite data/app.db data directory data; sqlite3 real/app.db 'create table t(a); insert into t values(1)'; ln -s ../real/app.db data/app.db
        echo 1 > data/f; hs export o/; echo 2 > data/f; sqlite3 real/app.db 'delete from t'; both import o/*
        [ -L data/app.db ] && [ $(sqlite3 data/app.db 'select count(*) from t') = 1 ] || rm real.rc",
        0,
        &["link"],
    ),
    Case(
        "a database behind a link in a folder, and the machine is a new one",
        "mkdir data real; mk app.db sqlite data/app.db data directory data; sqlite3 real/app.db 'create table t(a); insert into t values(1)'; ln -s ../real/app.db data/app.db
        echo 1 > data/f; hs export o/; rm -r data real; both import o/*; [ $(sqlite3 data/app.db 'select count(*) from t') = 1 ] || rm real.rc",
        3,
        &["link"],
    ),
    Case(
        "a link out of the folder that is here",
        "mkdir data big; mk data directory data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*; [ -L data/media ] || rm real.rc",
        0,
        &["link"],
    ),
    Case(
        "a link out of the folder that is not here",
        "mkdir data big; mk data directory data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; rm data/media; echo 2 > data/f; both import o/*",
        3,
        &["link"],
    ),
    Case(
        "a link out of the folder that is not here, and nothing else differs",
        "mkdir data big; mk data directory data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; rm data/media; both import o/*",
        3,
        &["link"],
    ),
    Case(
        "a link out of the folder that leads elsewhere here",
        "mkdir data big other; mk data directory data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; ln -sfn $PWD/other data/media; echo 2 > data/f
        both import o/*; [ $(readlink data/media) = $PWD/other ] || rm real.rc",
        3,
        &["link"],
    ),
    Case(
        "a folder where the archive has a link out of the folder",
        "mkdir data big; mk data directory data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; rm data/media; mkdir data/media; echo 2 > data/f; both import o/*",
        3,
        &["link"],
    ),
    Case(
        "every link is wanted",
        "mkdir data big; mk data directory data; echo 'links = \"all\"' >> etc/config.toml; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; rm data/media; echo 2 > data/f
        both import o/*; [ -L data/media ] || rm real.rc",
        0,
        &["link"],
    ),
    Case(
        "a link out of a volume that is not here",
        "mkdir vol data big; mk data directory data; mount --bind vol data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; rm data/media; echo 2 > data/f; both import o/*",
        3,
        &["link"],
    ),
    Case(
        "a link out of a volume that is here",
        "mkdir vol data big; mk data directory data; mount --bind vol data; ln -s $PWD/big data/media; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*; [ -L data/media ] || rm real.rc",
        0,
        &["link"],
    ),
    Case(
        "a path that is a link to nothing",
        "mk data directory data; mkdir data; echo 1 > data/f; hs export o/; rm -r data; ln -s nowhere data; both import o/*",
        2,
        &["usage"],
    ),
    Case(
        "a folder behind a link",
        "mkdir real; ln -s real data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; both import o/*; [ -L data ] && [ $(cat real/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "set-id bits and capabilities, as root",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chmod 6755 data/f f; echo 1 > data/c; setcap cap_net_raw+ep data/c || leave no capabilities here
        hs export o/; rm -r data f; both import o/*; [ $(stat -c %a data/f f | tr -d '\\n') = 67556755 ] && [ -n \"$(getcap data/c)\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "set-id bits of an owner without a name",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown 7777:8888 data/f f; chmod 6755 data/f f; hs export o/; rm -r data f
        both import o/*; [ $(stat -c %a data/f f | tr -d '\\n') = 67556755 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "set-id bits of a user whose name is not known here",
        "mkdir data; mk data directory data f file f; ghost; echo 1 > data/f; echo 1 > f; chown 7777 data/f f; chmod 4755 data/f f; hs export o/; umount /etc/passwd; rm -r data f
        both import o/*; [ $(stat -c %a data/f f | tr -d '\\n') = 755755 ] || rm real.rc",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "set-id bits in a volume, of a user whose name is not known here",
        "mkdir vol data; mk data directory data; ghost; mount --bind vol data; echo 1 > data/f; chown 7777 data/f; chmod 4755 data/f; hs export o/; umount /etc/passwd; rm data/f; both import o/*",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "set-id bits and capabilities, as an ordinary user",
        "mkdir data; mk data directory data; echo 1 > data/f; chmod 4755 data/f; echo 1 > data/c; setcap cap_net_raw+ep data/c || leave no capabilities here
        hs export o/; rm -r data; user 'both import o/*'",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "a trusted attribute, as an ordinary user",
        "mkdir data; mk data directory data; echo 1 > data/f; setfattr -n trusted.t -v 1 data/f || leave no attributes here; hs export o/; rm -r data; user 'both import o/*'",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "files of root, and an ordinary user",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; hs export o/; rm -r data f; user 'both import o/*'",
        0,
        &["owner"],
    ),
    Case(
        "files of root that are here, and an ordinary user",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; hs export o/; echo 2 > data/f; echo 2 > f; user 'both import o/*'",
        0,
        &["owner"],
    ),
    Case(
        "files of the user, and his import",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown -R 1234:1234 data f etc; hs export o/; echo 2 > data/f; user 'both import o/*'",
        0,
        &[],
    ),
    Case(
        "a user without permission to write in the folder of the configuration",
        "mkdir up; mk f file up/f; echo 1 > up/f; hs export o/; echo 2 > up/f; chown 1234 up; chmod 755 etc o; KEEP=1 user 'both import o/*'; [ $(cat up/f) = 2 ] || rm real.rc",
        11,
        &["owner", "target"],
    ),
    Case(
        "a user without permission to write in any folder",
        "mkdir up; mk f file up/f; echo 1 > up/f; hs export o/; echo 2 > up/f; chown 0 up etc; KEEP=1 user 'both import o/*'; [ $(cat up/f) = 2 ] || rm real.rc",
        11,
        &["owner", "target"],
    ),
    Case(
        "a user without permission to read the file",
        "mk f file f; echo 1 > f; chmod 600 f; hs export o/; echo 2 > f; user 'both import o/*'",
        1,
        &["forbidden"],
    ),
    Case(
        "a user without permission to open the folder",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; chmod 700 data; user 'both import o/*'",
        1,
        &["forbidden"],
    ),
    Case(
        "a user's rollback of what root has imported",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; KEEP=1 user 'both rollback'; [ $(cat data/f) = 1 ] || rm real.rc",
        1,
        &["forbidden"],
    ),
    Case(
        "a database in WAL mode that a process of another PID namespace has open",
        "mkdir data; mk app.db sqlite data/app.db; sqlite3 data/app.db 'pragma journal_mode=wal; create table t(a)' > /dev/null; hs export o/; holder data/app.db
        unshare --pid --fork --mount-proc bash -c 'both import o/*'",
        11,
        &["file_held"],
    ),
    Case(
        "such a database in a folder",
        "mkdir data; mk data directory data; sqlite3 data/app.db 'pragma journal_mode=wal; create table t(a)' > /dev/null; hs export o/; holder data/app.db
        unshare --pid --fork --mount-proc bash -c 'both import o/*'",
        11,
        &["file_held"],
    ),
    Case(
        "a database that a process has open",
        "mk app.db sqlite app.db; sqlite3 app.db 'create table t(a)'; hs export o/; holder app.db; both import o/*",
        11,
        &["file_held"],
    ),
    Case(
        "a rollback of a database that a process has open",
        "mk app.db sqlite app.db; sqlite3 app.db 'create table t(a)'; hs export o/; sqlite3 app.db 'insert into t values(1)'; hs import o/*; holder app.db; both rollback",
        11,
        &["file_held"],
    ),
    Case(
        "a file that a process writes",
        "mk f file f; echo 1 > f; hs export o/; exec 9>> f; both import o/*",
        11,
        &["file_held"],
    ),
    Case(
        "a file that a process has open, deleted",
        "mk f file f; echo 1 > f; hs export o/; exec 9>> f; rm f; both import o/*",
        11,
        &["open_deleted"],
    ),
    Case(
        "a process whose working directory is the folder",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; (cd data; exec sleep 60) & sleep 0.2; both import o/*",
        0,
        &["working_directory"],
    ),
    Case(
        "owners without a name",
        "mkdir data; mk app.db sqlite data/app.db data directory data f file f; sqlite3 data/app.db 'create table t(a)'; echo 1 > data/f; echo 1 > f; chown -R 7777:8888 data f
        hs export o/; rm -r data f; both import o/*; [ \"$(stat -c %u:%g data data/f data/app.db f | sort -u)\" = 7777:8888 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a user whose name is not known here",
        "mkdir data; mk data directory data f file f; ghost; echo 1 > data/f; echo 1 > f; chown 7777 data data/f f
        hs export o/; umount /etc/passwd; rm -r data f; both import o/*",
        0,
        &["owner"],
    ),
    Case(
        "a user with another number here",
        "mkdir data; mk data directory data f file f; ghost; sed s/7777/7778/ users > others; echo 1 > data/f; echo 1 > f; chown 7777 data data/f f
        hs export o/; mount --bind others /etc/passwd; rm -r data f; both import o/*; [ \"$(stat -c %u data/f f | sort -u)\" = 7778 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an ACL of a file, and it comes back",
        "mkdir data; mk f file f data directory data; echo 1 > f; echo 1 > data/f; acl f data/f || leave no ACLs here; hs export o/; rm f data/f; both import o/*
        [ -n \"$(getfattr -n system.posix_acl_access f 2> /dev/null)\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an ACL of a file, and a file system without ACLs",
        "mkdir at; mk f file at/f; echo 1 > at/f; acl at/f || leave no ACLs here; hs export o/; mount -t ramfs n at; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "an ACL of a database, and a file system without ACLs",
        "mkdir at; mk app.db sqlite at/app.db; sqlite3 at/app.db 'create table t(a)'; acl at/app.db || leave no ACLs here; hs export o/; mount -t ramfs n at; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "an ACL in a folder, and a file system without ACLs",
        "mkdir -p at/data; mk data directory at/data; echo 1 > at/data/f; acl at/data/f || leave no ACLs here; hs export o/; mount -t ramfs n at; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "an ACL of a folder, and a file system without ACLs",
        "mkdir -p at/data/in; mk data directory at/data; echo 1 > at/data/in/f; acl at/data/in || leave no ACLs here; hs export o/; mount -t ramfs n at; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "an ACL in a volume without ACLs",
        "mkdir data; mk data directory data; echo 1 > data/f; acl data/f || leave no ACLs here; hs export o/; mount -t ramfs n data; echo 2 > data/f; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "attributes of files, and a file system without them",
        "mkdir -p at/data; mk data directory at/data f file at/f; echo 1 > at/f; echo 1 > at/data/f; setfattr -n user.a -v 1 at/f && setfattr -n user.a -v 1 at/data/f || leave no attributes here
        hs export o/; mount -t ramfs n at; both import o/*",
        3,
        &["attribute"],
    ),
    Case(
        "owners that a rootless container does not have",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown 7777:8888 data/f f; hs export o/; rm -r data f; unshare -Ur bash -c 'both import o/*'",
        0,
        &["owner"],
    ),
    Case(
        "an ACL of a user that a rootless container does not have",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; acl f data/f || leave no ACLs here; hs export o/; rm -r data f; unshare -Ur bash -c 'both import o/*'",
        3,
        &["attribute"],
    ),
    Case(
        "set-id bits of owners that a rootless container does not have",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown 7777:8888 data/f f; chmod 4755 data/f f; hs export o/; rm -r data f; unshare -Ur bash -c 'both import o/*'",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "a trusted attribute in a rootless container",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; setfattr -n trusted.t -v 1 data/f; setfattr -n trusted.t -v 1 f; hs export o/; rm -r data f; unshare -Ur bash -c 'both import o/*'",
        3,
        &["attribute"],
    ),
    Case(
        "the same archive for the second time in a rootless container",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown 7777:8888 data/f f; hs export o/; rm -r data f
        unshare -Ur bash -c 'hs import o/*; both import o/*; [ ! -e data.bak ] && [ ! -e f.bak ] || rm real.rc'",
        0,
        &["owner"],
    ),
    Case(
        "a folder that is the lower layer of an overlay",
        "mkdir -p data/in f 'up/da ta' w m; mk data directory data; mount -t tmpfs n w; mkdir w/u w/w; echo 1 > data/in/f
        mount -t overlay o -o lowerdir=$PWD/f:$PWD/data/in,upperdir=$PWD/w/u,workdir=$PWD/w/w m || leave no overlays here
        hs export o/; echo 2 > data/in/f; both import o/*; grep -q 'the overlay file system at' real.json || rm real.rc",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a folder in the lower layer of an overlay of another mount namespace",
        "mkdir -p 'top dir/data' w m; mk data directory 'top dir/data'; echo 1 > 'top dir/data/f'
        unshare -m bash -c 'mount -t tmpfs n w; mkdir w/u w/w; mount -t overlay o -o \"lowerdir=$PWD/top dir,upperdir=$PWD/w/u,workdir=$PWD/w/w\" m && touch ready; exec sleep 60' &
        for i in $(seq 60); do [ -e ready ] && break; sleep 0.05; done; [ -e ready ] || leave no overlays here
        hs export o/; echo 2 > 'top dir/data/f'; both import o/*; grep -q 'the overlay file system at' real.json || rm real.rc",
        0,
        &["mounted_elsewhere"],
    ),
    Case(
        "a file system that gives nothing away, as a network share that squashes root",
        "mkdir -p data/d; mk data directory data f file f; echo 1 > data/f; echo 1 > data/d/g; ln -s f data/l; echo 1 > f; chown -R -h 7777:8888 data f; chmod 4755 data/f
        hs export o/; rm -r data f; hs() { strace -qq -f -o /dev/null -e trace=fchown,fchownat,chown,lchown -e inject=fchown,fchownat,chown,lchown:error=EPERM hookshot -q --config \"$PWD/etc/config.toml\" \"$@\"; }
        strace -o /dev/null true || leave no strace here; both import o/*; [ $(stat -c %u data/d/g) = 0 ] && [ $(stat -c %a data/f) = 755 ] || rm real.rc",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "an archive for the second time on a file system that gives nothing away",
        "mkdir -p data/d; mk data directory data f file f; echo 1 > data/f; echo 1 > data/d/g; echo 1 > f; chown -R 7777:8888 data f
        hs export o/; rm -r data f; hs() { strace -qq -f -o /dev/null -e trace=fchown,fchownat,chown,lchown -e inject=fchown,fchownat,chown,lchown:error=EPERM hookshot -q --config \"$PWD/etc/config.toml\" \"$@\"; }
        strace -o /dev/null true || leave no strace here; hs import o/*; both import o/*; [ ! -e data.bak ] && [ ! -e f.bak ] || rm real.rc",
        0,
        &["owner"],
    ),
    Case(
        "many owners that a file system refuses",
        "mkdir data; mk data directory data; for i in $(seq 150); do echo $i > data/$i; done; chown -R 7777:8888 data
        hs export o/; rm -r data; hs() { strace -qq -f -o /dev/null -e trace=fchown,fchownat,chown,lchown -e inject=fchown,fchownat,chown,lchown:error=EPERM hookshot -q --config \"$PWD/etc/config.toml\" \"$@\"; }
        strace -o /dev/null true || leave no strace here; both import o/*",
        0,
        &["owner"],
    ),
    Case(
        "root that may not give files away",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chown 7777:8888 data/f f; chmod 4755 data/f; hs export o/; rm -r data f
        setpriv --bounding-set -chown bash -c 'both import o/*'",
        3,
        &["attribute", "owner"],
    ),
    Case(
        "root that may not set capabilities and trusted attributes",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; setfattr -n trusted.t -v 1 f; setcap cap_net_raw+ep data/f; hs export o/; rm -r data f
        setpriv --bounding-set -setfcap,-sys_admin bash -c 'both import o/*'",
        3,
        &["attribute"],
    ),
    Case(
        "capabilities in a rootless container",
        "mkdir data; mk data directory data; echo 1 > data/f; setcap cap_net_raw+ep data/f; hs export o/; rm -r data; unshare -Ur bash -c 'both import o/*'; [ -n \"$(getcap data/f)\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a version that the rule does not take",
        "mkdir data; mk data directory data; sed -i \"2a app_version_command = \\\"cat $PWD/v\\\"\\nversion_rule = \\\"minor\\\"\" etc/config.toml; echo 1 > data/f
        echo 'App 1.30.1' > v; hs export o/; echo 'App 1.31.0' > v; echo 2 > data/f; both import o/*",
        14,
        &["app_version"],
    ),
    Case(
        "a version that the rule takes",
        "mkdir data; mk data directory data; sed -i \"2a app_version_command = \\\"cat $PWD/v\\\"\\nversion_rule = \\\"minor\\\"\" etc/config.toml; echo 1 > data/f
        echo 'App 1.30.1' > v; hs export o/; echo 'App 1.30.5' > v; echo 2 > data/f; both import o/*",
        0,
        &[],
    ),
    Case(
        "a version that nothing tells here",
        "mkdir data; mk data directory data; sed -i \"2a app_version_command = \\\"cat $PWD/v\\\"\\nversion_rule = \\\"minor\\\"\" etc/config.toml; echo 1 > data/f
        echo 'App 1.30.1' > v; hs export o/; rm v; echo 2 > data/f; both import o/*",
        14,
        &["app_version"],
    ),
    Case(
        "a secret that a group may read",
        "mk f file f; echo 'secret = true' >> etc/config.toml; install -m 640 -g 1 /dev/null f; echo 1 > f; hs export o/; rm f; both import o/*; [ $(stat -c %a f) = 640 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an archive without its secrets",
        "mk f file f g file g; echo 'secret = true' >> etc/config.toml; echo 1 > f; echo 1 > g; hs export --exclude-secrets o/; echo 2 > f; echo 2 > g; both import o/*; [ $(cat f g | tr -d '\\n') = 12 ] || rm real.rc",
        0,
        &["absent"],
    ),
    Case(
        "a rollback after the service has written its excluded log",
        "mkdir data; mk data directory data; echo 'exclude = [\"/app.log\"]' >> etc/config.toml; echo 1 > data/f; echo l > data/app.log; hs export o/; echo 2 > data/f
        hs import o/*; echo more >> data/app.log; both rollback; [ $(cat data/f) = 2 ] && [ $(wc -l < data/app.log) = 2 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a rollback after the service has worked",
        "mkdir data; mk app.db sqlite data/app.db data directory data; sqlite3 data/app.db 'create table t(a)'; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*
        sqlite3 data/app.db 'insert into t values(1)'; echo 3 > data/f; both rollback; [ $(cat data/f) = 2 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a rollback of a folder whose backup was changed",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; echo 3 > data.bak/f; both rollback",
        11,
        &["backup"],
    ),
    Case(
        "a rollback of a rollback",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; hs rollback; both rollback; [ $(cat data/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a rollback of nothing",
        "mkdir data; mk data directory data; both rollback",
        10,
        &["not_found"],
    ),
    Case(
        "a rollback with a configuration that is not there",
        "both rollback; [ ! -e etc ] || rm real.rc",
        10,
        &["not_found"],
    ),
    Case(
        "a rollback of what the commands held",
        "mk; command; echo 1 > held; hs export o/; echo 2 > held; hs import o/*; both rollback; [ $(cat held) = 2 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "another configuration here",
        "mkdir a b; mk f file a/f; echo 1 > a/f; hs export o/; mk f file b/f; both import o/*; [ $(cat b/f) = 1 ] && [ -e etc/config.toml.archive ] || rm real.rc",
        3,
        &["configuration"],
    ),
    Case(
        "another configuration here, and the archive's is wanted",
        "mkdir a b; mk f file a/f; echo 1 > a/f; hs export o/; mk f file b/f; both import --with-config o/*; grep -q a/f etc/config.toml || rm real.rc",
        0,
        &["configuration"],
    ),
    Case(
        "another configuration here that was laid beside before",
        "mkdir a b; mk f file a/f; echo 1 > a/f; hs export o/; mk f file b/f; hs import o/*; echo 2 > b/f; both import o/*; [ $(cat b/f) = 1 ] || rm real.rc",
        3,
        &["configuration"],
    ),
    Case(
        "a new machine that takes the archive's configuration",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; rm -r etc data; both import --use-archive-config o/*; [ $(cat data/f) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a new machine that does not say whose configuration holds",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; rm -r etc data; both import o/*; [ ! -e data ] || rm real.rc",
        2,
        &["usage"],
    ),
    Case(
        "another configuration here, and the archive's is to say where files go",
        "mkdir a b; mk f file a/f; echo 1 > a/f; hs export o/; mk f file b/f; both import --use-archive-config o/*",
        2,
        &["usage"],
    ),
    Case(
        "folders above that are missing",
        "mkdir -p srv/app/var; mk data directory srv/app/var/data f file srv/app/etc/f; mkdir srv/app/var/data srv/app/etc; echo 1 > srv/app/var/data/f; echo 1 > srv/app/etc/f
        hs export o/; rm -r srv; both import o/*; [ $(cat srv/app/etc/f srv/app/var/data/f | tr -d '\\n') = 11 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a command whose export succeeds",
        "mk; command; echo 1 > held; hs export o/; echo 2 > held; both import o/*; [ $(cat held) = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a command whose export fails",
        "mk; command; echo 1 > held; hs export o/; rm held; both import o/*; [ $(cat held) = 1 ] || rm real.rc",
        3,
        &["backup"],
    ),
    Case(
        "a command whose export fails, and force",
        "mk; command; echo 1 > held; hs export o/; rm held; both import --force o/*; [ $(cat held) = 1 ] || rm real.rc",
        0,
        &["backup"],
    ),
    Case(
        "a command whose export fails, and another reason",
        "mk; command; echo 'active_command = \"echo busy\"' >> etc/config.toml; echo 1 > held; hs export o/; rm held; both import o/*",
        11,
        &["active"],
    ),
    Case(
        "a command below another root",
        "mkdir root; mk f file f; command; echo 1 > held; echo 1 > f; hs export o/; both import --root root o/*; [ $(cat root$PWD/f) = 1 ] || rm real.rc",
        3,
        &["command"],
    ),
    Case(
        "a command and other places",
        "mk f file a/f; mkdir a b; command; echo 1 > held; echo 1 > a/f; hs export o/; both import --map $PWD/a=$PWD/b o/*; [ $(cat b/f) = 1 ] || rm real.rc",
        0,
        &["map"],
    ),
    Case(
        "a command without an import",
        "mk; printf '[[backup.sources]]\\nname = \"d\"\\nkind = \"command\"\\nexport = \"date\"\\n' >> etc/config.toml; hs export o/; both import o/*",
        3,
        &["no_place"],
    ),
    Case(
        "the same archive for the second time",
        "mkdir data; mk data directory data f file f; echo 1 > data/f; echo 1 > f; chmod 4755 data/f; hs export o/; echo 2 > data/f; echo 2 > f; hs import o/*; both import o/*
        [ $(cat data.bak/f f.bak | tr -d '\\n') = 22 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an archive with a torn database",
        "mkdir data; mk data directory data; { printf 'SQLite format 3\\0'; head -c 5000 /dev/urandom; } > data/bad.db; hs export o/; rm data/bad.db; both import o/*; [ -e data/bad.db ] || rm real.rc",
        3,
        &["torn"],
    ),
    Case(
        "an archive with a torn database that is here already",
        "mkdir data; mk data directory data; { printf 'SQLite format 3\\0'; head -c 5000 /dev/urandom; } > data/bad.db; hs export o/; both import o/*",
        3,
        &["torn"],
    ),
    Case(
        "an archive that is cut short",
        "mk f file f; echo 1 > f; hs export o/; truncate -s -20 o/*; both import o/*",
        13,
        &["archive_refused"],
    ),
    Case(
        "an archive that is not there",
        "mk f file f; echo 1 > f; both import o/none.tar.gz",
        10,
        &["not_found"],
    ),
    Case(
        "an entry that is not there",
        "mk f file f; echo 1 > f; hs export o/; both import --only g o/*",
        10,
        &["not_found"],
    ),
    Case(
        "a user at work",
        "mk f file f; echo 'active_command = \"echo busy\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import o/*",
        11,
        &["active"],
    ),
    Case(
        "a user at work, and force",
        "mk f file f; echo 'active_command = \"echo busy\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import --force o/*",
        0,
        &[],
    ),
    Case(
        "unknown users at work",
        "mk f file f; echo 'active_command = \"exit 7\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import o/*",
        11,
        &["activity_unknown"],
    ),
    Case(
        "a row that is a user at work",
        "mk app.db sqlite app.db; echo 'active_query = \"select a from t\"' >> etc/config.toml; sqlite3 app.db 'create table t(a); insert into t values(1)'; hs export o/; sqlite3 app.db 'insert into t values(2)'; both import o/*",
        11,
        &["active"],
    ),
    Case(
        "a service that runs",
        "mk f file f; echo 'service = \"true\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import o/*",
        11,
        &["service"],
    ),
    Case(
        "a service that runs, and force",
        "mk f file f; echo 'service = \"true\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import --force o/*",
        11,
        &["service"],
    ),
    Case(
        "a service that does not run",
        "mk f file f; echo 'service = \"false\"' >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; both import o/*",
        0,
        &[],
    ),
    Case(
        "a service that runs, and a rollback",
        "mk f file f; echo \"service = \\\"test -e $PWD/runs\\\"\" >> etc/config.toml; echo 1 > f; hs export o/; echo 2 > f; hs import o/*; touch runs; both rollback",
        11,
        &["service"],
    ),
    Case(
        "a unit of systemd that runs",
        "mkdir bin; printf '#!/bin/sh\\necho active\\n' > bin/systemctl; chmod 755 bin/systemctl; export PATH=$PWD/bin:$PATH; mk f file f; echo 'service = \"app.service\"' >> etc/config.toml
        echo 1 > f; hs export o/; echo 2 > f; both import o/*",
        11,
        &["service"],
    ),
    Case(
        "a tokenizer of the service's own",
        "mk p.db sqlite p.db; sqlite3 p.db 'create table x(a); create virtual table f using fts4(b)'
        sqlite3 p.db '.dbconfig defensive off' '.dbconfig writable_schema on' \"update sqlite_schema set sql='CREATE VIRTUAL TABLE f using fts4(b, tokenize=collating)' where name='f'\" > /dev/null
        hs export o/; rm p.db; both import o/*",
        0,
        &["check"],
    ),
    Case(
        "what SQLite has left beside an old database",
        "mkdir data; mk app.db sqlite data/app.db; sqlite3 data/app.db 'pragma journal_mode=wal; create table t(a)' > /dev/null; hs export o/; crash data/app.db; [ -s data/app.db-wal ] || leave no crash
        both import o/*; [ ! -e data/app.db-wal ] && [ $(sqlite3 data/app.db 'select count(*) from t') = 0 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a rollback of that",
        "mkdir data; mk app.db sqlite data/app.db; sqlite3 data/app.db 'pragma journal_mode=wal; create table t(a)' > /dev/null; hs export o/; crash data/app.db; [ -s data/app.db-wal ] || leave no crash
        hs import o/*; both rollback; [ $(sqlite3 data/app.db 'select count(*) from t') = 1 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a fifo and a socket in the folder",
        "mkdir data; mk data directory data; echo 1 > data/f; mkfifo data/p; hs export o/; echo 2 > data/f; both import o/*; [ -p data/p ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "names and times that are unusual",
        "mkdir data; mk data directory data; echo 1 > data/$'\\xff\\n'; touch -d 1900-01-01 data/*; touch -d @-1 data; ln -s loop data/loop; hs export o/; rm data/*; both import o/*; [ -e data/$'\\xff\\n' ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a file that matches a pattern and is not in the archive",
        "mkdir b; mk 'b/*.ini' file 'b/*.ini'; echo 1 > b/a.ini; hs export o/; echo 1 > b/c.ini; echo 2 > b/a.ini; both import o/*",
        0,
        &["stray"],
    ),
    Case(
        "a folder that is empty",
        "mkdir data; mk data directory data; hs export o/; echo 2 > data/f; both import o/*; [ -z \"$(ls data)\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a disk that is full",
        "mkdir at; mk f file at/f; head -c 3000000 /dev/urandom > at/f; hs export o/; mount -t tmpfs -o size=1m n at; echo 2 > at/f; both import o/*; [ $(cat at/f) = 2 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "a temporary folder that is not there",
        "mkdir data; mk data directory data app.db sqlite app.db; sqlite3 app.db 'create table t(a)'; echo 1 > data/f; hs export o/; echo 2 > data/f; sqlite3 app.db 'insert into t values(1)'
        export TMPDIR=$PWD/none; both import o/*; [ $(cat data/f) = 1 ] && [ -z \"$(find . -name '*.rehearsal*')\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a temporary folder that is read-only",
        "mkdir data; mk data directory data app.db sqlite app.db; sqlite3 app.db 'create table t(a)'; echo 1 > data/f; hs export o/; echo 2 > data/f; sqlite3 app.db 'insert into t values(1)'
        mount --bind tmp tmp; mount -o remount,bind,ro tmp; both import o/*; [ $(cat data/f) = 1 ] && [ -z \"$(find . -name '*.rehearsal*')\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a temporary folder that is full",
        "mkdir data; mk data directory data app.db sqlite app.db; sqlite3 app.db 'create table t(a); insert into t values(randomblob(200000))'; head -c 300000 /dev/urandom > data/f; hs export o/
        echo 2 > data/f; sqlite3 app.db 'insert into t values(1); pragma page_size=512; vacuum'; mount -t tmpfs -o size=64k n tmp; head -c 60000 /dev/zero > tmp/x
        both import o/*; [ $(stat -c %s data/f) = 300000 ] && [ -z \"$(find . -name '*.rehearsal*')\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a temporary folder that is full, and a state of which nothing is there",
        "mkdir -p up/data; mk data directory up/data; head -c 300000 /dev/urandom > up/data/f; hs export o/; rm -r up; mount -t tmpfs -o size=64k n tmp
        both import o/*; [ $(stat -c %s up/data/f) = 300000 ] && [ -z \"$(find . -name '*.rehearsal*')\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a temporary folder that is not there, and a rollback",
        "mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; hs import o/*; export TMPDIR=$PWD/none; both rollback; [ $(cat data/f) = 2 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a temporary folder and a disk that are full",
        "mkdir at; mk f file at/f; head -c 3000000 /dev/urandom > at/f; hs export o/; mount -t tmpfs -o size=1m n at; mount -t tmpfs -o size=64k n tmp; echo 2 > at/f; both import o/*; [ $(cat at/f) = 2 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "what a rehearsal beside the state has left that was killed or interrupted",
        "mkdir data; mk data directory data; head -c 30000000 /dev/urandom > data/f; hs export o/; echo 2 > data/f; export TMPDIR=$PWD/none
        for signal in TERM KILL; do
            hookshot -q --config $PWD/etc/config.toml import --dry-run o/* > /dev/null 2>&1 & at=$!
            for i in $(seq 500); do ls .hookshot-*.rehearsal > /dev/null 2>&1 && break; sleep 0.01; done
            kill -$signal $at; wait $at; ls -d .hookshot-*.rehearsal > left.$signal 2> /dev/null
        done
        [ ! -s left.TERM ] && [ -s left.KILL ] || exit; hs diff o/* > /dev/null 2>&1; [ ! -e $(cat left.KILL) ] || exit; both import o/*",
        0,
        &[],
    ),
    Case(
        "a limit of a file's size below that of an entry",
        "mk f file f; head -c 3000000 /dev/urandom > f; hs export o/; echo 2 > f; hs() { (ulimit -f 1000; hookshot -q --config $PWD/etc/config.toml \"$@\"); }
        both import o/*; grep -q 'ulimit -f' dry.json real.json && [ $(cat f) = 2 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "a limit of a file's size below that of the journal",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; hs() { (ulimit -f 1; hookshot -q --config $PWD/etc/config.toml \"$@\"); }
        both import o/*; grep -q 'ulimit -f' dry.json && grep -q 'ulimit -f' real.json && [ $(cat f) = 2 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "a limit of a file's size below that of the journal of a rollback",
        "mk f file f; echo 1 > f; hs export o/; echo 2 > f; hs import o/*; hs() { (ulimit -f 1; hookshot -q --config $PWD/etc/config.toml \"$@\"); }
        both rollback; grep -q 'ulimit -f' dry.json && [ $(cat f) = 1 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "a limit of a file's size that suffices",
        "mk f file f; head -c 30000 /dev/urandom > f; hs export o/; echo 2 > f; hs() { (ulimit -f 40; hookshot -q --config $PWD/etc/config.toml \"$@\"); }; both import o/*; [ $(stat -c %s f) = 30000 ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a disk that is full, and a folder",
        "mkdir -p at/data; mk data directory at/data; head -c 3000000 /dev/urandom > at/data/f; hs export o/; mount -t tmpfs -o size=1m n at; mkdir at/data; echo 2 > at/data/f; both import o/*; [ $(cat at/data/f) = 2 ] || rm real.rc",
        18,
        &["no_space"],
    ),
    Case(
        "a database in a directory of many files, and a temporary folder without room for it",
        "mkdir data; mk data directory data; (cd data; seq 10001 | split -l 1 -a 4 - n)
        sqlite3 data/app.db 'create table t(a); insert into t values(randomblob(6000000))'; hs export o/; echo 2 > data/naaaa; mount -t tmpfs -o size=6m n tmp
        both import o/*; [ $(cat data/naaaa) = 1 ] && [ -z \"$(find . -name '*.rehearsal*')\" ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "an import that cannot begin unpacks no file, as its dry run",
        "strace -V > /dev/null || leave no strace; mkdir data; mk data directory data; echo 1 > data/f; hs export o/; echo 2 > data/f; chattr +i etc || leave no immutable files
        hs() { strace -f -qq -A -o trace -e trace=file hookshot -q --config $PWD/etc/config.toml \"$@\"; }
        both import o/*; grep -q '[.]rehearsal' trace && ! grep -qE '[.](rehearsal|staging)/data' trace || rm real.rc",
        11,
        &["target"],
    ),
    Case(
        "a disk that is full when folders of excluded files get their times",
        "strace -V > /dev/null || leave no strace; mkdir -p data/a/b; mk data directory data; echo 'exclude = [\"*.x\"]' >> etc/config.toml; echo 1 > data/a/b/f; echo x > data/a/b/e.x
        hs export o/; echo 2 > data/a/b/f; cp -a data before
        for number in $(seq 12); do
            strace -f -qq -o /dev/null -e inject=utimensat:error=ENOSPC:when=$number hookshot -q --config $PWD/etc/config.toml import o/* > said 2>&1; code=$?
            case $code in
                0|3) ;;
                18) touch full; diff -r before data && [ -z \"$(find . -name '.hookshot-*')\" ] || exit ;;
                *) exit ;;
            esac
            rm -rf data data.bak; cp -a before data
        done
        [ -e full ] || exit; both import o/*; [ $(cat data/a/b/f data/a/b/e.x | tr -d '\\n') = 1x ] || rm real.rc",
        0,
        &[],
    ),
    Case(
        "a folder that may not be written in a directory that an extraction builds in part",
        "strace -V > /dev/null || leave no strace; mkdir -p data/a x; mk data directory data; echo 1 > data/a/f; echo 2 > data/b; chmod 500 data/a; hs export o/; echo 3 > data/b; chmod 777 x
        user 'strace -f -qq -o /dev/null -e inject=syncfs:error=EIO hookshot -q --config $PWD/etc/config.toml extract o/* data -o x > said 2>&1'; [ $? = 1 ] && grep -q 'cannot sync' said && [ -z \"$(ls -A x)\" ] || exit
        both import o/*; [ $(cat data/b) = 2 ] || rm real.rc",
        0,
        &[],
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
    let folder = tempfile::Builder::new().prefix("case-").tempdir_in(above());
    let folder = folder.expect("a folder");
    let begun = Instant::now();
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
    println!("{:4.1} s: {name}", begun.elapsed().as_secs_f64());
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

/// The folder above those of the cases: every user may go through it.
fn above() -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let is_open = |folder: &Path| {
        let metadata = folder.metadata();
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    let chosen = std::env::temp_dir();
    match chosen.ancestors().all(is_open) {
        true => chosen,
        false => PathBuf::from("/tmp"),
    }
}

/// Returns the kinds that a report names, or that of the error if it is not a report.
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
