//! `key`: makes key pairs, shows public keys, tests which key opens which archive, and gathers the recovery kit.

mod generate;
mod kit_commands;
mod paper;
mod show;
mod test;

pub use self::{
    generate::{GenerateReport, generate},
    kit_commands::Command,
    paper::{KitDestination, KitEntry, KitSeal, KitSecret, PrivateKeys, RecoveryKit, recovery_kit},
    show::{ShowReport, ShownKey, show},
    test::{FoundKey, TestReport, TestedArchive, test},
};
