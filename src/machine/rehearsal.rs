//! The choice of a rehearsal.

/// The choice between carrying out a plan and only showing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// The plan is carried out.
    Real,
    /// It is only shown.
    DryRun,
}
