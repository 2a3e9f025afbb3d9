//! Mounts that a probe leaves in the sandbox: what is mounted there is not part of it.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use support::{finish, is_root, program, service::write};

use super::{Shop, names};

/// Mounts a folder of the machine, a file of it, and a file system of its own.
const MOUNTS: &str = "set -e; cd \"$HOOKSHOT_SANDBOX\"; mkdir -p deep/bound own; touch file\n\
    mount --bind \"$VICTIM\" deep/bound; mount --bind \"$VICTIM/one\" file\n\
    mount -t tmpfs none own; echo mine > own/kept; echo gone > deep/gone";

fn victim(shop: &Shop) -> std::path::PathBuf {
    let victim = shop.service.machine.path("victim");
    write(&victim.join("one"), "one");
    write(&victim.join("in/two"), "two");
    victim
}

#[track_caller]
fn is_whole(victim: &Path) {
    let read = |name: &str| fs::read_to_string(victim.join(name)).unwrap_or_default();
    assert_eq!((read("one"), read("in/two")), ("one".into(), "two".into()));
}

/// Runs a script in a mount namespace of its own; `hs` is the program.
fn script(shop: &Shop, victim: &Path, script: &str) -> support::Run {
    let mut command = Command::new("unshare");
    let hs = "hs() { \"$PROGRAM\" --config \"$CONFIG\" \"$@\"; }";
    command.args(["-m", "bash", "-c", &format!("{hs}\n{script}")]);
    command.env("PROGRAM", program());
    command.env("CONFIG", &shop.service.config);
    command.env("VICTIM", victim);
    command.env("TMPDIR", shop.service.machine.path("tmp"));
    finish(command, b"")
}

#[test]
fn the_removal_of_a_sandbox_enters_no_mount() {
    if !is_root("a mount") {
        return;
    }
    let shop = Shop::new(&format!("[backup.drill]\nprobe = '''{MOUNTS}'''\n"));
    let victim = victim(&shop);
    let run = script(
        &shop,
        &victim,
        "hs --json drill @one > report; echo $? >> report; cat report; rm report\n\
        cd \"$TMPDIR\"/.hookshot-*.drill/root && find . | sort && cat own/kept file",
    );
    is_whole(&victim);
    let text = run.text();
    let (report, rest) = text.split_once("\n3\n").expect("exit code 3");
    let report: Value = serde_json::from_str(report).expect("JSON");
    assert_eq!(
        rest,
        ".\n./deep\n./deep/bound\n./deep/bound/in\n./deep/bound/in/two\n./deep/bound/one\n./file\n./own\n./own/kept\nmine\none"
    );
    let drill = &report["drills"][0];
    assert_eq!(
        (&drill["good"], &report["result"]),
        (&true.into(), &"partial".into())
    );
    let warnings = drill["warnings"].as_array().expect("warnings");
    let warning = warnings.last().and_then(Value::as_str).expect("a warning");
    for words in [
        "cannot remove ",
        "/root/deep/bound",
        "/root/own",
        "/root/file",
        "`umount -R /",
    ] {
        assert!(warning.contains(words), "{words}: {warning}");
    }
    assert_eq!(report["error"]["message"], warning);
    assert_eq!(
        report["error"]["hint"],
        "the folder holds secrets: remove it; the next run tries again"
    );
    // In this namespace nothing is mounted: the next run removes the rest.
    shop.configure("");
    shop.run(&["@one"], 0);
    shop.left_nothing();
    is_whole(&victim);
}

#[test]
fn the_sandbox_of_a_killed_drill_goes_when_its_mounts_are_gone() {
    if !is_root("a mount") {
        return;
    }
    let kill = format!("{MOUNTS}\nkill -9 $PPID; sleep 1000");
    let shop = Shop::new(&format!("[backup.drill]\nprobe = '''{kill}'''\n"));
    let victim = victim(&shop);
    let run = script(
        &shop,
        &victim,
        "hs drill @one 2> /dev/null; echo $?\n\
        hs backup 2>&1 | grep -m1 'could not be removed'\n\
        cat \"$TMPDIR\"/.hookshot-*.drill/root/own/kept\n\
        umount -R \"$TMPDIR\"/.hookshot-*.drill/root/{deep/bound,own,file}\n\
        hs -q backup > /dev/null || exit 1; ls -A \"$TMPDIR\"",
    );
    is_whole(&victim);
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    let [code, warning, kept] = lines[..] else {
        panic!("{text}\n{}", run.stderr);
    };
    assert_eq!((code, kept), ("137", "mine"));
    assert!(warning.contains("something is mounted at "), "{warning}");
    assert_eq!(names(&shop.service.machine.path("tmp")), [""; 0]);
}
