//! Directories that change while they are exported: what is there before and after is in the archive, whatever it is called
//! meanwhile, and what is gone is named.

use support::Machine;
use support::trees::{Bench, files, name};

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::Result;
use hookshot::{
    model::{
        digest::Digest, engine::Engine, entry_name::EntryName, manifest::ListedNode, rules::Rules,
    },
    source::{
        staged::StagedContent,
        tree::{ContentChanged, StagedTree, database::DatabaseHandling},
    },
};

/// So many files that the last ones are not read yet when reading begins.
const MANY: usize = 400;

/// Directories with [`MANY`] files in `cur`, the last one called `0399`; one of them gets a listing.
fn benches() -> [Bench; 2] {
    [Bench::new(), Bench::new().with_listings()].map(filled)
}

fn filled(bench: Bench) -> Bench {
    fs::create_dir(bench.source().join("cur")).expect("made");
    fs::create_dir(bench.source().join("new")).expect("made");
    for number in 0..MANY {
        fs::write(last(&bench, number), format!("mail {number}")).expect("written");
    }
    bench.wait_for_a_tick();
    bench
}

fn last(bench: &Bench, number: usize) -> PathBuf {
    bench.source().join(format!("cur/{number:04}"))
}

/// Stages the directory, and does something when reading has just begun.
fn stage_and(bench: &Bench, what: impl Fn(&Path)) -> StagedTree {
    let is_done = Cell::new(false);
    let staged = bench.stage_until(|_| {
        if !is_done.replace(true) {
            what(&bench.source());
        }
        Ok(())
    });
    staged.expect("staged")
}

/// Returns what every file holds, by name; each has what its record says.
fn contents(staged: &StagedTree) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for file in files(staged) {
        let (name, record, content) = (&file.name, &file.record, &file.content);
        let mut bytes = Vec::new();
        content.open()?.read_to_end(&mut bytes)?;
        anyhow::ensure!(Digest::of(&bytes) == record.checksum, "{name} is another");
        let twice = found.insert(name.as_str().to_owned(), bytes);
        anyhow::ensure!(twice.is_none(), "{name} is there twice");
    }
    Ok(found)
}

/// Returns the paths of the folders of a directory.
fn folders(staged: &StagedTree) -> Vec<String> {
    let lines = staged.lines(&name()).expect("lines");
    let lines = lines.map(|line| line.expect("read"));
    let folders = lines.filter(|line| matches!(line.node, ListedNode::Folder(_)));
    folders.map(|folder| folder.name.to_string()).collect()
}

#[track_caller]
fn holds_all(staged: &StagedTree) -> BTreeMap<String, Vec<u8>> {
    assert_eq!(staged.vanished, [""; 0]);
    assert_eq!(staged.torn, []);
    let found = contents(staged).expect("read");
    let mails: BTreeSet<&[u8]> = found.values().map(Vec::as_slice).collect();
    for number in 0..MANY {
        let mail = format!("mail {number}");
        assert!(mails.contains(mail.as_bytes()), "{mail} is missing");
    }
    assert_eq!(found.len(), MANY, "one is there twice");
    found
}

#[test]
fn a_file_is_found_under_the_name_that_it_gets_while_the_directory_is_read() {
    let to = |name: &'static str| {
        move |source: &Path| {
            fs::create_dir_all(source.join(name).parent().expect("a folder")).expect("made");
            fs::rename(source.join("cur/0399"), source.join(name)).expect("renamed");
        }
    };
    for name in [
        "cur/0399:2,S",
        "new/0399",
        "cur/deep/er/0399",
        "0399",
        "cur/\u{1}",
    ] {
        for bench in benches() {
            let found = holds_all(&stage_and(&bench, to(name)));
            assert_eq!(found[&format!("data/{name}")], b"mail 399");
        }
    }
}

#[test]
fn files_of_a_folder_that_is_renamed_are_found() {
    for bench in benches() {
        let staged = stage_and(&bench, |source| {
            fs::rename(source.join("cur"), source.join("new/cur")).expect("renamed");
        });
        let found = holds_all(&staged);
        assert!(found.keys().all(|name| name.starts_with("data/new/cur/")));
        let folders = folders(&staged);
        assert_eq!(folders, ["new", "new/cur"]);
    }
}

