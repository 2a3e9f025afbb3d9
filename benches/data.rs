//! Makes what the benchmarks work on, the same bytes at each run: `bench_data FOLDER state|small|random [MEGABYTES]`,
//! `bench_data FOLDER many|one [FILES]`.
//!
//! `state` is the state of a service: a redb database of deployment records of about so many megabytes with its
//! configuration, `etc/` and `data/`. `aged` is the same with the oldest records deleted. `random` is the same with a database that does not shrink. `small` is 20,000
//! configuration files in `files/`. `many` is a million files of 0 to 4 KiB there, in 5,000 folders; `one` is the same in one
//! folder. `change FOLDER PERCENT` writes the newest records of a database again.
#![expect(
    clippy::disallowed_methods,
    reason = "it makes files to be measured with"
)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use hookshot::state::DEPLOYMENTS;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition,
};

const BLOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("blobs");
const SMALL_FILES: usize = 20_000;
/// Bytes of the database that one record takes, about.
const RECORD_BYTES: u64 = 1560;
/// With its key and the page's head it fills a page of 1 MiB, nearly.
const BLOB_BYTES: u64 = (1 << 20) - 256;
const RECORDS_PER_COMMIT: u64 = 20_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().context("which folder?")?);
    let mut text = || arguments.next().and_then(|word| word.into_string().ok());
    let kind = text().context("state, aged, small, random, many, one or change?")?;
    let default = match kind.as_str() {
        "many" | "one" => 1_000_000,
        _ => 256,
    };
    let number: u64 = text().map_or(Ok(default), |number| number.parse())?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    match kind.as_str() {
        "state" => state(&folder, &mut random, number),
        "aged" => aged(&folder, &mut random, number),
        "random" => blobs(&folder, &mut random, number),
        "small" => small(&folder, &mut random),
        "many" => many(&folder, &mut random, number, 5000),
        "one" => many(&folder, &mut random, number, 1),
        "change" => change(&folder, &mut random, number),
        other => bail!("{other}?"),
    }
}

/// xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.next());
        }
        text.truncate(digits);
        text
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const SERVICES: [&str; 12] = [
    "web",
    "api",
    "worker",
    "billing",
    "search",
    "mailer",
    "gateway",
    "auth",
    "cache",
    "reports",
    "images",
    "scheduler",
];
const STEPS: [&str; 10] = [
    "fetching origin",
    "resolving dependencies",
    "compiling",
    "linking",
    "running migrations",
    "pushing image",
    "pulling image",
    "starting container",
    "waiting for health check",
    "switching traffic",
];
const RESULTS: [&str; 6] = [
    "ok",
    "done",
    "skipped, nothing changed",
    "cached",
    "retried once",
    "slow",
];

fn record(random: &mut Random, number: u64) -> (String, String) {
    let id = format!("dep-{number:09}");
    let service = random.of(&SERVICES);
    let mut log = String::new();
    for line in 0..6 + random.below(9) {
        let (step, result) = (random.of(&STEPS), random.of(&RESULTS));
        let _ = write!(
            log,
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z [{service}] step {line}: {step}: {result} in {} ms, image sha256:{}\\n",
            1 + random.below(12),
            1 + random.below(28),
            random.below(24),
            random.below(60),
            random.below(60),
            random.below(1000),
            random.below(90_000),
            random.hex(24)
        );
    }
    let row = format!(
        r#"{{"id":"{id}","service":"{service}","status":"succeeded","git_ref":"{}","log":"{log}"}}"#,
        random.hex(40)
    );
    (id, row)
}

fn configuration(folder: &Path) -> Result<Database> {
    fs::create_dir_all(folder.join("etc"))?;
    fs::create_dir_all(folder.join("data"))?;
    fs::write(
        folder.join("etc/config.toml"),
        "[storage]\ndata_dir = \"../data\"\n",
    )?;
    fs::write(
        folder.join("etc/services.toml"),
        "[services.web]\nbranch = \"main\"\n",
    )?;
    fs::write(folder.join("etc/secrets"), "key = none\n")?;
    Ok(Database::create(folder.join("data/state.redb"))?)
}

