//! Readers and writers that fail, stall or go away, and signals in the middle of much work: every run ends, and leaves
//! nothing half-done.

use support::bounds::{self, Watchdog, end_of, in_time};
use support::deflate;
use support::forge::{self, Xorshift};
use support::{Machine, Mounted, is_root, tree};

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Cursor, Read, Write},
    os::fd::{AsFd as _, AsRawFd as _},
    process::{Child, ChildStdout, Stdio},
    sync::{Arc, OnceLock},
};

use hookshot::{
    archive::{
        self, Input,
        reader::Discard,
        writer::{self, Level},
    },
    error::{Failure, Kind},
    model::{digest::Digest, entry_name::EntryName, manifest::FileRecord},
    work::Threads,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};

const COUNTS: [usize; 3] = [1, 2, 8];

fn threads(count: usize) -> Threads {
    Threads::new(count).expect("some")
}

/// Content of some members that shrink, and some that do not.
fn content() -> Arc<Vec<u8>> {
    static CONTENT: OnceLock<Arc<Vec<u8>>> = OnceLock::new();
    let make = || {
        let mut content = b"a line that shrinks\n".repeat(100_000);
        content.extend(Xorshift::new(5).bytes(3 << 20));
        Arc::new(content)
    };
    CONTENT.get_or_init(make).clone()
}

/// Writes an archive of [`content`], which `open` reads, with so many threads.
fn write<W: Write, R: Read>(
    out: W,
    count: usize,
    open: impl Fn(Cursor<Vec<u8>>) -> R,
) -> anyhow::Result<W> {
    let content = content();
    let name = EntryName::new("large").expect("a name");
    let record = FileRecord::new(name.clone(), Digest::of(&content), content.len() as u64);
    let manifest = forge::current(BTreeMap::from([(name, record)]));
    let source = |_: &EntryName| Ok(open(Cursor::new(content.to_vec())));
    let level = Level::DEFAULT;
    Ok(writer::write(out, &manifest, level, threads(count), None, source)?.out)
}

fn archive() -> Arc<Vec<u8>> {
    static ARCHIVE: OnceLock<Arc<Vec<u8>>> = OnceLock::new();
    let make = || Arc::new(write(Vec::new(), 2, |source| source).expect("an archive"));
    ARCHIVE.get_or_init(make).clone()
}

/// A disturbance at a place in a stream.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It fails.
    Fails,
    /// Nothing goes any more: the end of a reader, a writer that takes nothing.
    Ends,
    /// It is interrupted at each second call, and gives or takes a few bytes at the others.
    Hiccups,
}

/// A stream with a trouble from `at` on.
struct Troubled<T> {
    inner: T,
    at: usize,
    trouble: Trouble,
    calls: usize,
}

impl<T> Troubled<T> {
    fn new(inner: T, at: usize, trouble: Trouble) -> Troubled<T> {
        Troubled {
            inner,
            at,
            trouble,
            calls: 0,
        }
    }

    /// Returns the most bytes that may go through at once.
    fn most(&mut self, wanted: usize) -> io::Result<usize> {
        self.calls += 1;
        match self.trouble {
            Trouble::Hiccups if self.calls.is_multiple_of(2) => {
                Err(io::ErrorKind::Interrupted.into())
            }
            Trouble::Hiccups => Ok(wanted.min(1 + self.calls * 7919 % 70_000)),
            Trouble::Fails if self.at == 0 => Err(io::Error::other("made to fail")),
            _ => Ok(wanted.min(self.at)),
        }
    }
}

impl<R: Read> Read for Troubled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.most(buffer.len())?;
        let count = self.inner.read(&mut buffer[..most])?;
        self.at = self.at.saturating_sub(count);
        Ok(count)
    }
}

