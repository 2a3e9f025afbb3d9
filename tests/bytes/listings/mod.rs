//! Archives with a directory of many files, whose records stand in a listing: good ones, and what no export writes.

mod deep;
pub mod forged;
mod golden;
mod indexed;
mod order;
mod stream;
mod written;