#[test]
fn a_file_that_is_replaced_is_the_old_one_or_the_new_one() {
    for bench in benches() {
        let staged = stage_and(&bench, |source| {
            fs::write(source.join("cur/tmp"), "mail 399, edited").expect("written");
            fs::rename(source.join("cur/tmp"), source.join("cur/0399")).expect("renamed");
        });
        assert_eq!(staged.vanished, [""; 0]);
        let found = contents(&staged).expect("read");
        assert_eq!(found.len(), MANY);
        assert_eq!(found["data/cur/0399"], b"mail 399, edited");
    }
}

#[test]
fn a_file_that_is_gone_is_named() {
    for bench in benches() {
        let staged = stage_and(&bench, |source| {
            fs::remove_file(source.join("cur/0399")).expect("removed");
            // A new file may get the number of the old one.
            fs::write(source.join("cur/other"), "other").expect("written");
        });
        assert_eq!(staged.vanished.len(), 1, "{:?}", staged.vanished);
        assert!(staged.vanished[0].contains("/data/cur/0399 vanished"));
        let found = contents(&staged).expect("read");
        assert!(!found.contains_key("data/cur/0399"));
        assert_eq!(found.len(), MANY);
    }
}

#[test]
fn two_names_of_one_file_stay_two_and_a_new_name_is_one() {
    for bench in benches() {
        fs::hard_link(last(&bench, 399), bench.source().join("new/second")).expect("linked");
        bench.wait_for_a_tick();
        let staged = stage_and(&bench, |source| {
            fs::rename(source.join("cur/0399"), source.join("cur/renamed")).expect("renamed");
        });
        let found = contents(&staged).expect("read");
        assert_eq!(found.len(), MANY + 1);
        assert_eq!(found["data/new/second"], found["data/cur/renamed"]);
    }
}

#[test]
fn a_file_that_gets_another_name_before_it_is_packed_is_packed() {
    for bench in benches() {
        let staged = bench.stage(&Rules::everything()).expect("staged");
        if let Some((_, content)) = staged.contents.get(7) {
            assert!(matches!(content, StagedContent::Reopened(_)));
        }
        let source = bench.source();
        fs::rename(last(&bench, 399), source.join("cur/0399:2,S")).expect("renamed");
        fs::rename(last(&bench, 398), source.join("new/0398")).expect("moved");
        fs::create_dir(source.join("archive")).expect("made");
        fs::rename(last(&bench, 397), source.join("archive/0397")).expect("moved");
        holds_all(&staged);
        fs::rename(source.join("cur"), source.join("archive/cur")).expect("renamed");
        holds_all(&staged);
        fs::remove_file(source.join("archive/0397")).expect("removed");
        let error = contents(&staged).expect_err("it is gone");
        assert_eq!(
            ContentChanged::of(&error).expect("told").entry.as_str(),
            "data/cur/0397"
        );
    }
}

/// Stages the directory, and does something when about half of the files were read.
fn stage_and_later(bench: &Bench, what: impl Fn(&Path)) -> StagedTree {
    let read = Cell::new(0);
    let staged = bench.stage_until(|bytes| {
        let before = read.replace(read.get() + bytes);
        if before < 1_600 && read.get() >= 1_600 {
            what(&bench.source());
        }
        Ok(())
    });
    staged.expect("staged")
}

#[test]
fn a_folder_that_takes_the_place_of_one_that_is_read_is_read() {
    for bench in [benches(), benches(), benches()].into_iter().flatten() {
        fs::create_dir(bench.source().join("a")).expect("made");
        fs::write(bench.source().join("a/x"), "of a").expect("written");
        bench.wait_for_a_tick();
        let staged = stage_and_later(&bench, |source| {
            fs::rename(source.join("cur"), source.join("curd")).expect("renamed");
            fs::rename(source.join("a"), source.join("cur")).expect("renamed");
        });
        assert_eq!(staged.vanished, [""; 0]);
        let found = contents(&staged).expect("read");
        assert_eq!(found["data/cur/x"], b"of a");
        assert_eq!(found.len(), MANY + 1);
    }
}