impl<W: Write> Write for Troubled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.most(bytes.len())?;
        let count = self.inner.write(&bytes[..most])?;
        self.at = self.at.saturating_sub(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Places in a stream of `length` bytes: its borders, and many between.
fn places(length: usize) -> Vec<usize> {
    let between = (1..12).map(|number| number * length / 12 + number);
    [0, 1, 30]
        .into_iter()
        .chain(between)
        .chain([length - 1])
        .collect()
}

mod streams {
    use super::*;

    #[test]
    fn a_writer_that_fails_anywhere_fails_the_archive() {
        for (trouble, says) in [
            (Trouble::Fails, "made to fail"),
            (Trouble::Ends, "failed to write whole buffer"),
        ] {
            for at in places(archive().len()) {
                for count in COUNTS {
                    let what = format!("{trouble:?} at {at}, {count} threads");
                    let out = Troubled::new(io::sink(), at, trouble);
                    let result = in_time(&what, move || write(out, count, |source| source).err());
                    let error = format!("{:#}", result.expect(&what));
                    assert!(error.contains(says), "{what}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_source_that_fails_anywhere_fails_the_archive() {
        for (trouble, says) in [
            (Trouble::Fails, "made to fail"),
            (Trouble::Ends, "large changed while it was exported"),
        ] {
            for at in places(content().len()) {
                for count in COUNTS {
                    let what = format!("{trouble:?} at {at}, {count} threads");
                    let open = move |source| Troubled::new(source, at, trouble);
                    let result = in_time(&what, move || write(io::sink(), count, open).err());
                    let error = format!("{:#}", result.expect(&what));
                    assert!(error.contains(says), "{what}: {error}");
                }
            }
        }
    }

    #[test]
    fn an_archive_that_cannot_be_read_on_is_not_called_damaged() {
        for at in places(archive().len()) {
            for count in COUNTS {
                for (trouble, kind) in [
                    (Trouble::Fails, Kind::Failed),
                    (Trouble::Ends, Kind::Refused),
                ] {
                    let what = format!("{trouble:?} at {at}, {count} threads");
                    let result = in_time(&what, move || {
                        let bytes = Cursor::new(archive().to_vec());
                        let bytes = Box::new(Troubled::new(bytes, at, trouble));
                        let input = Input::Stream(bytes, tempfile::env::temp_dir().into());
                        archive::read("archive", input, threads(count), &mut Discard)
                    });
                    let failure = Failure::of(&result.expect_err(&what));
                    assert_eq!(failure.kind, kind, "{what}: {failure:?}");
                }
            }
        }
    }

    #[test]
    fn interruptions_and_few_bytes_at_a_time_change_nothing() {
        for count in COUNTS {
            let what = format!("{count} threads");
            in_time(&what, move || {
                let out = Troubled::new(Vec::new(), 0, Trouble::Hiccups);
                let open = |source| Troubled::new(source, 0, Trouble::Hiccups);
                let written = write(out, count, open).expect("written").inner;
                assert!(written == *archive());
                let bytes = Troubled::new(Cursor::new(written), 0, Trouble::Hiccups);
                let input = Input::Stream(Box::new(bytes), tempfile::env::temp_dir().into());
                archive::read("archive", input, threads(count), &mut Discard).expect("good");
            });
        }
    }
}

/// A machine with secrets that do not shrink.
fn machine_with(secrets: usize) -> Machine {
    let machine = Machine::new();
    machine.write("etc/secrets", Xorshift::new(3).bytes(secrets), 0o600);
    machine
}

fn spawn(machine: &Machine, arguments: &[&str], stdin: Stdio, stdout: Stdio) -> Child {
    let mut command = machine.command();
    command.args(arguments).stdin(stdin).stdout(stdout);
    command.stderr(Stdio::piped()).spawn().expect("the binary")
}

#[track_caller]
fn is_clean(machine: &Machine) {
    let left = tree(&machine.path("tmp"));
    assert!(left.is_empty(), "{left:?}");
}

mod pipes {
    use super::*;

    #[test]
    fn an_export_to_a_full_device_fails() {
        let machine = machine_with(4 << 20);
        for count in ["1", "4"] {
            let full = fs::File::options().write(true).open("/dev/full");
            let arguments = ["export", "-", "--threads", count];
            let child = spawn(
                &machine,
                &arguments,
                Stdio::null(),
                full.expect("it").into(),
            );
            let output = end_of(child);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(18), "{said}");
            is_clean(&machine);
        }
        machine.run(&["export", "/dev/full"]).exits(2);
    }

    /// Reads some bytes of what a verb writes and goes; its exit code.
    fn left_early(machine: &Machine, arguments: &[&str], count: usize) -> (Option<i32>, String) {
        let mut child = spawn(machine, arguments, Stdio::null(), Stdio::piped());
        let watchdog = Watchdog::over(&child);
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut vec![0; count]).expect("some bytes");
        drop(stdout);
        let output = child.wait_with_output().expect("an end");
        drop(watchdog);
        is_clean(machine);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    /// An archive that its reader did not take is a failure: otherwise the user of the pipe would never know.
    #[test]
    fn an_export_whose_reader_goes_away_fails() {
        let machine = machine_with(4 << 20);
        for count in ["1", "4"] {
            for bytes in [0, 1000, 1 << 20] {
                let arguments = ["export", "-", "--threads", count];
                let (code, said) = left_early(&machine, &arguments, bytes);
                assert_eq!(code, Some(1), "{said}");
            }
        }
    }

    #[test]
    fn an_extract_whose_reader_goes_away_fails() {
        let machine = machine_with(20 << 20);
        machine.export("a.tar.gz");
        for bytes in [0, 1000] {
            let arguments = ["extract", "a.tar.gz", "secrets", "-o", "-"];
            let (code, said) = left_early(&machine, &arguments, bytes);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("Broken pipe"), "{said}");
        }
    }

    #[test]
    fn an_archive_from_a_pipe_that_ends_early_is_truncated() {
        let machine = machine_with(4 << 20);
        machine.export("a.tar.gz");
        let archive = machine.read("out/a.tar.gz");
        let before = tree(&machine.path(""));
        for at in places(archive.len()) {
            for verb in [
                &["verify", "-"][..],
                &["import", "-"],
                &["extract", "-", "secrets", "-o", "-"],
            ] {
                for count in ["1", "4"] {
                    let arguments = [verb, &["--threads", count]].concat();
                    let mut child = spawn(&machine, &arguments, Stdio::piped(), Stdio::piped());
                    let watchdog = Watchdog::over(&child);
                    let mut stdin = child.stdin.take().expect("a pipe");
                    stdin.write_all(&archive[..at]).expect("fed");
                    drop((stdin, watchdog));
                    let output = end_of(child);
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert_eq!(output.status.code(), Some(13), "{verb:?} at {at}: {said}");
                    assert!(output.stdout.is_empty() || verb[0] == "verify");
                }
            }
        }
        assert!(tree(&machine.path("")) == before);
    }

    #[test]
    fn a_full_disk_ends_every_verb_that_writes() {
        if !is_root("mounting a small file system") {
            return;
        }
        let machine = machine_with(24 << 20);
        machine.export("a.tar.gz");
        let archive = machine.read("out/a.tar.gz");
        fs::create_dir(machine.path("small")).expect("a folder");
        let _small = Mounted::tmpfs(&machine.path("small"), "6m");
        for count in ["1", "4"] {
            for (arguments, input) in [
                (&["export", "../small/a.tar.gz"][..], false),
                (&["extract", "a.tar.gz", "secrets", "-o", "../small"], false),
                (&["extract", "-", "secrets", "-o", "../small"], true),
            ] {
                let arguments = [arguments, &["--threads", count]].concat();
                let mut child = spawn(&machine, &arguments, Stdio::piped(), Stdio::piped());
                let watchdog = Watchdog::over(&child);
                let mut stdin = child.stdin.take().expect("a pipe");
                if input {
                    // A program without room need not read all of it.
                    let _ = stdin.write_all(&archive);
                }
                drop((stdin, watchdog));
                let output = end_of(child);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(18), "{arguments:?}: {said}");
                assert!(tree(&machine.path("small")).is_empty(), "{arguments:?}");
                is_clean(&machine);
            }
        }
    }
}

/// Signals while much is done: each ends the work, and nothing half-done stays.
mod signals {
    use super::*;

    /// Bytes of the large entry: work for a good part of a second at least.
    const LARGE: usize = 96 << 20;
    /// The most attempts: a run that ends before the signal comes is repeated.
    const ATTEMPTS: usize = 20;

    /// A machine, and in it an archive that is large, as it is and inflated.
    fn large() -> Machine {
        let machine = Machine::new();
        let mut content = Xorshift::new(11).bytes(LARGE / 2);
        content.resize(LARGE, b'z');
        let archive = forge::written(&[("large", &content), ("small", b"a few bytes\n")]);
        assert!(archive.len() > 16 << 20);
        machine.write("out/large.tar.gz", archive, 0o600);
        machine
    }

    /// Returns true if a process has a file open that `is_it`.
    fn has_open(child: &Child, is_it: impl Fn(&str) -> bool) -> bool {
        let folder = fs::read_dir(format!("/proc/{}/fd", child.id()));
        folder.into_iter().flatten().flatten().any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|link| is_it(&link.to_string_lossy()))
        })
    }

    /// Sends the signal once `begun`, and gives the exit code; `None` where the work was done before.
    fn interrupt(mut child: Child, signal: Signal, begun: impl Fn(&Child) -> bool) -> Option<i32> {
        let watchdog = Watchdog::over(&child);
        while !begun(&child) {
            if child.try_wait().expect("a process").is_some() {
                return None;
            }
            std::thread::yield_now();
        }
        support::signals::send(signal, &child);
        let output = child.wait_with_output().expect("an end");
        drop(watchdog);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return None;
        }
        assert!(said.contains("interrupted"), "{said}");
        output.status.code()
    }

    const SIGNALS: [(Signal, i32); 2] = [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)];

    /// Tries until the signal comes in time.
    #[track_caller]
    fn ends(what: &str, code: i32, attempt: impl Fn() -> Option<i32>) {
        let found = (0..ATTEMPTS).find_map(|_| attempt());
        assert_eq!(found, Some(code), "{what}");
    }

    /// 16 GiB of zeros in 17 MB: a process that does not hear the signal at once exceeds its processor time.
    #[test]
    fn end_a_verify_at_once() {
        const MEMBERS: usize = 32 << 10;
        let machine = Machine::new();
        let size = (MEMBERS * deflate::MEMBER_BYTES) as u64;
        let mut manifest = forge::manifest(&[("large", b"")]);
        manifest["files"]["large"]["size"] = size.into();
        let mut tar = forge::Tar::packed(&forge::text(&manifest), &[]);
        let path = format!("{}/large", forge::ROOT);
        tar.header(path.as_bytes(), forge::EntryType::Regular, size);
        let zeros = vec![0; deflate::MEMBER_BYTES];
        let member = deflate::member(&deflate::zeros(zeros.len(), 30), &zeros);
        let mut members = vec![deflate::stored_member(&tar.bytes())];
        members.resize(1 + MEMBERS, member);
        members.push(deflate::stored_member(&[0; 1024]));
        machine.write("out/long.tar.gz", deflate::sealed(&members), 0o600);
        for (signal, code) in SIGNALS {
            for count in ["1", "4"] {
                let mut command = machine.command();
                command.args(["verify", "long.tar.gz", "--threads", count]);
                let mut command = bounds::limited(&command, &["--cpu=5".to_owned()]);
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                let child = command.spawn().expect("the binary");
                let found = interrupt(child, signal, |child| {
                    has_open(child, |link| link.ends_with("/long.tar.gz"))
                });
                assert_eq!(found, Some(code), "{count} threads");
            }
        }
    }

    /// Returns true for the file that a verb writes to until it is done: one without a name, or a hidden one.
    fn is_draft(link: &str) -> bool {
        link.ends_with(" (deleted)") || link.contains("/.hookshot-")
    }

    /// Through the index, which gives entries of a large archive, and without it, where all of it is read.
    #[test]
    fn end_an_extract_that_leaves_what_was_there() {
        let machine = large();
        fs::create_dir(machine.path("out/there")).expect("a folder");
        machine.write("out/there/large", b"what was there", 0o600);
        let archive = machine.read("out/large.tar.gz");
        let end = archive.len() - 62;
        machine.write("out/without.tar.gz", no_index(&archive[..end]), 0o600);
        let before = tree(&machine.path(""));
        for (signal, code) in SIGNALS {
            for name in ["large.tar.gz", "without.tar.gz"] {
                for folder in ["there", "new/one"] {
                    ends(&format!("{signal} {name} {folder}"), code, || {
                        let arguments = ["extract", name, "large", "-o", folder, "--overwrite"];
                        let child = spawn(&machine, &arguments, Stdio::null(), Stdio::null());
                        let found = interrupt(child, signal, |child| has_open(child, is_draft));
                        if found.is_some() {
                            assert!(tree(&machine.path("")) == before, "{folder}");
                        } else {
                            // It was done: once more.
                            let _ = fs::remove_dir_all(machine.path("out/new"));
                            machine.write("out/there/large", b"what was there", 0o600);
                        }
                        found
                    });
                }
            }
        }
    }

    /// The same content as another tool packs it.
    fn no_index(archive: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        let whole = forge::inflate(archive);
        encoder.write_all(&whole).expect("written to memory");
        encoder.finish().expect("written to memory")
    }

    #[test]
    fn end_an_export_that_leaves_what_was_there() {
        let machine = machine_with(48 << 20);
        machine
            .run(&["export", "a.tar.gz", "--exclude-secrets"])
            .exits(0);
        let before = tree(&machine.path(""));
        for (signal, code) in SIGNALS {
            for count in ["1", "4"] {
                ends(&format!("{signal} {count}"), code, || {
                    let arguments = ["export", "a.tar.gz", "--threads", count, "--level", "9"];
                    let child = spawn(&machine, &arguments, Stdio::null(), Stdio::null());
                    let found = interrupt(child, signal, |child| {
                        has_open(child, |link| link.contains("/out/") && is_draft(link))
                    });
                    if found.is_some() {
                        assert!(tree(&machine.path("")) == before);
                    } else {
                        machine
                            .run(&["export", "a.tar.gz", "--exclude-secrets"])
                            .exits(0);
                    }
                    found
                });
            }
        }
    }

    /// The reader of a pipe may stall for ever; a verb that waits for it must still hear a signal.
    #[test]
    fn end_a_verb_whose_reader_stalls() {
        let machine = large();
        machine.write("etc/secrets", Xorshift::new(3).bytes(4 << 20), 0o600);
        for (signal, code) in SIGNALS {
            for arguments in [
                &["extract", "large.tar.gz", "large", "-o", "-"][..],
                &["export", "-"],
            ] {
                let mut child = spawn(&machine, arguments, Stdio::null(), Stdio::piped());
                let mut stdout = child.stdout.take().expect("a pipe");
                let mut first = [0];
                stdout.read_exact(&mut first).expect("a byte");
                // Whoever writes to a full pipe waits.
                let found = interrupt(child, signal, |_| is_full(&stdout));
                assert_eq!(found, Some(code), "{arguments:?}");
                is_clean(&machine);
            }
        }
    }

    /// Returns true if a pipe takes nothing more.
    fn is_full(pipe: &ChildStdout) -> bool {
        let stdout = fs::File::options()
            .write(true)
            .open(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
        let stdout = stdout.expect("the other end");
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(0)
    }

    #[test]
    fn end_a_verify_that_changes_nothing() {
        let machine = large();
        let before = tree(&machine.path(""));
        for (signal, code) in SIGNALS {
            for count in ["1", "4"] {
                ends(&format!("{signal} {count}"), code, || {
                    let arguments = ["verify", "large.tar.gz", "large.tar.gz", "--threads", count];
                    let child = spawn(&machine, &arguments, Stdio::null(), Stdio::null());
                    let found = interrupt(child, signal, |child| {
                        has_open(child, |link| link.ends_with("/large.tar.gz"))
                    });
                    assert!(tree(&machine.path("")) == before);
                    found
                });
            }
        }
    }
}
