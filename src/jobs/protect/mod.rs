//! `protect`: an upgrade with a safety net. An archive first, then the command of the user; if it fails, or the service is
//! not healthy after it, the state of before comes back.
//!
//! ```text
//! lock -> checks of the way back -> before hooks -> export and proof -> rehearsal of the way back -> COMMAND -> health
//!      -> (stop -> import -> start -> health) -> hooks -> history -> notifications
//! ```

mod aside;
mod checks;
mod children;
mod command;
mod report;
mod request;
mod run;
mod way_back;
mod work;

pub use self::{
    report::{KeptState, ProtectReport, ProtectedCommand},
    request::{CommandOutput, ProtectRequest, WayBack},
    run::protect,
};
