//! Terminals: signals that mean what they mean elsewhere, commands that have no terminal to wait for, and a bar that fits.

use support::Machine;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Runs a script of bash in a terminal of so many columns, in the foreground, and returns all that the terminal got. Of the
/// environment only PATH is left; `TYPED` is typed as an answer to the first words.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
columns, script, *variables = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 15, int(columns), 0, 0))
    environment = dict(variable.split("=", 1) for variable in variables)
    environment["PATH"] = os.environ["PATH"]
    os.execvpe("bash", ["bash", "-c", script], environment)
typed = dict(variable.split("=", 1) for variable in variables).get("TYPED")
while True:
    try:
        said = os.read(terminal, 65536)
    except OSError:
        break
    if not said:
        break
    if typed:
        os.write(terminal, typed.encode())
        typed = None
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Reads slowly: 20 ms for each of some 50 pieces.
const SLOW: &str = "import sys, time\nwhile sys.stdin.buffer.read(120000): time.sleep(0.02)";

pub fn in_terminal(columns: u16, script: &str, variables: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, &columns.to_string(), script]);
    command.args(variables).stdout(Stdio::piped());
    command
}

pub fn output(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().expect("python3");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

/// A machine whose state is one command or more.
fn machine(sources: &str) -> Machine {
    let machine = Machine::empty();
    let config = format!("[backup]\nprefix = \"t\"\ninclude_config = false\n{sources}");
    machine.write("etc/config.toml", config, 0o600);
    machine
}

fn source(name: &str, export: &str) -> String {
    format!(
        "[[backup.sources]]\nname = \"{name}\"\nkind = \"command\"\nexport = '''{export}'''\nimport = \"cat >/dev/null\"\n"
    )
}

/// An export that waits for the end of a fifo.
struct Waiting {
    child: Child,
    fifo: File,
}

impl Waiting {
    /// Starts it by way of `around`, a script that runs `"$@"`, and returns when it reads.
    fn start(machine: &Machine, around: &str, options: &[&str]) -> Waiting {
        let path = machine.path("fifo");
        if !path.exists() {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        }
        let hookshot = machine.command();
        let child = Command::new("sh")
            .args(["-c", around, "sh"])
            .arg(hookshot.get_program())
            .args(hookshot.get_args())
            .args(options)
            .args(["export", "out.tar.gz"])
            .current_dir(machine.path("out"))
            .env("TMPDIR", machine.path("tmp"))
            .stderr(File::create(machine.path("stderr")).expect("a file"))
            .spawn()
            .expect("sh");
        let fifo = File::options().write(true).open(path).expect("a fifo");
        Waiting { child, fifo }
    }

    fn machine() -> Machine {
        let machine = machine("");
        let fifo = machine.path("fifo");
        let source = source("c", &format!("cat {}", fifo.display()));
        let config = fs::read_to_string(machine.path("etc/config.toml")).expect("text");
        machine.write("etc/config.toml", config + &source, 0o600);
        machine
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a number");
        kill(Pid::from_raw(pid), signal).expect("sent");
    }

    /// Lets the command end, and returns how hookshot ended.
    fn finish(mut self) -> Option<i32> {
        let _ = self.fifo.write_all(b"content\n");
        drop(self.fifo);
        let status = self.child.wait().expect("an end");
        status.code().or(status.signal().map(|signal| 128 + signal))
    }
}

/// Waits until `is_so`; fails the test after ten seconds.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn said(machine: &Machine) -> String {
    fs::read_to_string(machine.path("stderr")).expect("text")
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for (name, signal) in [
        ("HUP", Signal::SIGHUP),
        ("INT", Signal::SIGINT),
        ("TERM", Signal::SIGTERM),
        ("USR1", Signal::SIGUSR1),
    ] {
        let machine = Waiting::machine();
        let around = format!("trap '' {name}; exec \"$@\"");
        let waiting = Waiting::start(&machine, &around, &[]);
        waiting.send(signal);
        assert_eq!(waiting.finish(), Some(0), "{name}: {}", said(&machine));
        machine.run(&["verify", "out.tar.gz"]).exits(0);
    }
    let machine = Waiting::machine();
    let waiting = Waiting::start(&machine, "exec nohup \"$@\"", &[]);
    waiting.send(Signal::SIGHUP);
    assert_eq!(waiting.finish(), Some(0), "{}", said(&machine));
    // Other signals mean what they meant.
    let waiting = Waiting::start(&machine, "exec nohup \"$@\"", &[]);
    waiting.send(Signal::SIGTERM);
    assert_eq!(waiting.finish(), Some(143), "{}", said(&machine));
}

