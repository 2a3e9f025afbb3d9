//! The bytes of archives: written, read, damaged, reused and extracted.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod compat;
mod damage;
mod earlier;
mod extract;
mod hang;
mod listings;
mod members;
mod model;
mod reuse;
mod select;
