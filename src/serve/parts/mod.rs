//! The parts that pages are made of.

mod layout;
mod state;
mod written;

pub use self::{
    layout::{Tab, page, plain_page, same},
    state::{State, state},
    written::{ago, bytes, moment},
};
