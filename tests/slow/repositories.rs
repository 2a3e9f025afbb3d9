//! Repositories at length: kills by the clock, the faults of stores for every verb, and a bucket with ten thousand states.

mod broken_store;
mod kills;
mod many;

use broken_store::{verbs_of_properties, verbs_of_states, verbs_that_read};

#[test]
fn verbs_that_read_meet_the_faults_of_a_store() {
    verbs_that_read();
}

#[test]
fn verbs_that_change_states_meet_the_faults_of_a_store() {
    verbs_of_states();
}

#[test]
fn verbs_that_change_keys_meet_the_faults_of_a_store() {
    verbs_of_properties();
}
