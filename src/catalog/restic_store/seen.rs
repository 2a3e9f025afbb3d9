//! The states that were listed a moment ago, for work that follows an upload at once.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::engine::State;

/// The time for which a listing of states counts as made now.
const A_MOMENT: Duration = Duration::from_secs(1);

/// The states of a moment ago.
#[derive(Default)]
pub struct SeenStates(Mutex<Option<(Instant, Vec<State>)>>);

impl SeenStates {
    /// Keeps states that were listed now.
    pub fn keep(&self, states: &[State]) {
        let seen = (Instant::now(), states.to_vec());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    /// Returns the states that were listed a moment ago, once: another look at the store would show the same.
    pub fn take(&self) -> Option<Vec<State>> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, states) = seen.take()?;
        (time.elapsed() < A_MOMENT).then_some(states)
    }
}