#[test]
fn a_file_that_is_written_and_then_goes_is_not_left_out_without_a_word() {
    for bench in benches() {
        let path = last(&bench, 0);
        let all = (0..MANY).map(|number| format!("mail {number}").len() as u64);
        let (all, read) = (all.sum::<u64>(), Cell::new(0));
        let take = |path: &Path, _: &EntryName, _: Engine| {
            fs::remove_file(path)?;
            anyhow::bail!("it is gone")
        };
        let step = |bytes| {
            let before = read.replace(read.get() + bytes);
            // All are read, and not yet in the result.
            if before < all && read.get() >= all {
                fs::write(&path, b"SQLite format 3\0 and more").expect("written");
            }
            Ok(())
        };
        let staged = bench.stage_as(DatabaseHandling::Copied(&take), &step);
        let staged = staged.expect("staged");
        assert!(!path.exists(), "it was read again");
        assert_eq!(staged.vanished, [""; 0]);
        let names = files(&staged).into_iter().map(|file| file.name);
        let names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names.len(), MANY);
        assert_eq!(names[0], "data/cur/0000");
        let error = contents(&staged).expect_err("it is gone");
        let changed = ContentChanged::of(&error).expect("told");
        assert_eq!(changed.entry.as_str(), "data/cur/0000");
    }
}

#[test]
fn a_file_that_only_grows_is_whole_up_to_the_length_that_it_had() {
    let bench = Bench::new();
    let path = bench.source().join("app.log");
    // None lies in two pages: a file may be seen with the part of an append that is in the first of them.
    let line = |number: u64| format!("{number:031}\n");
    let lines: String = (0..100_000).map(line).collect();
    fs::write(&path, &lines).expect("written");
    bench.wait_for_a_tick();
    // It has grown since it was hashed.
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let append = |path: &Path, text: &str| {
        let file = fs::File::options().append(true).open(path);
        file.expect("open")
            .write_all(text.as_bytes())
            .expect("written");
    };
    append(&path, "more\n");
    assert!(contents(&staged).expect("read")["data/app.log"] == lines.as_bytes());
    fs::write(&path, lines.replace('7', "8")).expect("written");
    ContentChanged::of(&contents(&staged).expect_err("it is another")).expect("told");

    // It grows all the time.
    fs::write(&path, &lines).expect("written");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 100_000;
            while !is_over.load(Ordering::Relaxed) {
                append(&path, &line(number));
                number += 1;
            }
        });
        let rounds = (0..10).map(|round| -> Result<()> {
            let quiet = Duration::from_secs(3 * (round % 2));
            let staged = bench.stage_quiet(quiet)?;
            anyhow::ensure!(staged.torn.is_empty(), "it is whole");
            let found = contents(&staged)?;
            let text = std::str::from_utf8(&found["data/app.log"])?;
            let mut numbers = text.lines().map(str::parse::<u64>).enumerate();
            anyhow::ensure!(text.ends_with('\n') && text.len() >= lines.len());
            anyhow::ensure!(numbers.all(|(at, number)| number == Ok(at as u64)));
            Ok(())
        });
        let result: Result<Vec<()>> = rounds.collect();
        is_over.store(true, Ordering::Relaxed);
        result.expect("every round is good");
    });
}

/// Random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}

/// A directory that changes, and what is in it: each file has a number of its own, with which it begins.
struct Moving {
    top: PathBuf,
    random: Random,
    files: BTreeMap<PathBuf, u32>,
    folders: Vec<PathBuf>,
    links: Vec<PathBuf>,
    /// Files that had two names.
    linked: BTreeSet<u32>,
    next: u32,
    is_root: bool,
}

impl Moving {
    fn new(top: PathBuf, seed: u64) -> Moving {
        let mut moving = Moving {
            top,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            files: BTreeMap::new(),
            folders: vec![PathBuf::new()],
            links: Vec::new(),
            linked: BTreeSet::new(),
            next: 0,
            is_root: nix::unistd::geteuid().is_root(),
        };
        for number in 0..6 {
            let folder = moving.folder().join(format!("folder{number}"));
            fs::create_dir(moving.top.join(&folder)).expect("made");
            moving.folders.push(folder);
        }
        for _ in 0..120 {
            moving.create();
        }
        moving
    }

    fn numbers(&self) -> BTreeSet<u32> {
        self.files.values().copied().collect()
    }

    fn folder(&mut self) -> PathBuf {
        self.folders[self.random.below(self.folders.len())].clone()
    }

    /// A path that nothing has.
    fn fresh(&mut self) -> PathBuf {
        self.next += 1;
        self.folder().join(format!("n{:07}", self.next))
    }

    fn file(&mut self) -> Option<(PathBuf, u32)> {
        let at = self.random.below(self.files.len().max(1));
        let (path, number) = self.files.iter().nth(at)?;
        Some((path.clone(), *number))
    }

