//! Sealed archives of unknown origin use up slots, and push no good archive out.

use super::*;

#[test]
fn sealed_archives_of_unknown_origin_push_no_good_one_out() {
    let good = |day: u32| {
        archive(
            &format!("good-{day}"),
            &format!("2026-11-{day:02}T03:00:00Z"),
            Standing::Good,
        )
    };
    let sealed = |hour: u32| {
        archive(
            &format!("sealed-{hour:02}"),
            &format!("2026-11-20T{hour:02}:00:00Z"),
            Standing::Sealed,
        )
    };
    let mut archives: Vec<Archive> = (10..=19).map(good).collect();
    archives.extend((4..=23).map(sealed));
    let judged = judge(
        archives,
        &only(Rule::Last, 3.into()),
        at("2026-11-21T00:00:00Z"),
    );
    let stays: Vec<String> = kept(&judged).into_iter().collect();
    assert_eq!(
        stays,
        [
            "good-17",
            "good-18",
            "good-19",
            "sealed-21",
            "sealed-22",
            "sealed-23"
        ]
    );
    let words = said(&judged);
    assert_eq!(
        words[0],
        (
            "sealed-23",
            "keep: last 1 of 3; newest archive, sealed".to_owned()
        )
    );
    assert_eq!(
        words[3],
        (
            "sealed-20",
            "remove: beyond every rule: replaced by sealed-21 (sealed)".to_owned()
        )
    );
    assert_eq!(
        words[20],
        (
            "good-19",
            "keep: last 1 of 3; newest good archive".to_owned()
        )
    );
}

#[test]
fn a_year_of_nights_is_kept_as_ever_after_the_records_were_lost() {
    // Until the records are lost, archives are good; those of the half year before count as sealed afterwards.
    let counts = Counts {
        daily: 7.into(),
        weekly: 4.into(),
        monthly: 12.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, Zone::UTC);
    let first = at("2026-01-01T02:00:00Z");
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    for night in 0..365 {
        let now = first + chrono::TimeDelta::days(night);
        let made = archive(&format!("{night:03}"), &now.to_rfc3339(), Standing::Good);
        plain.push(made.clone());
        sealed.push(made);
        if night == 180 {
            sealed
                .iter_mut()
                .for_each(|one| one.standing = Standing::Sealed);
        }
        for held in [&mut plain, &mut sealed] {
            let stays = kept(&judge(held.clone(), &policy, now));
            held.retain(|one| stays.contains(&one.name));
        }
        let missing = plain
            .iter()
            .find(|one| !sealed.iter().any(|other| other.name == one.name));
        assert_eq!(missing, None, "night {night}");
        assert!(
            sealed.len() <= plain.len() + 24,
            "night {night}: {}",
            sealed.len()
        );
    }
}
