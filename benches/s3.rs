//! An S3 server on loopback for the benchmarks: says where it is, and ends with its standard input.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of the benchmarks may do what hookshot may not"
)]

use std::io;

use support::servers::s3::{BUCKET, S3};

fn main() -> io::Result<()> {
    let server = S3::start();
    println!(
        "{} {BUCKET} {} {}",
        server.endpoint(),
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