    fn write(&mut self, path: &Path) -> u32 {
        self.next += 1;
        let padding = self.random.below(20_000);
        let text = format!("number {:08}\n{}", self.next, "x".repeat(padding));
        fs::write(self.top.join(path), text).expect("written");
        self.next
    }

    fn create(&mut self) {
        let path = self.fresh();
        let number = self.write(&path);
        self.files.insert(path, number);
    }

    fn rename(&mut self, from: &Path, to: PathBuf) {
        fs::rename(self.top.join(from), self.top.join(&to)).expect("renamed");
        let number = self.files.remove(from).expect("known");
        self.files.insert(to, number);
    }

    fn step(&mut self) {
        let choice = self.random.below(20);
        let Some((path, number)) = self.file() else {
            return self.create();
        };
        match choice {
            // A mail is read: its flags are a part of its name.
            0..=6 => {
                let name = path.file_name().expect("a name").to_str().expect("UTF-8");
                let name = match name.split_once(':') {
                    Some((name, _)) => name.to_owned(),
                    None => format!("{name}:2,S"),
                };
                self.rename(&path, path.with_file_name(name));
            }
            7..=9 => {
                let to = self.fresh();
                self.rename(&path, to);
            }
            10 => self.rename_folder(),
            11 => {
                let temporary = self.fresh();
                let number = self.write(&temporary);
                fs::rename(self.top.join(temporary), self.top.join(&path)).expect("renamed");
                self.files.insert(path, number);
            }
            12 => {
                fs::remove_file(self.top.join(&path)).expect("removed");
                self.files.remove(&path);
            }
            13 => self.create(),
            14 => {
                let to = self.fresh();
                fs::hard_link(self.top.join(path), self.top.join(&to)).expect("linked");
                self.linked.insert(number);
                self.files.insert(to, number);
            }
            15 => {
                let link = self.fresh();
                std::os::unix::fs::symlink("nowhere", self.top.join(&link)).expect("linked");
                self.links.push(link);
            }
            16 => {
                if let Some(link) = self.links.pop() {
                    fs::remove_file(self.top.join(link)).expect("removed");
                }
            }
            17 if self.is_root => {
                let owner = self.random.below(5000) as u32;
                std::os::unix::fs::chown(self.top.join(path), Some(owner), None).expect("given");
            }
            18 => {
                let file = fs::File::options().append(true).open(self.top.join(path));
                file.expect("open").write_all(b"more\n").expect("written");
            }
            _ => {
                let temporary = self.fresh();
                self.write(&temporary);
                fs::remove_file(self.top.join(temporary)).expect("removed");
            }
        }
    }

    fn rename_folder(&mut self) {
        let at = 1 + self.random.below(self.folders.len() - 1);
        let from = self.folders[at].clone();
        let to = self.fresh();
        if to.starts_with(&from) {
            return;
        }
        fs::rename(self.top.join(&from), self.top.join(&to)).expect("renamed");
        let moved = |path: &PathBuf| match path.strip_prefix(&from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
            Ok(rest) => to.join(rest),
            Err(_) => path.clone(),
        };
        self.folders = self.folders.iter().map(moved).collect();
        self.links = self.links.iter().map(moved).collect();
        let files = self.files.iter();
        self.files = files.map(|(path, number)| (moved(path), *number)).collect();
    }

    /// Changes the directory until `is_over`.
    fn run(mut self, is_over: &AtomicBool, pause: u64) -> Moving {
        while !is_over.load(Ordering::Relaxed) {
            self.step();
            thread::sleep(Duration::from_micros(
                self.random.below(pause as usize) as u64
            ));
        }
        self
    }
}

/// The number with which a file begins.
fn number(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes.get(7..15)?).ok()?;
    text.parse().ok()
}

