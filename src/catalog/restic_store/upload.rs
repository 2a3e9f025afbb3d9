//! The upload of an archive to a repository: its entries become the files of a new state.
//!
//! ```text
//! archive's bytes --> a thread: archive::read -> StateSink --+--> a thread: Engine::put -> chunks, index
//!                                                            +--> the word that all is proven -> record
//! ```

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    early::{Early, LOST, lost},
    engine::{
        Awaited, Engine, HeldLock, ListingOf, Lock, Look, NewState, State, Survey, Ways, Written,
    },
    labels::{labels_of, name_of, named},
    plan::{Planned, PlannedNode, plan},
    seen::SeenStates,
};
use crate::{
    archive::{Input, Sink, listing::Listing, manifest_text, read, scratch::ScratchFolders},
    catalog::pipe::{AHEAD, Pipe, joined},
    error::{Failure, Kind},
    model::{
        archive_name::ArchiveName,
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    store::{Proof, Upload, taken},
    work::workers::Threads,
};

/// The destination, the folder and the threads of an upload.
#[derive(Clone)]
pub struct UploadRoom {
    /// The repository, as messages name it.
    pub shown: String,
    /// The folder for entries that wait for their turn.
    pub scratch: PathBuf,
    /// The threads that inflate.
    pub threads: Threads,
    /// True if nothing in the repository is ever removed.
    pub only_grows: bool,
    /// Gets the states that were seen at the end.
    pub seen: Arc<SeenStates>,
}

/// An archive on its way into a repository.
pub struct StateUpload {
    engine: Arc<Engine>,
    shown: String,
    name: String,
    only_grows: bool,
    seen: Arc<SeenStates>,
    pieces: Option<SyncSender<Arc<Vec<u8>>>>,
    reading: Option<JoinHandle<Result<Reading>>>,
    /// Held until the upload ends.
    lock: Lock,
}

/// An archive that was read to its end: the work of the engine, which waits for its word.
struct Reading {
    gate: Sender<()>,
    writing: JoinHandle<Result<Written>>,
}

impl StateUpload {
    /// Begins an upload of the archive called `name`. `survey` are the files of the repository under the lock.
    pub fn begin(
        engine: Arc<Engine>,
        name: &str,
        room: UploadRoom,
        lock: Lock,
        survey: Option<Arc<Survey>>,
    ) -> Result<StateUpload> {
        let (pieces, taken) = sync_channel(AHEAD);
        let archive = name.to_owned();
        let (held, own, shown) = (lock.held(), engine.clone(), room.shown.clone());
        let (only_grows, seen) = (room.only_grows, room.seen.clone());
        let thread = thread::Builder::new().name("state".to_owned());
        let reading = thread.spawn(move || {
            let scratch = ScratchFolders::from(room.scratch.clone());
            let input = Input::Stream(Box::new(Pipe::new(taken)), scratch);
            let mut sink = StateSink::new(engine, &archive, &room, held, survey);
            let result = read(&archive, input, room.threads, &mut sink);
            sink.close(result.map(drop))
        });
        Ok(StateUpload {
            engine: own,
            shown,
            name: name.to_owned(),
            only_grows,
            seen,
            pieces: Some(pieces),
            reading: Some(reading.context("cannot start a thread")?),
            lock,
        })
    }

    /// Removes the own record; false if the store does not let it go.
    fn gives_way(&self, state: &State) -> Result<bool> {
        let removed = (self.engine).remove(std::slice::from_ref(&state.id), &self.lock);
        match removed {
            Err(error) => match Failure::of(&error).kind {
                Kind::Interrupted(_) | Kind::Blocked => Err(error),
                _ => Ok(false),
            },
            Ok(()) => Ok(true),
        }
    }

    fn read(&mut self) -> Result<Reading> {
        self.pieces = None;
        match self.reading.take() {
            Some(reading) => joined(reading),
            None => Err(anyhow!("{} was given up before", self.name)),
        }
    }
}

impl Write for StateUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_lost = match &self.pieces {
            Some(pieces) => pieces.send(Arc::new(bytes.to_vec())).is_err(),
            None => true,
        };
        if !is_lost {
            return Ok(bytes.len());
        }
        Err(match self.read() {
            Err(error) => Failure::of(&error).into(),
            Ok(Reading { gate, writing }) => {
                drop(gate);
                drop(joined(writing));
                io::Error::other(format!("{} has more bytes than an archive", self.name))
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for StateUpload {
    fn finish(mut self: Box<Self>, _: &Digest) -> Result<Proof> {
        let Reading { gate, writing } = self.read()?;
        // If nothing waits for the word, the work has failed.
        let _ = gate.send(());
        let written = joined(writing).map_err(of_repository)?;
        let state = &written.state;
        // Of two uploads at the same time at least one sees the other, and gives way if it can: else both are there, and one
        // of them gets another name.
        let states = self.engine.states_after(&written);
        if let Err(error) = &states
            && Failure::of(error).kind == Kind::Unproven
            && !self.only_grows
        {
            // The store may show it later.
            drop(self.gives_way(state));
        }
        let states = states.map_err(of_repository)?;
        let mut others = states.iter();
        let has_name =
            others.any(|other| other.id != state.id && name_of(other).as_ref() == Some(&self.name));
        if has_name && !self.only_grows && self.gives_way(state)? {
            return Err(taken(&self.shown, &self.name).into());
        }
        self.seen.keep(&states);
        Ok(written.proof)
    }
}

impl Drop for StateUpload {
    fn drop(&mut self) {
        if let Ok(Reading { gate, writing }) = self.read() {
            drop(gate);
            drop(joined(writing));
        }
    }
}

/// Returns the failure of an upload because of its repository: if that is damaged, the archive is not.
pub fn of_repository(error: anyhow::Error) -> anyhow::Error {
    match Failure::of(&error) {
        failure if failure.kind == Kind::Refused => Failure {
            kind: Kind::Unproven,
            ..failure
        }
        .into(),
        _ => error,
    }
}

/// The entry or the directory whose turn comes next.
#[derive(Debug)]
enum Turn {
    File(EntryName),
    /// A directory with a listing: `true` once that came, and the number of files that are still to come.
    Listed(EntryName, bool, u64),
}

/// Passes the entries of an archive to the engine, in the order of a repository. Entries that come too early wait in
/// a file without a name.
struct StateSink {
    engine: Arc<Engine>,
    shown: String,
    archive: String,
    scratch: PathBuf,
    lock: Arc<HeldLock>,
    turns: VecDeque<Turn>,
    early: Early,
    lines: Option<(Sender<ListingOf>, Receiver<Awaited>, Sender<()>)>,
    writing: Option<JoinHandle<Result<Written>>>,
    survey: Option<Arc<Survey>>,
    /// True while an entry comes that is early.
    is_early: bool,
}

impl StateSink {
    fn new(
        engine: Arc<Engine>,
        archive: &str,
        room: &UploadRoom,
        lock: Arc<HeldLock>,
        survey: Option<Arc<Survey>>,
    ) -> StateSink {
        StateSink {
            engine,
            shown: room.shown.clone(),
            archive: archive.to_owned(),
            scratch: room.scratch.clone(),
            survey,
            lock,
            turns: VecDeque::new(),
            early: Early::default(),
            lines: None,
            writing: None,
            is_early: false,
        }
    }

    /// Ends the reading. After a failure, the engine ends as well, and its reason counts if it failed first.
    fn close(&mut self, result: Result<()>) -> Result<Reading> {
        let gate = self.lines.take().map(|(_, _, gate)| gate);
        let (Some(gate), Some(writing)) = (gate, self.writing.take()) else {
            return Err(result
                .err()
                .unwrap_or_else(|| anyhow!("an archive without a manifest")));
        };
        match result {
            Ok(()) => Ok(Reading { gate, writing }),
            Err(error) => {
                drop(gate);
                let ended = joined(writing).err().map(|error| Failure::of(&error));
                let is_ours = Failure::of(&error).message.contains(LOST);
                match ended.filter(|_| is_ours) {
                    Some(failure) => Err(of_repository(failure.into())),
                    None => Err(error),
                }
            }
        }
    }

    /// Returns the look at the names of others before the record is written: they add to the repository at the same time.
    fn look(&self) -> Look {
        let (engine, shown, archive) = (
            self.engine.clone(),
            self.shown.clone(),
            self.archive.clone(),
        );
        Box::new(move |survey| {
            let named = named(engine.states_in(survey)?);
            match named.iter().any(|(name, _)| *name == archive) {
                true => Err(taken(&shown, &archive).into()),
                false => Ok(()),
            }
        })
    }

    /// Returns true if it is the turn of the entry called `name`.
    fn is_turn_of(&self, name: &EntryName) -> bool {
        match self.turns.front() {
            Some(Turn::File(next)) => next == name,
            Some(Turn::Listed(directory, true, _)) => {
                let rest = name.as_str().strip_prefix(directory.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            }
            _ => false,
        }
    }

    /// Returns the entry whose content the engine takes next.
    fn awaited(&self) -> Result<Awaited> {
        let awaited = self.lines.as_ref();
        awaited
            .and_then(|(_, awaited, _)| awaited.recv().ok())
            .ok_or_else(lost)
    }

    /// Ends the turn of an entry, and passes on those that waited for it.
    fn next_turn(&mut self) -> Result<()> {
        match self.turns.front_mut() {
            Some(Turn::Listed(_, _, left)) => *left = left.saturating_sub(1),
            _ => drop(self.turns.pop_front()),
        }
        self.pass_early()
    }

    /// Passes on the entries that came early, and whose turn it is now.
    fn pass_early(&mut self) -> Result<()> {
        loop {
            match self.turns.front_mut() {
                Some(Turn::Listed(_, true, 0)) => drop(self.turns.pop_front()),
                Some(Turn::Listed(directory, true, left)) if self.early.has_any_of(directory) => {
                    *left -= 1;
                    let awaited = self.awaited()?;
                    self.early.pass(&awaited)?;
                }
                Some(Turn::File(name)) if self.early.has(name) => {
                    self.turns.pop_front();
                    let awaited = self.awaited()?;
                    self.early.pass(&awaited)?;
                }
                _ => return Ok(()),
            }
        }
    }
}

impl Sink for StateSink {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let text = manifest_text::of(manifest)?;
        let root = manifest.root.as_deref().unwrap_or(&self.archive);
        let prefix = ArchiveName::parse(root).map(|name| name.prefix().to_owned());
        let new = NewState {
            top: prefix.unwrap_or_else(|| root.to_owned()),
            time: manifest.created_at,
            number: ArchiveName::of_file(&self.archive).map_or(0, |name| name.number()),
            hostname: manifest.hostname.clone().unwrap_or_default(),
            tags: labels_of(manifest, &text, &self.archive),
            program: format!("hookshot {}", manifest.hookshot_version),
            files: count(manifest),
        };
        let nodes = plan(manifest, text)?;
        self.turns = nodes.iter().filter_map(turn).collect();
        let (listings, listings_taken) = channel();
        let (awaited, awaited_taken) = channel();
        let (gate, gate_taken) = channel();
        let ways = Ways {
            listings: listings_taken,
            awaited,
            gate: gate_taken,
            look: self.look(),
            survey: self.survey.take(),
        };
        let engine = self.engine.clone();
        let thread = thread::Builder::new().name("engine".to_owned());
        let lock = self.lock.clone();
        let writing = thread.spawn(move || engine.put(&new, nodes, ways, lock));
        self.writing = Some(writing.context("cannot start a thread")?);
        self.lines = Some((listings, awaited_taken, gate));
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        self.is_early = !self.is_turn_of(name);
        if self.is_early {
            return Ok(Box::new(self.early.begin(name, &self.scratch)?));
        }
        let awaited = self.awaited()?;
        match awaited.name == *name {
            true => Ok(Box::new(Passing(awaited.bytes))),
            false => Err(anyhow!(
                "{} is awaited, and {name} comes; this is a defect of hookshot",
                awaited.name
            )),
        }
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        let turns = self.turns.iter_mut();
        for turn in turns {
            if let Turn::Listed(name, came, _) = turn
                && name == directory
            {
                *came = true;
            }
        }
        let listings = self.lines.as_ref().map(|(listings, _, _)| listings);
        let listings = listings.ok_or_else(lost)?;
        let listing = (directory.clone(), listing.clone());
        listings.send(listing).map_err(|_| lost())?;
        self.pass_early()
    }

    fn end(&mut self, _: &EntryName, _: &FileRecord) -> Result<()> {
        match self.is_early {
            true => Ok(()),
            false => self.next_turn(),
        }
    }
}

/// Returns the number of files and links in the state of `manifest`, itself among them.
fn count(manifest: &Manifest) -> u64 {
    let links = manifest.trees.values().map(|tree| tree.links.len() as u64);
    let links = links.chain(manifest.directories.values().map(|listed| listed.links));
    links.fold(manifest.count().saturating_add(1), u64::saturating_add)
}

/// Returns the turn of a node whose content comes.
fn turn(node: &PlannedNode) -> Option<Turn> {
    match &node.what {
        Planned::File(record) => Some(Turn::File(record.path.clone())),
        Planned::Listed(name, _, files) => Some(Turn::Listed(name.clone(), false, *files)),
        _ => None,
    }
}

/// Passes the content of an entry on, piece by piece.
struct Passing(SyncSender<Vec<u8>>);

impl Write for Passing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.send(bytes.to_vec());
        sent.map_err(|_| io::Error::from(Failure::of(&lost())))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