fn state(folder: &Path, random: &mut Random, megabytes: u64) -> Result<()> {
    let mut database = configuration(folder)?;
    records(&database, random, 0..megabytes * 1_000_000 / RECORD_BYTES)?;
    database.compact()?;
    Ok(())
}

fn records(database: &Database, random: &mut Random, numbers: std::ops::Range<u64>) -> Result<()> {
    for from in numbers.clone().step_by(RECORDS_PER_COMMIT as usize) {
        let tx = database.begin_write()?;
        let mut table = tx.open_table(DEPLOYMENTS)?;
        for number in from..numbers.end.min(from + RECORDS_PER_COMMIT) {
            let (id, row) = record(random, number);
            table.insert(id.as_str(), row.as_str())?;
        }
        drop(table);
        tx.commit()?;
    }
    Ok(())
}

/// A state whose oldest records the service has deleted: it has room for new ones.
fn aged(folder: &Path, random: &mut Random, megabytes: u64) -> Result<()> {
    state(folder, random, megabytes)?;
    let database = Database::open(folder.join("data/state.redb"))?;
    let tx = database.begin_write()?;
    let mut table = tx.open_table(DEPLOYMENTS)?;
    let kept = format!("dep-{:09}", table.len()? / 20);
    table.retain_in(..kept.as_str(), |_, _| false)?;
    drop(table);
    tx.commit()?;
    Ok(())
}

/// Writes the newest `percent` of the records again, as a service does that works on what is new.
fn change(folder: &Path, random: &mut Random, percent: u64) -> Result<()> {
    let database = Database::open(folder.join("data/state.redb"))?;
    random.next();
    let table = database.begin_read()?.open_table(DEPLOYMENTS)?;
    let last = table.last()?.context("no records")?.0.value().to_owned();
    let end = 1 + last.trim_start_matches("dep-").parse::<u64>()?;
    let changed = table.len()? * percent / 100;
    drop(table);
    records(&database, random, end - changed..end)
}

fn blobs(folder: &Path, random: &mut Random, megabytes: u64) -> Result<()> {
    let database = configuration(folder)?;
    for number in 0..megabytes * 1_000_000 / BLOB_BYTES {
        let blob: Vec<u8> = (0..BLOB_BYTES / 8)
            .flat_map(|_| random.next().to_le_bytes())
            .collect();
        let tx = database.begin_write()?;
        tx.open_table(BLOBS)?.insert(number, blob.as_slice())?;
        tx.commit()?;
    }
    Ok(())
}

fn small(folder: &Path, random: &mut Random) -> Result<()> {
    for number in 0..SMALL_FILES {
        let group = folder.join(format!("files/group{:03}", number / 100));
        fs::create_dir_all(&group)?;
        let mut text = format!(
            "# service {number}\n[service]\nname = \"{}\"\n",
            random.of(&SERVICES)
        );
        for key in 0..20 + random.below(120) {
            let (step, result) = (random.of(&STEPS), random.of(&RESULTS));
            let _ = writeln!(
                text,
                "option_{key} = \"{step} {result} {}\" # {}",
                random.below(100_000),
                random.hex(8)
            );
        }
        fs::write(group.join(format!("service{number:05}.toml")), text)?;
    }
    Ok(())
}

/// Makes files of 0 to 4 KiB, which shrink about as mail does.
fn many(folder: &Path, random: &mut Random, files: u64, folders: u64) -> Result<()> {
    const MOST_BYTES: u64 = 4096;
    let mut text = String::new();
    while text.len() < 4 << 20 {
        let (step, result) = (random.of(&STEPS), random.of(&RESULTS));
        let _ = writeln!(text, "{step} {result} {}", random.hex(12));
    }
    let text = text.as_bytes();
    for at in 0..folders {
        fs::create_dir_all(folder.join(format!("files/folder{at:04}")))?;
    }
    for number in 0..files {
        let size = random.below(MOST_BYTES + 1) as usize;
        let start = random.below(text.len() as u64 - MOST_BYTES) as usize;
        let name = format!("files/folder{:04}/file{number:07}", number % folders);
        fs::write(folder.join(name), &text[start..start + size])?;
    }
    Ok(())
}
