//! The promises of repositories, each with a referee: restic, borg, kills, full disks, and stores that break what passes.

mod bombs;
mod damage;
mod faults;
mod full;
mod kills;
mod locks;
mod referees;

use support::{Machine, vaults};

/// A machine whose `@vault` is a repository in the folder `vault`, and whose `@folder` is a folder. It must be made.
fn machine_with(further: &str) -> Machine {
    vaults::configured(|machine| {
        format!(
            "[backup]\nto = [\"vault\"]\n{}{}{further}",
            vaults::vault(machine, ""),
            vaults::folder(machine),
        )
    })
}

/// The same, with the repository.
fn machine() -> Machine {
    vaults::made(machine_with(""))
}