#[test]
fn a_job_in_the_background_of_a_script_outlives_an_interrupt() {
    let machine = Waiting::machine();
    // A shell without job control ignores SIGINT and SIGQUIT for it (POSIX, "Asynchronous Lists").
    let around = "\"$@\" & echo $! >pid.new; mv pid.new pid; wait $!";
    let waiting = Waiting::start(&machine, around, &[]);
    let path = machine.path("out/pid");
    wait_until("a number", || path.exists());
    let pid = fs::read_to_string(path).expect("a number");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
    kill(pid, Signal::SIGINT).expect("sent");
    assert_eq!(waiting.finish(), Some(0), "{}", said(&machine));
}

#[test]
fn without_that_signals_end_the_work_and_leave_nothing() {
    for (signal, code) in [
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
    ] {
        let machine = Waiting::machine();
        let waiting = Waiting::start(&machine, "exec \"$@\"", &[]);
        waiting.send(signal);
        let mut waiting = waiting;
        let status = waiting.child.wait().expect("an end");
        assert_eq!(status.code(), Some(code), "{}", said(&machine));
        let left = fs::read_dir(machine.path("out")).expect("a folder").count();
        assert_eq!(left, 0);
    }
}

#[test]
fn sigusr1_asks_for_a_line_of_progress_and_ends_nothing() {
    for options in [&[][..], &["-q"], &["--progress", "never"], &["--json"]] {
        let machine = Waiting::machine();
        let waiting = Waiting::start(&machine, "exec \"$@\"", options);
        for count in 1..3 {
            waiting.send(Signal::SIGUSR1);
            let lines = || {
                said(&machine)
                    .matches("INFO exporting by command: ")
                    .count()
            };
            wait_until("a line of progress", || lines() == count);
        }
        assert_eq!(waiting.finish(), Some(0), "{}", said(&machine));
    }
    let machine = Waiting::machine();
    let options = ["-q", "--log-format", "json"];
    let waiting = Waiting::start(&machine, "exec \"$@\"", &options);
    waiting.send(Signal::SIGUSR1);
    wait_until("a line of progress", || said(&machine).contains('\n'));
    let line: serde_json::Value = serde_json::from_str(said(&machine).trim()).expect("JSON");
    let message = line["message"].as_str().expect("text");
    assert!(message.starts_with("exporting by command"), "{message}");
    assert_eq!(waiting.finish(), Some(0));
}

