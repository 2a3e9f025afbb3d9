//! A server that is a program: found, started on a free port, waited for, and ended with all that it has started.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The longest wait for a server's answer; a busy machine starts node in tens of seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// The starts of a server that ends at once, each on another port: another process may have taken the first one.
const ATTEMPTS: usize = 3;

/// A program that serves a port on 127.0.0.1.
pub struct Program {
    child: Child,
    address: SocketAddr,
    output: PathBuf,
}

impl Program {
    /// Starts what `command` makes for a port, and waits until `answers` says yes. Its output goes to a file in `folder`.
    pub fn start(
        folder: &Path,
        command: impl Fn(u16) -> Command,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Program {
        let mut outputs = Vec::new();
        for attempt in 0..ATTEMPTS {
            let output = folder.join(format!("output-{attempt}"));
            let file = fs::File::create(&output).expect("a file");
            let address = free_address();
            let child = command(address.port())
                .stdin(Stdio::null())
                .stdout(file.try_clone().expect("a second handle"))
                .stderr(file)
                .spawn()
                .expect("a program that was found");
            let mut program = Program {
                child,
                address,
                output,
            };
            match program.wait_for(&answers) {
                Ok(()) => return program,
                Err(why) => outputs.push(format!("{why}:\n{}", program.log())),
            }
        }
        panic!("the server does not start: {}", outputs.join("\n"));
    }

    /// Waits until the server answers; an error says how it ended instead.
    fn wait_for(&mut self, answers: &impl Fn(SocketAddr) -> bool) -> Result<(), ExitStatus> {
        let end = Instant::now() + PATIENCE;
        loop {
            let answered = answers(self.address);
            // Another process may have the port and answer: then this server has ended.
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return Err(status);
            }
            if answered {
                return Ok(());
            }
            assert!(
                Instant::now() < end,
                "the server does not answer:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the output of the server so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Ends what the server has started, and leaves the server itself.
    pub fn kill_children(&self) {
        let server = id(&self.child);
        signal_all(&stopped_below(server), Signal::SIGKILL);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let server = id(&self.child);
        // A server that stands still starts nothing while what it has started is looked for.
        let _ = kill(server, Signal::SIGSTOP);
        signal_all(&stopped_below(server), Signal::SIGKILL);
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program from the folder of tools that `tests/run` fills, else from `PATH`, else from where servers are.
pub fn find(name: &str) -> Option<PathBuf> {
    let tools = crate::tools();
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![tools];
    folders.extend(env::split_paths(&path));
    folders.push("/usr/sbin".into());
    let mut paths = folders.iter().map(|folder| folder.join(name));
    paths.find(|path| path.is_file())
}

/// Says what a test leaves out; fails where nothing may be left out.
pub fn leave_out<T>(what: &str) -> Option<T> {
    assert!(
        env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "{what} is not installed, and nothing may be left out"
    );
    eprintln!("left out: {what} is not installed; tests/run installs it");
    None
}

/// Returns an address without a server at the moment.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

fn id(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process id fits"))
}

/// Every process below `root`, stopped: looks again until no new one appears, because a stopped one starts no more.
fn stopped_below(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    loop {
        let new: Vec<Pid> = (below(root).into_iter())
            .filter(|pid| !found.contains(pid))
            .collect();
        if new.is_empty() {
            return found;
        }
        signal_all(&new, Signal::SIGSTOP);
        found.extend(new);
    }
}

fn signal_all(processes: &[Pid], signal: Signal) {
    for process in processes {
        // One that has ended by itself needs no signal.
        let _ = kill(*process, signal);
    }
}

/// The processes that descend from `root`, from the parents that /proc names (proc_pid_stat(5)).
fn below(root: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in brackets may hold anything; behind it come the state and the parent.
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root.as_raw()];
    while let Some(parent) = next.pop() {
        let of_parent = children.remove(&parent).unwrap_or_default();
        next.extend(&of_parent);
        found.extend(of_parent.into_iter().map(Pid::from_raw));
    }
    found
}
