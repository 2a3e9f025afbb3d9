//! Drills that are killed, terminated, kept out, or have no room; and their times.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    process::{Command, Stdio},
    time::Instant,
};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use support::{Mounted, bounds, is_root, signals};

use super::{Shop, archives, facts, names};

/// The way in which a drill is killed.
const KILL: &str = "kill -9 $PPID";

#[test]
fn a_drill_that_is_killed_anywhere_leaves_nothing_once_the_next_one_ran() {
    let dump = |import: &str| {
        format!(
            "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo rows\"\nimport = '''{import}'''\n"
        )
    };
    let shop = Shop::empty("");
    shop.configure(&dump("cat"));
    shop.service.run(&["backup"], 0);
    let before = facts(&shop.service.folder);
    let sleeper = shop.service.machine.path("out/sleeper");
    let lingers = format!("sleep 1000 & echo $! > {}; {KILL}; wait", sleeper.display());
    let hook = |stage: &str| {
        format!("[[backup.hooks]]\nstage = \"{stage}\"\nrun = '{KILL}'\noperations = [\"drill\"]\n")
    };
    let points = [
        ("before hook", dump("cat") + &hook("before")),
        (
            "import command",
            dump(KILL) + "[backup.drill]\ncommands = true\n",
        ),
        (
            "probe",
            format!("{}[backup.drill]\nprobe = '''{lingers}'''\n", dump("cat")),
        ),
        ("finally hook", dump("cat") + &hook("finally")),
    ];
    for (point, text) in points {
        shop.configure(&text);
        let mut child = shop.start(&["@one"]);
        assert!(!child.wait().expect("ended").success(), "{point}");
        if matches!(point, "import command" | "probe") {
            assert_eq!(names(&shop.service.machine.path("tmp")).len(), 1, "{point}");
        }
        let said = shop.service.machine.path("out/said");
        let says = format!(
            "[[backup.hooks]]\nstage = \"finally\"\noperations = [\"drill\"]\n\
            run = '''echo $HOOKSHOT_OPERATION $HOOKSHOT_RESULT $HOOKSHOT_EXIT_CODE >> {}'''\n",
            said.display()
        );
        shop.configure(&(dump("cat") + &says));
        shop.run(&["@one"], 0).says("An earlier run was killed");
        let said_there = fs::read_to_string(&said).expect("there");
        assert_eq!(
            said_there, "drill failure 137\ndrill success 0\n",
            "{point}"
        );
        fs::remove_file(&said).expect("removed");
        shop.left_nothing();
        let history = shop.history();
        let ended = &history[history.len() - 3];
        assert_eq!(
            (&ended["job"], &ended["exit_code"]),
            (&"drill".into(), &137.into()),
            "{point}"
        );
    }
    let sleeper = fs::read_to_string(sleeper).expect("a number");
    let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.trim()));
    assert!(
        stat.is_err() || stat.expect("read").contains(") Z"),
        "the probe's child lives"
    );
    assert_eq!(facts(&shop.service.folder), before);
}

/// Opens a fifo to write, once it is read.
fn writer(path: &std::path::Path) -> File {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(0);
    options.open(path).expect("a reader")
}

#[test]
fn a_drill_that_is_killed_while_it_fetches_leaves_nothing_once_the_next_one_ran() {
    let shop = Shop::empty("");
    let mut random = vec![0; 3 << 20];
    let mut seed = 1u64;
    random.fill_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    });
    fs::write(shop.path("data/large"), random).expect("written");
    shop.service.run(&["backup"], 0);
    let bytes = fs::read(&archives(&shop.one)[0]).expect("read");
    let fifo = shop.service.machine.path("out/slow.tar.gz");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo");
    let mut child = shop.start(&[fifo.to_str().expect("UTF-8")]);
    let mut to = writer(&fifo);
    // More than the pipe and the readers hold: most of it was unpacked.
    to.write_all(&bytes[..bytes.len() - 100_000])
        .expect("taken");
    let tmp = shop.service.machine.path("tmp");
    assert_eq!(names(&tmp).len(), 1, "the sandbox");
    child.kill().expect("killed");
    child.wait().expect("ended");
    drop(to);
    assert_eq!(names(&tmp).len(), 1, "it is left");
    shop.json(&["@two"], 0);
    shop.left_nothing();
}

#[test]
fn a_drill_that_is_terminated_removes_its_sandbox_and_is_recorded() {
    let shop = Shop::new("");
    let ready = shop.service.machine.path("out/ready");
    mkfifo(&ready, Mode::S_IRWXU).expect("a fifo");
    shop.configure(&format!(
        "[backup.drill]\nprobe = 'echo > {}; exec sleep 1000'\n",
        ready.display()
    ));
    let child = shop.start(&[]);
    let _ = fs::read(&ready).expect("the probe runs");
    signals::send(Signal::SIGTERM, &child);
    let output = bounds::end_of(child);
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    shop.left_nothing();
    let history = shop.history();
    let last = history.last().expect("a record");
    assert_eq!(
        (&last["job"], &last["result"], &last["exit_code"]),
        (&"drill".into(), &"failure".into(), &143.into())
    );
}

