//! Retention: the archives that a policy keeps or removes, with reasons (docs/retention.md).
//!
//! ```text
//! [Archive], Policy, now ---judge---> [Judged]: keep with reasons, remove with the archive that took its place
//!                                        |
//!                         Removals::of, Share::permits ---> TooMany: nothing is removed before the user says yes
//! ```
//!
//! Time comes in as an argument: the same archives, policy and moment give the same verdicts, whatever their order.

mod archive;
mod arrival;
mod calendar;
mod court;
mod judge;
mod policy;
mod removals;
mod rivals;
mod rules;
mod share;
mod simulate;
mod span;
mod verdict;

pub use archive::{Archive, Mark, Standing, is_future};
pub use arrival::{Arrival, Timing};
pub use calendar::{Bucket, Period, Zone};
pub use judge::judge;
pub use policy::{Count, Counts, Policy, Rule};
pub use removals::Removals;
pub use share::{Share, TooMany};
pub use simulate::{Day, Simulation, simulate};
pub use span::Span;
pub use verdict::{Cause, Judged, Reason, Removal, Verdict};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
