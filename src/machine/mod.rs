//! This machine's state: entered, looked at, and replaced.

pub mod app_version;
pub mod apply;
pub mod companion;
pub mod contents;
pub mod enter;
pub mod form;
pub mod kept;
pub mod look;
pub mod obstacle;
pub mod places;
pub mod planned;
pub mod preflight;
pub mod refused;
pub mod rehearsal;
pub mod report;
pub mod scratch;
