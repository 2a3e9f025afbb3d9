//! The terminal: the look of hookshot, the progress bar, and the two output streams.

pub mod appearance;
pub mod bar;
pub mod passphrase;
pub mod screen;
pub mod streams;
