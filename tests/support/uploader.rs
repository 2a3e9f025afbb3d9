//! A process that sends one archive to a store and says how it went, for tests that kill it, or measure its memory.
//!
//! Arguments: the place's URL, the archive's name, its size in bytes, the run, then OPTION=VALUE.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of the tests may do what hookshot may not"
)]

use std::{env, fs, io::Write as _, sync::Arc, time::SystemTime};

use anyhow::{Context as _, Result, bail};
use hookshot::{
    disk::life::Life,
    model::digest::Hashing,
    store::{self, Address, Environment, Maker, Options, OwnOptions, Secret},
};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().context("an argument");
    let (url, name, size, run) = (next()?, next()?, next()?, next()?);
    let address = Address::parse(&url).map_err(anyhow::Error::msg)?;
    let mut options = Options::of(&address);
    options.transfer.chunk_bytes = 5 << 20;
    match &mut options.own {
        OwnOptions::S3(own) => {
            own.bucket.allow_http = true;
            own.region = Some("us-east-1".to_owned());
        }
        OwnOptions::Gcs(own) => own.bucket.allow_http = true,
        _ => {}
    }
    for argument in arguments {
        let (option, value) = argument.split_once('=').context("OPTION=VALUE")?;
        let secret = Some(Secret::new(value));
        match (option, &mut options.own) {
            ("endpoint", OwnOptions::S3(own)) => own.bucket.endpoint = Some(value.to_owned()),
            ("access_key_id", OwnOptions::S3(own)) => own.access_key_id = secret,
            ("secret_access_key", OwnOptions::S3(own)) => own.secret_access_key = secret,
            ("service_account_key", OwnOptions::Gcs(own)) => own.service_account_key = secret,
            ("ssh_config", OwnOptions::Sftp(own)) => own.ssh_config = Some(value.into()),
            ("bandwidth_limit", _) => options.transfer.bandwidth_limit = Some(value.parse()?),
            ("chunk_bytes", _) => options.transfer.chunk_bytes = value.parse()?,
            _ => bail!("{option} is not an option"),
        }
    }
    let maker = Maker {
        host: "here".to_owned(),
        pid: std::process::id(),
        begun: SystemTime::now().into(),
        run,
        life: Life::here(),
        folders: Vec::new(),
    };
    let check = Arc::new(|| Ok(()));
    let place = store::open(&address, &options, &Environment::default(), check)?;
    let most_bytes: u64 = size.parse()?;
    let mut upload = place.create(&name, most_bytes, &maker)?;
    let mut hashing = Hashing::new(&mut upload);
    let piece: Vec<u8> = (0..64 << 10).map(|at: u32| (at % 251) as u8).collect();
    let mut left = most_bytes as usize;
    while left > 0 {
        let count = left.min(piece.len());
        hashing.write_all(&piece[..count])?;
        left -= count;
    }
    let (digest, _) = hashing.finish();
    let proof = upload.finish(&digest)?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("a peak")?;
    println!("{} {}", proof.name(), peak.trim().trim_end_matches(" kB"));
    Ok(())
}
