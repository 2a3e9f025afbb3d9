//! Obstacles: each a single reason why an import or a rollback cannot begin (docs/cli/import.md).

use serde::Serialize;

use crate::error::Kind;

/// A reason why nothing is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The kind, for programs; it also decides the exit code.
    pub kind: ObstacleKind,
    /// The reason, for people.
    pub message: String,
    /// The advice to the user.
    #[serde(skip)]
    pub hint: &'static str,
}

/// The kinds of obstacles. Their names are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    /// The archive's database does not open cleanly.
    RestoredDatabase,
    /// A configuration file in the archive is not good.
    Configuration,
    /// The archive is of another major version of hookshot.
    Version,
    /// A process holds the redb database.
    DatabaseHeld,
    /// Deployments are queued, running or hold a lock.
    ActiveDeployments,
    /// The database does not tell whether deployments are active.
    DatabaseUnreadable,
    /// A process has a deleted file open that was at the target.
    OpenDeleted,
    /// A process has the target open.
    FileHeld,
    /// A command or a query of the configuration names work in progress.
    Active,
    /// That command fails, or nothing tells whether the service runs.
    ActivityUnknown,
    /// The service runs.
    Service,
    /// The archive is of another version of the application.
    AppVersion,
    /// A mount is in the way.
    Mount,
    /// The disk that a source needs is not mounted.
    NotMounted,
    /// The target, its folder or its `.bak` cannot be changed.
    Target,
    /// A `.bak`, or what is kept of a command, is not what the last import replaced.
    Backup,
}

impl ObstacleKind {
    /// Returns true for an obstacle that goes away when the service is stopped. If it does not, the work is refused then.
    pub fn ends_with_service(self) -> bool {
        matches!(
            self,
            ObstacleKind::DatabaseHeld
                | ObstacleKind::FileHeld
                | ObstacleKind::OpenDeleted
                | ObstacleKind::Service
        )
    }

    /// Returns the kind of failure that a verb with this obstacle ends in.
    pub fn failure(self) -> Kind {
        match self {
            ObstacleKind::RestoredDatabase | ObstacleKind::Configuration => Kind::Refused,
            ObstacleKind::Version | ObstacleKind::AppVersion => Kind::Version,
            ObstacleKind::DatabaseHeld
            | ObstacleKind::ActiveDeployments
            | ObstacleKind::DatabaseUnreadable
            | ObstacleKind::OpenDeleted
            | ObstacleKind::FileHeld
            | ObstacleKind::Active
            | ObstacleKind::ActivityUnknown
            | ObstacleKind::Service
            | ObstacleKind::Mount
            | ObstacleKind::NotMounted
            | ObstacleKind::Target
            | ObstacleKind::Backup => Kind::Blocked,
        }
    }

    /// Returns true if `--force` overrides obstacles of this kind.
    pub fn is_overridable(self) -> bool {
        matches!(
            self,
            ObstacleKind::ActiveDeployments
                | ObstacleKind::DatabaseUnreadable
                | ObstacleKind::Active
                | ObstacleKind::ActivityUnknown
                | ObstacleKind::NotMounted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{ObstacleKind::*, *};
    use crate::error::Failure;

    const ALL: [ObstacleKind; 16] = [
        RestoredDatabase,
        Configuration,
        Version,
        DatabaseHeld,
        ActiveDeployments,
        DatabaseUnreadable,
        OpenDeleted,
        FileHeld,
        Active,
        ActivityUnknown,
        Service,
        AppVersion,
        Mount,
        NotMounted,
        Target,
        Backup,
    ];

    /// Checks that the table of the document names each kind with its exit code, and whether `--force` overrides it.
    #[test]
    fn the_table_of_obstacles_is_that_of_the_document() {
        let document = DOCUMENT.lines();
        let rows: Vec<Vec<&str>> = document
            .map(|line| line.split('|').map(str::trim).collect::<Vec<&str>>())
            .filter(|row| row.len() == 6 && matches!(row[4], "yes" | "no"))
            .collect();
        let documented = rows
            .iter()
            .map(|row| (row[1].to_owned(), row[3].to_owned(), row[4]));
        let mut documented: Vec<_> = documented.collect();
        let mut known: Vec<_> = ALL
            .iter()
            .map(|kind| {
                let name = serde_json::to_value(kind).expect("a name");
                let name = format!("`{}`", name.as_str().expect("a text"));
                let code = Failure::new(kind.failure(), "").kind.code().to_string();
                let force = if kind.is_overridable() { "yes" } else { "no" };
                (name, code, force)
            })
            .collect();
        documented.sort();
        known.sort();
        assert_eq!(documented, known);
    }

    const DOCUMENT: &str = include_str!("../../docs/cli/import.md");
}
