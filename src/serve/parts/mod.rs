//! The parts that pages are made of.

mod blocks;
mod calendar;
mod chart;
mod layout;
mod state;
mod strip;
mod table;
mod written;

pub use self::{
    blocks::{actions, button, card, empty, facts, link, sentence, title},
    calendar::{Dated, calendar, first_day},
    chart::chart,
    layout::{Tab, page, plain_page, same},
    state::{State, state},
    strip::{DAY, STRIP_DAYS, date, strip},
    table::{Column, table},
    written::{ago, bytes, moment, prose},
};
