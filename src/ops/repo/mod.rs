//! `repo`: makes a repository, checks it, and cares for its keys, locks and format.

mod check;
mod init;
mod key;
mod state_size;
mod stats;
mod upgrade;
mod word;

pub use self::{
    check::{RepoCheckReport, check, damaged},
    init::{RepoInitReport, init},
    key::{RepoKeyReport, RepoKeysReport, add_key, keys, remove_key},
    stats::{RepoStatsReport, ratio, stats},
    upgrade::{RepoUnlockReport, RepoUpgradeReport, unlock, upgrade},
};