#[test]
fn an_interrupt_ends_a_command_and_what_it_started() {
    let machine = machine("");
    let pids = machine.path("pids");
    let export = format!(
        "sleep 600 & echo $$ $! >{0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    let config = fs::read_to_string(machine.path("etc/config.toml")).expect("text");
    machine.write("etc/config.toml", config + &source("c", &export), 0o600);
    let mut child = machine
        .command()
        .args(["export", "a.tar.gz"])
        .spawn()
        .expect("it");
    wait_until("a command at work", || pids.exists());
    let pid = i32::try_from(child.id()).expect("a number");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("sent");
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    for pid in fs::read_to_string(&pids)
        .expect("numbers")
        .split_whitespace()
    {
        let stat = format!("/proc/{pid}/stat");
        let is_gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        wait_until("it is killed", is_gone);
    }
}

#[test]
fn a_command_that_asks_on_the_terminal_fails_at_once_and_the_message_says_why() {
    let asks = "read -r word </dev/tty || exit 7; echo $word";
    let hook = format!("prepare = '''{asks}'''\n");
    for (sources, says) in [
        (source("c", asks), "exit status: 7"),
        (source("c", "echo x") + &hook, "exit status: 7"),
        // Without a shell between: it asks by itself, as ssh(1) and sudo(8) do.
        (
            source("c", "exec python3 -c 'open(\"/dev/tty\").readline()'"),
            "exit status: 1",
        ),
        (
            "to = [\"d\"]\n[backup.destinations.d]\nurl = \"s3://b\"\nendpoint = \"http://127.0.0.1:9\"\naccess_key_id = \"a\"\n".to_owned()
                + &format!("secret_access_key = '''command:{asks}'''\n")
                + &source("c", "echo x"),
            "exit status: 7",
        ),
    ] {
        let machine = machine(&sources);
        let hookshot = machine.command();
        let words: Vec<_> = hookshot.get_args().map(|word| word.to_string_lossy()).collect();
        let out = if sources.contains("to =") { "" } else { "a.tar.gz" };
        let script = format!(
            "cd {}; {} {} export {out}",
            machine.path("out").display(),
            env!("CARGO_BIN_EXE_hookshot"),
            words.join(" "),
        );
        let begun = Instant::now();
        let (text, code) = output(&mut in_terminal(80, &script, &["TERM=xterm"]));
        assert!(matches!(code, Some(1 | 2)), "{code:?}: {text}");
        assert!(text.contains(says), "{text}");
        assert!(text.contains("commands have no terminal"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
    }
}

/// A service of one file of 6 MB that compression does not shrink.
fn large() -> Machine {
    let machine = machine("");
    let file = machine.path("blob");
    let mut bytes = Vec::new();
    let mut random = File::open("/dev/urandom")
        .expect("random bytes")
        .take(6_000_000);
    random.read_to_end(&mut bytes).expect("random bytes");
    fs::write(&file, bytes).expect("written");
    let config = fs::read_to_string(machine.path("etc/config.toml")).expect("text");
    let source = format!(
        "[[backup.sources]]\nname = \"blob\"\nkind = \"file\"\npath = \"{}\"\n",
        file.display()
    );
    machine.write("etc/config.toml", config + &source, 0o600);
    machine
}

/// A script that exports it to a slow reader.
fn exports(machine: &Machine, options: &str) -> String {
    format!(
        "set -o pipefail; {} --config {} {options} export --no-since - | python3 -c '{SLOW}'",
        env!("CARGO_BIN_EXE_hookshot"),
        machine.path("etc/config.toml").display()
    )
}

#[test]
fn a_bar_fits_every_terminal_and_is_gone_at_the_end() {
    let machine = large();
    let script = exports(&machine, "");
    let utf8 = ["TERM=xterm", "LANG=C.UTF-8"];
    let cases: [(u16, &[&str], &str); 8] = [
        (120, &utf8, "█"),
        (61, &utf8, "█"),
        (45, &utf8, "█"),
        (30, &utf8, "█"),
        (20, &utf8, "%"),
        (0, &utf8, "█"),
        (100, &["TERM=xterm", "LC_ALL=C"], "#"),
        (100, &["TERM=xterm", "LANG=C.UTF-8", "COLUMNS=30"], "█"),
    ];
    let runs: Vec<_> = cases
        .iter()
        .map(|(columns, variables, _)| {
            in_terminal(*columns, &script, variables)
                .spawn()
                .expect("python3")
        })
        .collect();
    for (run, (columns, variables, has)) in runs.into_iter().zip(cases) {
        let run = run.wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        assert_eq!(run.status.code(), Some(0), "{text}");
        let most = match (columns, variables.len()) {
            (_, 3) => 30,
            (0, _) => 80,
            _ => usize::from(columns),
        };
        let bars: Vec<_> = text
            .split(['\r', '\n'])
            .filter(|part| part.contains("\x1b[K") && !part.starts_with("\x1b[K"))
            .collect();
        assert!(
            bars.iter().any(|bar| bar.contains(has)),
            "{columns}: {text:?}"
        );
        for bar in &bars {
            let mut bar = (*bar).to_owned();
            for sequence in ["\x1b[J", "\x1b[K", "\x1b[?7l", "\x1b[?7h"] {
                bar = bar.replace(sequence, "");
            }
            assert!(bar.chars().count() < most, "{columns}: {bar:?}");
            assert!(!bar.contains("0/0") && !bar.trim().is_empty(), "{bar:?}");
            assert!(variables[1] != "LC_ALL=C" || bar.is_ascii(), "{bar:?}");
            let percent = bar
                .split_whitespace()
                .find_map(|word| word.strip_suffix('%'));
            assert!(percent.is_none_or(|percent| percent.parse::<u8>().expect("a number") <= 100));
        }
        let end = text.rsplit("\x1b[?7h\r").next().expect("a part");
        assert!(
            end.starts_with("\r\x1b[K\x1b[J"),
            "the last bar is erased: {text:?}"
        );
    }
}

#[test]
fn nothing_is_drawn_where_it_would_be_in_the_way() {
    let machine = large();
    let background = format!("set -m; ( {} ) & wait $!", exports(&machine, ""));
    let plain = exports(&machine, "");
    let xterm = ["TERM=xterm", "LANG=C.UTF-8", "NO_COLOR=1"];
    let cases: [(&str, &[&str]); 5] = [
        (&background, &xterm),
        (&plain, &["TERM=dumb"]),
        (&plain, &[]),
        (&exports(&machine, "--progress never"), &xterm),
        (&exports(&machine, "-q"), &xterm),
    ];
    let runs: Vec<_> = cases
        .iter()
        .map(|(script, variables)| in_terminal(80, script, variables).spawn().expect("python3"))
        .collect();
    for (run, (script, variables)) in runs.into_iter().zip(cases) {
        let run = run.wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        assert_eq!(run.status.code(), Some(0), "{text}");
        assert!(
            !text.contains('\x1b') && !text.contains('%'),
            "{script} {variables:?}: {text:?}"
        );
    }
}

#[test]
fn a_terminal_that_becomes_narrower_keeps_no_old_lines() {
    if !has("tmux") {
        return;
    }
    struct Server<'a>(&'a Path);
    // A test that fails leaves no server behind.
    impl Drop for Server<'_> {
        fn drop(&mut self) {
            let mut command = Command::new("tmux");
            let _ = command
                .arg("-S")
                .arg(self.0)
                .arg("kill-server")
                .stderr(Stdio::null())
                .status();
        }
    }

    let machine = large();
    let socket = machine.path("tmux");
    let _server = Server(&socket);
    let tmux = |words: &[&str]| {
        let mut command = Command::new("tmux");
        command
            .arg("-f")
            .arg("/dev/null")
            .arg("-S")
            .arg(&socket)
            .args(words);
        let output = command
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .output();
        String::from_utf8_lossy(&output.expect("tmux").stdout).into_owned()
    };
    // However slow this machine is: the reader takes its time until all widths were seen.
    let enough = machine.path("enough");
    let slow = format!(
        "import os, sys, time\nwhile sys.stdin.buffer.read(20000): os.path.exists(\"{}\") or time.sleep(0.1)",
        enough.display()
    );
    let script = format!(
        "{}; echo ended; cat",
        exports(&machine, "").replace(SLOW, &slow)
    );
    let path = machine.path("script");
    fs::write(&path, script).expect("written");
    let start = format!("bash {}", path.display());
    tmux(&["new-session", "-d", "-x", "100", "-y", "15", &start]);
    let screen = || tmux(&["capture-pane", "-p"]);
    let bars = |screen: &str| {
        screen
            .lines()
            .filter(|line| line.contains("█") || line.contains("MiB"))
            .count()
    };
    wait_until("a bar", || bars(&screen()) == 1);
    for columns in ["61", "30", "90", "45"] {
        tmux(&["resize-window", "-x", columns, "-y", "15"]);
        wait_until(&format!("one bar: {}", screen()), || bars(&screen()) == 1);
        let width: usize = columns.parse().expect("a number");
        let fits = |line: &str| line.chars().count() < width;
        wait_until("a bar that fits", || {
            screen().lines().filter(|line| line.contains("█")).all(fits)
        });
    }
    fs::write(enough, "").expect("written");
    wait_until("the end", || screen().contains("ended"));
    let last = screen();
    assert_eq!(bars(&last), 0, "{last}");
}

/// Runs a program with standard error in a terminal that is stopped as by Ctrl-S once a bar was drawn there. `finish` lets it run
/// to its end, `end` ends it.
const STOPPED: &str = r#"
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios
what, *program = sys.argv[1:]
signal.alarm(20)
terminal, side = pty.openpty()
fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 15, 100, 0, 0))
process = subprocess.Popen(program, stdin=side, stderr=side, stdout=subprocess.PIPE, start_new_session=True,
    preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0), env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8"))
