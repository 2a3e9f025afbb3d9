//! Kills of verbs that make an archive at a destination: `copy` of an unpacked archive, and `convert` of a tar.
//!
//! At every moment the destination has the whole archive or none under its name. The next run ends the work.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use support::{
    Machine, archives_in, directories,
    forge::Xorshift,
    programs::{run, text, unpack},
    servers::Sshd,
    tree,
};

use super::{MUTATING, can_trace, injection::traced_alone};

/// The most kills at the calls of one kind: the first calls, and then some of all others.
const MOST_KILLS: usize = 24;

/// A verb that delivers to a folder of this machine, which a server may show.
struct Delivery {
    machine: Machine,
    arguments: Vec<String>,
    destination: PathBuf,
    /// Keeps the server alive.
    _server: Option<Sshd>,
}

impl Delivery {
    /// A delivery by `verb` to the folder `to`.
    fn to_folder(verb: fn(&Machine) -> Vec<String>) -> Delivery {
        let machine = machine();
        let destination = machine.path("to");
        let mut arguments = verb(&machine);
        arguments.push(text(&destination));
        Delivery {
            machine,
            arguments,
            destination,
            _server: None,
        }
    }

    /// A delivery by `verb` to an SSH server; `None` if there is none here.
    fn to_server(verb: fn(&Machine) -> Vec<String>) -> Option<Delivery> {
        let server = Sshd::start()?;
        let machine = machine();
        let config = String::from_utf8(machine.read("etc/config.toml")).expect("UTF-8");
        let place = server.destination();
        let config = format!("{config}[backup.destinations.far]\n{place}\ntimeout = \"20s\"\n");
        machine.write("etc/config.toml", config, 0o600);
        let mut arguments = verb(&machine);
        arguments.push("@far".to_owned());
        Some(Delivery {
            machine,
            arguments,
            destination: server.files().join("archives"),
            _server: Some(server),
        })
    }

    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// Runs the verb to its end, and returns all that the destination has by then.
    fn ends(&self, at: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let run = self.machine.run(&self.arguments());
        assert_eq!(run.code, 0, "{at}: {run:?}");
        self.files()
    }

    /// Returns the files of the destination after its leftovers were removed. A run that finds its archive there uploads
    /// nothing, and leaves them to the next upload or to `check`.
    fn checked(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let destination = self.arguments.last().expect("a destination");
        self.machine.run(&["check", destination]).exits(0);
        self.files()
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = tree(&self.destination).into_iter();
        files
            .filter_map(|(path, (_, _, content))| Some((path, content?.0)))
            .collect()
    }

    /// Returns the archives of the destination. An upload that goes on has a hidden name.
    fn archives(&self) -> Vec<String> {
        let mut names = archives_in(&self.destination);
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// Kills the verb at its calls; returns the number of kills, and of those after which the archive was there.
    fn is_killed_everywhere(&self) -> (usize, usize) {
        let expected = self.ends("without a kill");
        assert_eq!(self.archives().len(), 1);
        let (mut kills, mut delivered) = (0, 0);
        for call in MUTATING {
            for number in moments(self.count(call)) {
                fs::remove_dir_all(&self.destination).expect("removed");
                let inject = format!("{call}:signal=KILL:when={number}");
                let (run, _) = traced_alone(&self.machine, &self.arguments(), Some(&inject), None);
                let at = format!("killed at {call} {number}");
                if run.code != -1 {
                    assert_eq!(run.code, 0, "{at}: {run:?}");
                    continue;
                }
                kills += 1;
                for name in self.archives() {
                    let content = fs::read(self.destination.join(&name)).expect("readable");
                    let whole = expected.get(Path::new(&name));
                    assert!(whole == Some(&content), "{at}: {name} is half there");
                    delivered += 1;
                }
                assert!(
                    self.ends(&at) == expected || self.checked() == expected,
                    "{at}: {:?}",
                    tree(&self.destination)
                );
            }
        }
        (kills, delivered)
    }

    /// Returns the most calls of this kind that one thread makes.
    fn count(&self, call: &str) -> usize {
        let _ = fs::remove_dir_all(&self.destination);
        let (run, calls) = traced_alone(&self.machine, &self.arguments(), None, Some(call));
        run.exits(0);
        calls.most(call)
    }
}

/// Returns the numbers of the calls at which a verb is killed, out of `count`.
fn moments(count: usize) -> Vec<usize> {
    let step = count.div_ceil(MOST_KILLS).max(1);
    // The last calls give the archive its name.
    let last = count.saturating_sub(4)..=count;
    let mut moments: Vec<usize> = (1..=count).step_by(step).chain(last).collect();
    moments.retain(|number| *number > 0);
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// A machine with a state of more than one piece of an upload.
fn machine() -> Machine {
    let machine = directories::data_and_page();
    machine.write("srv/data/noise", Xorshift::new(7).bytes(1 << 20), 0o600);
    machine
}

/// Returns the beginning of `copy FOLDER TO`.
fn copy(machine: &Machine) -> Vec<String> {
    let archive = machine.export("x-20260101-000000.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    vec!["copy".to_owned(), text(&folder)]
}

/// Returns the beginning of `convert --from tar FILE TO`.
fn convert(machine: &Machine) -> Vec<String> {
    let (tar, srv) = (text(&machine.path("old.tar")), text(&machine.path("srv")));
    run("tar", &["-cf", &tar, "-C", &srv, "data", "page"]);
    let words = ["convert", "--from", "tar", &tar];
    words.map(str::to_owned).to_vec()
}

fn says((kills, delivered): (usize, usize), what: &str) {
    println!("{what}: {kills} kills, {delivered} of them after the archive had its name");
    assert!(kills > 30 && delivered < kills, "{what}");
}

#[test]
fn a_copy_of_a_folder_that_is_killed_at_any_call_is_whole_or_not_there() {
    if can_trace() {
        says(Delivery::to_folder(copy).is_killed_everywhere(), "copy");
    }
}

#[test]
fn a_conversion_that_is_killed_at_any_call_is_whole_or_not_there() {
    if can_trace() {
        says(
            Delivery::to_folder(convert).is_killed_everywhere(),
            "convert",
        );
    }
}

#[test]
fn a_copy_of_a_folder_to_an_ssh_server_that_is_killed_is_whole_or_not_there() {
    if !can_trace() {
        return;
    }
    if let Some(delivery) = Delivery::to_server(copy) {
        says(delivery.is_killed_everywhere(), "copy over SFTP");
    }
}

#[test]
fn a_conversion_to_an_ssh_server_that_is_killed_is_whole_or_not_there() {
    if !can_trace() {
        return;
    }
    if let Some(delivery) = Delivery::to_server(convert) {
        says(delivery.is_killed_everywhere(), "convert over SFTP");
    }
}