/// 30, unless the environment says how many.
fn rounds() -> u64 {
    let rounds = std::env::var("HOOKSHOT_MOVEMENT_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(30)
}

#[test]
fn what_is_there_before_and_after_is_in_the_archive_whatever_moves() {
    let seed: u64 = std::env::var("HOOKSHOT_MOVEMENT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    for round in seed..seed + rounds() {
        let bench = match round % 2 {
            0 => Bench::new(),
            _ => Bench::new().with_listings(),
        };
        let moving = Moving::new(bench.source(), round);
        bench.wait_for_a_tick();
        let before = moving.numbers();
        let is_over = AtomicBool::new(false);
        let (staged, found, moving) = thread::scope(|scope| {
            let mover = scope.spawn(|| moving.run(&is_over, 100 + 400 * (round % 10)));
            // As an export does it: what is gone when it is packed makes it begin again, and copy more aside.
            let attempts = [
                Duration::ZERO,
                Duration::from_millis(30),
                Duration::from_secs(60),
            ];
            let made = attempts.into_iter().find_map(|quiet| {
                let made = bench.stage_quiet(quiet).and_then(|staged| {
                    let found = contents(&staged)?;
                    Ok((staged, found))
                });
                match made {
                    Err(error) if ContentChanged::of(&error).is_some() => None,
                    made => Some(made),
                }
            });
            is_over.store(true, Ordering::Relaxed);
            let moving = mover.join().expect("it ends");
            let (staged, found) = made.expect("an attempt succeeds").expect("staged");
            (staged, found, moving)
        });
        let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
        for (name, bytes) in &found {
            // A file may be read between being made and being written.
            if bytes.is_empty() {
                continue;
            }
            let number = number(bytes).unwrap_or_else(|| panic!("{name} is a mixture"));
            *numbers.entry(number).or_default() += 1;
        }
        for number in before.intersection(&moving.numbers()) {
            assert!(
                numbers.contains_key(number),
                "round {round}: {number} is missing"
            );
        }
        for (number, count) in numbers {
            let is_once = count == 1 || moving.linked.contains(&number);
            assert!(is_once, "round {round}: {number} is there {count} times");
        }
        assert!(staged.torn.is_empty(), "round {round}: {:?}", staged.torn);
    }
}

#[test]
fn an_archive_of_what_moves_is_imported_twice_as_once_and_rolled_back() {
    for round in 0..rounds().div_ceil(10) {
        let machine = Machine::empty();
        fs::create_dir_all(machine.path("srv/data")).expect("made");
        let text = "[backup]\nprefix = \"x\"\ninclude_config = false\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv/data\"\n";
        machine.write("etc/config.toml", text, 0o600);
        let data = machine.path("srv/data");
        let moving = Moving::new(data.clone(), 1000 + round);
        let before = moving.numbers();
        let is_over = AtomicBool::new(false);
        let (run, moving) = thread::scope(|scope| {
            let mover = scope.spawn(|| moving.run(&is_over, 5000));
            let run = machine.run(&["export", "a.tar.gz", "--json"]);
            is_over.store(true, Ordering::Relaxed);
            (run, mover.join().expect("it ends"))
        });
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        let is_named = run.json()["left_undone"].is_array();
        assert_eq!(run.code == 3, is_named, "{}", run.text());
        let bench = Bench::new();
        let old = bench.snapshot(&data);
        let imported = machine.run(&["import", "a.tar.gz"]);
        assert!([0, 3].contains(&imported.code), "{}", imported.stderr);
        let new = bench.snapshot(&data);
        let numbers: BTreeSet<u32> = new.values().filter_map(|state| number(&state.4)).collect();
        for number in before.intersection(&moving.numbers()) {
            assert!(
                numbers.contains(number),
                "round {round}: {number} is missing"
            );
        }
        machine.run(&["rollback"]).exits(0);
        assert_eq!(bench.snapshot(&data), old);
        assert_eq!(bench.snapshot(&machine.path("srv/data.bak")), new);
        for action in ["replace", "unchanged"] {
            let again = machine.run(&["import", "a.tar.gz", "--json"]);
            let again = again.exits(imported.code).json();
            assert_eq!(again["steps"][0]["action"], action);
            assert_eq!(bench.snapshot(&data), new);
            assert_eq!(bench.snapshot(&machine.path("srv/data.bak")), old);
        }
    }
}

#[test]
fn what_no_archive_holds_is_a_warning() {
    let machine = Machine::empty();
    fs::create_dir_all(machine.path("srv/data")).expect("made");
    let text = "[backup]\nprefix = \"x\"\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv/data\"\n";
    machine.write("etc/config.toml", text, 0o600);
    let fifo = machine.path("srv/data/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["warnings"][0]["kind"], "special");
    let message = report["warnings"][0]["message"].as_str().expect("words");
    assert!(message.contains("/fifo is a fifo"), "{message}");
}