said = b""
while b"writing" not in said:
    said += os.read(terminal, 65536)
termios.tcflow(side, termios.TCOOFF)
count = 0
if what == "finish":
    while count < 6000000:
        select.select([], [], [], 0.001)
        count += len(process.stdout.read1(120000))
    termios.tcflow(side, termios.TCOON)
    while process.stdout.read1(120000) or select.select([terminal], [], [], 0)[0] and os.read(terminal, 65536):
        pass
else:
    # The bar of work that stands still is drawn anew every second.
    select.select([], [], [], 1.2)
    process.terminate()
sys.exit(process.wait())
"#;

#[test]
fn a_stopped_terminal_keeps_neither_the_work_nor_a_signal_waiting() {
    let machine = large();
    let config = machine.path("etc/config.toml").display().to_string();
    for (what, expected) in [("finish", 0), ("end", 143)] {
        let mut command = Command::new("python3");
        command.args(["-c", STOPPED, what, env!("CARGO_BIN_EXE_hookshot")]);
        command.args(["--config", &config, "export", "--no-since", "-"]);
        let status = command.status().expect("python3");
        assert_eq!(status.code(), Some(expected), "{what}: {status}");
    }
}

#[test]
fn an_entry_that_is_no_text_is_kept_from_a_terminal() {
    let sources = source("text", "echo content") + &source("bytes", "printf 'a\\033[2J\\000b'");
    let machine = machine(&sources);
    machine.run(&["export", "out.tar.gz"]).exits(0);
    let archive = machine.path("out/out.tar.gz");
    for (entry, code, said) in [
        ("text", 0, "content"),
        (
            "bytes",
            2,
            "bytes is not text: it is nothing for a terminal",
        ),
    ] {
        let script = format!(
            "{} extract -o - {} {entry}",
            env!("CARGO_BIN_EXE_hookshot"),
            archive.display()
        );
        let (text, status) = output(&mut in_terminal(100, &script, &["TERM=dumb"]));
        assert_eq!(status, Some(code), "{text}");
        assert!(text.contains(said), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn commands_are_waited_for_where_their_ends_are_ignored() {
    let machine = machine(&source("c", "echo content"));
    let script = "import os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])";
    let status = Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_hookshot"), "--config"])
        .arg(machine.path("etc/config.toml"))
        .args(["export", "out.tar.gz"])
        .current_dir(machine.path("out"))
        .status();
    assert_eq!(status.expect("python3").code(), Some(0));
    machine.run(&["verify", "out.tar.gz"]).exits(0);
}

#[test]
fn a_pipe_that_does_not_block_gets_all_of_the_text() {
    let script = r#"
import os, subprocess, sys, time
reader, writer = os.pipe()
os.set_blocking(writer, False)
# Almost no room is left.
filled = os.write(writer, b"-" * 65536)
os.read(reader, 4096)
process = subprocess.Popen(sys.argv[1:], stdout=writer)
os.close(writer)
time.sleep(0.3)
text = b""
while piece := os.read(reader, 4096):
    text += piece
text = text.lstrip(b"-")
same = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE).stdout
sys.exit(process.wait() or int(text != same))
"#;
    let status = Command::new("python3")
        .args(["-c", script, env!("CARGO_BIN_EXE_hookshot")])
        .args(["completions", "elvish"])
        .status();
    assert_eq!(status.expect("python3").code(), Some(0));
}

/// Returns true if a program is installed; in a complete run it must be.
pub fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    });
    assert!(
        found || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "{program} is missing"
    );
    if !found {
        println!("skipped: {program} is missing; tests/run installs it");
    }
    found
}
