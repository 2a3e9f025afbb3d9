//! Slow tests: kills at each system call, torture, live databases, full disks, many files, real applications, a year of nights.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may do what hookshot may not, and say what they leave out"
)]

mod applications;
mod apps;
mod bulk;
mod crash;
mod live;
mod repositories;
mod sqlite;
mod system;
mod torture;
#[path = "../cli/sealed/year.rs"]
mod year;

#[test]
fn a_year_of_nights_without_a_key_is_kept_as_plain_archives_are() {
    year::nights_without_a_key(365);
}
