//! The promises about archives that came late.

use super::*;

/// Draws a question whose archives came at times of their own, some after they were there already; some are sealed.
fn delayed() -> impl Strategy<Value = Question> {
    let delay = prop::option::of((0..40i64, prop::bool::ANY));
    let delays = prop::collection::vec((delay, prop::bool::weighted(0.1)), 60);
    (question(), delays).prop_map(|(mut question, delays)| {
        for (archive, (delay, is_sealed)) in question.archives.iter_mut().zip(delays) {
            archive.arrival = delay.map(|(days, was_there)| Arrival {
                time: archive.time + TimeDelta::days(days),
                was_there,
            });
            if is_sealed && archive.standing.counts() {
                archive.standing = Standing::Sealed;
            }
        }
        question
    })
}

fn is_late(archive: &Archive) -> bool {
    archive.timing() == Timing::Late
}

/// Returns the verdict on one archive among its rivals alone, as if all of them had come in time.
fn alone(question: &Question, one: &Archive) -> Option<Verdict> {
    let until = one
        .arrival
        .filter(|_| is_late(one))
        .map(|arrival| arrival.first_day(one.time));
    let is_rival = |other: &Archive| {
        let came = other.arrival.filter(|_| is_late(other)).map(Arrival::day);
        other.name == one.name || came.is_none() || came <= until
    };
    let mut question = question.clone();
    question.archives.retain(is_rival);
    question
        .archives
        .iter_mut()
        .for_each(|archive| archive.arrival = None);
    let mut judged = question.judged().into_iter();
    Some(
        judged
            .find(|judged| judged.archive.name == one.name)?
            .verdict,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn late_archives_change_no_verdict_on_others_and_every_replacement_stays(question in delayed()) {
        let judged = question.judged();
        let mut without = question.clone();
        without.archives.retain(|archive| !is_late(archive));
        if !question.policy.is_empty() {
            let others = judged.iter().filter(|one| !is_late(&one.archive)).cloned();
            prop_assert_eq!(others.collect::<Vec<_>>(), without.judged());
        }
        let stays = kept(&judged);
        for one in &judged {
            if let Verdict::Remove(removal) = &one.verdict {
                prop_assert!(stays.contains(&removal.replacement));
            }
        }
        let mut again = question.clone();
        again.archives.retain(|archive| stays.contains(&archive.name));
        prop_assert_eq!(kept(&again.judged()), stays);
    }

    #[test]
    fn each_archive_is_judged_as_if_its_rivals_were_all_that_is_there(question in delayed()) {
        for one in question.judged() {
            prop_assert_eq!(alone(&question, &one.archive), Some(one.verdict));
        }
    }
}