#[test]
fn a_full_temporary_folder_is_exit_code_18_and_leaves_nothing() {
    if !is_root("a file system of its own for TMPDIR") {
        return;
    }
    let shop = Shop::empty("");
    fs::write(shop.path("data/large"), vec![0x41; 4 << 20]).expect("written");
    shop.service.run(&["backup"], 0);
    let tmp = shop.service.machine.path("tmp");
    for size in ["1m", "200k"] {
        let _full = Mounted::tmpfs(&tmp, size);
        let run = shop.run(&["--json"], 18);
        let report = run.json();
        assert_eq!(report["drills"][0]["good"], false);
        let hint = report["error"]["hint"].as_str().unwrap_or_default();
        assert!(hint.contains("TMPDIR"), "{size}: {report}");
        shop.left_nothing();
        let full = fs::write(tmp.join("filled"), vec![1; 2 << 20]);
        full.expect_err("it is full");
        shop.json(&["@one"], 18);
    }
    shop.json(&["@one"], 0);
}

#[test]
fn one_job_at_a_time_and_a_scheduled_drill_that_is_kept_out_is_recorded() {
    let mut shop = Shop::new("");
    let pipe = |name: &str| {
        let pipe = shop.service.machine.path(name);
        mkfifo(&pipe, Mode::S_IRWXU).expect("a fifo");
        pipe
    };
    let (ready, go) = (pipe("out/ready"), pipe("out/go"));
    shop.configure(&format!(
        "[backup.drill]\nprobe = 'echo > {}; cat {}'\n",
        ready.display(),
        go.display()
    ));
    let first = shop.start(&["@one"]);
    let _ = fs::read(&ready).expect("the probe runs");
    shop.configure("");
    let run = shop.run(&["@two"], 11);
    assert!(
        run.stderr
            .contains("a job of this configuration is at work"),
        "{}",
        run.stderr
    );
    let count = shop.history().len();
    shop.service.set("HOOKSHOT_JOB", "drill");
    shop.run(&["@two"], 11);
    let history = shop.history();
    assert_eq!(history.len(), count + 1);
    assert_eq!(history[count]["exit_code"], 11);
    let second = shop.start(&["--lock-wait", "10m", "@two"]);
    fs::write(&go, "").expect("the probe ends");
    assert!(bounds::end_of(first).status.success());
    assert!(bounds::end_of(second).status.success());
    shop.left_nothing();
}

/// The import command takes 5 s, so the few moments around it do not count.
#[test]
fn the_measured_time_is_that_of_a_restore_by_the_stopwatch() {
    let shop = Shop::empty("");
    let text = "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo rows\"\nimport = \"cat; sleep 5\"\n\
        [backup.drill]\ncommands = true\nprobe = \"sleep 3\"\n";
    shop.configure(text);
    shop.service.run(&["backup"], 0);
    let report = shop.json(&["@one"], 0);
    let drill = &report["drills"][0];
    let begun = Instant::now();
    shop.service.run(&["import", "@one/latest"], 0);
    let stopwatch = begun.elapsed().as_secs_f64();
    let rto = drill["rto_seconds"].as_f64().expect("seconds");
    let ratio = rto / stopwatch;
    assert!((0.9..1.1).contains(&ratio), "{rto} {stopwatch}");
    let probe = drill["seconds"]["probe"].as_f64().expect("seconds");
    assert!(probe >= 3.0, "{drill}");
    // The time of an archive that comes slowly is that of fetching it.
    let without = text.split_once("[backup.drill]").expect("two parts").0;
    shop.configure(without);
    let fifo = shop.service.machine.path("out/slow.tar.gz");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo");
    let archive = archives(&shop.one)[0].display().to_string();
    let slowly = format!(
        "exec > {}; head -c 1000 {archive}; sleep 3; tail -c +1001 {archive}",
        fifo.display()
    );
    let mut feeder = Command::new("sh")
        .args(["-c", &slowly])
        .stdin(Stdio::null())
        .spawn()
        .expect("started");
    let report = shop.json(&[fifo.to_str().expect("UTF-8")], 0);
    feeder.wait().expect("ended");
    let seconds = &report["drills"][0]["seconds"];
    let part = |key: &str| seconds[key].as_f64().expect("seconds");
    assert!(part("fetch") >= 2.5, "{seconds}");
    assert!(part("verify") + part("restore") < 2.5, "{seconds}");
}
