//! The forms in which an export copies databases.

/// The form of the copies of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyForm {
    /// For an archive, which is stored as a whole: SQLite rebuilds its databases, and redb compacts its own if the
    /// configuration asks for that. Pages move, so two copies have few blocks in common.
    #[default]
    Compact,
    /// For a destination that stores equal blocks once: each page lies where it lies in the original, and bytes that no
    /// row needs are zero.
    PageExact,
}
