//! The terminal: how hookshot looks on it, the bar in its last line, and the streams that it shows.

pub mod appearance;
pub mod bar;
pub mod screen;
pub mod streams;
