//! The health of what destinations hold: problems in words, each with what to do.
//!
//! ```text
//! Facts of a destination, Limits ---judge---> Health: problems, remarks, the newest good archive
//! RunFacts, Limits -------------judge_runs--> problems, remarks
//! ```
//!
//! Time comes in as an argument: the same facts give the same judgement.

mod facts;
mod judge;
mod problem;
mod words;

pub use self::{
    facts::{DEFAULT_MAX_AGE, Facts, Health, INSPECTED, Limits, RunFacts, Seen},
    judge::{drill_failed, drill_overdue, judge, judge_runs},
    problem::{Comparison, Measure, Problem},
    words::{EARLY, OWN_PREFIX},
};

#[cfg(test)]
mod tests;
