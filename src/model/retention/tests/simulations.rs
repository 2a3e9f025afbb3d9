//! Simulations: the archives that a policy holds after years.

use super::*;

#[test]
fn a_simulation_holds_what_the_policy_says() {
    let counts = Counts {
        daily: 7.into(),
        weekly: 4.into(),
        monthly: 12.into(),
        yearly: Count::All,
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, "Europe/Berlin".parse().expect("a zone"));
    let day = "1d".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-01-01T02:00:00Z"), 730, day).expect("possible");
    assert_eq!((simulation.made, simulation.days.len()), (730, 730));
    assert_eq!(simulation.days[0].held, 1);
    assert_eq!(simulation.days[6].held, 7);
    let names: Vec<&str> = simulation
        .held
        .iter()
        .map(|one| one.archive.name.as_str())
        .collect();
    assert_eq!(simulation.days[729].held, names.len());
    assert_eq!(
        names,
        [
            // Seven days of winter time, where two o'clock in UTC is three.
            "2027-12-31T02:00:00Z",
            "2027-12-30T02:00:00Z",
            "2027-12-29T02:00:00Z",
            "2027-12-28T02:00:00Z",
            "2027-12-27T02:00:00Z",
            "2027-12-26T02:00:00Z",
            "2027-12-25T02:00:00Z",
            // Two more weeks, each by its Sunday.
            "2027-12-19T02:00:00Z",
            "2027-12-12T02:00:00Z",
            // Eleven more months, each by its last day, at three o'clock in summer too.
            "2027-11-30T02:00:00Z",
            "2027-10-31T02:00:00Z",
            "2027-09-30T01:00:00Z",
            "2027-08-31T01:00:00Z",
            "2027-07-31T01:00:00Z",
            "2027-06-30T01:00:00Z",
            "2027-05-31T01:00:00Z",
            "2027-04-30T01:00:00Z",
            "2027-03-31T01:00:00Z",
            "2027-02-28T02:00:00Z",
            "2027-01-31T02:00:00Z",
            // The year before, and the first of all: yearly counts do not end.
            "2026-12-31T02:00:00Z",
            "2026-01-01T02:00:00Z",
        ]
    );
    let most = simulation.days.iter().map(|day| day.held).max();
    assert!(most <= Some(simulation.most.archives));
}

#[test]
fn a_simulation_of_nothing_or_of_too_much_is_refused() {
    let start = at("2026-01-01T02:00:00Z");
    let span = |text: &str| text.parse().expect("a span");
    let policy = only(Rule::Last, 1.into());
    assert!(simulate(&policy, start, 0, span("1d")).is_err());
    assert!(simulate(&policy, start, u32::MAX, span("1d")).is_err());
    assert!(simulate(&policy, start, 36_525, span("1h")).is_err());
    let everything = only(Rule::Each(Period::Day), Count::All);
    assert!(simulate(&everything, start, 36_525, span("1d")).is_err());
    assert_eq!(
        simulate(&policy, start, 36_525, span("1d")).map(|one| one.made),
        Ok(36_525)
    );
    assert_eq!(
        simulate(&policy, start, 9, span("400000y")).map(|one| one.made),
        Ok(1)
    );
    let end = DateTime::<Utc>::MAX_UTC;
    assert_eq!(
        simulate(&policy, end, 9, span("1h")).map(|one| one.made),
        Ok(1)
    );
}

#[test]
fn a_day_that_a_zone_leaves_out_makes_no_archive_twice() {
    let policy = Policy::new(
        Counts::default(),
        None,
        "Pacific/Apia".parse().expect("a zone"),
    );
    let day = "1d".parse().expect("a span");
    // Midnight on the wall; there was no 30th.
    let simulation = simulate(&policy, at("2011-12-28T10:00:00Z"), 4, day).expect("possible");
    let times: Vec<&str> = simulation
        .held
        .iter()
        .map(|one| one.archive.name.as_str())
        .collect();
    assert_eq!(
        times,
        [
            "2011-12-30T10:00:00Z",
            "2011-12-29T10:00:00Z",
            "2011-12-28T10:00:00Z"
        ]
    );
    let held: Vec<usize> = simulation.days.iter().map(|day| day.held).collect();
    assert_eq!(held, [1, 2, 2, 3]);
}

#[test]
fn a_simulation_makes_one_archive_for_each_day_whatever_the_clocks_do() {
    let policy = Policy::new(
        Counts::default(),
        None,
        "Europe/Berlin".parse().expect("a zone"),
    );
    let day = "1d".parse().expect("a span");
    for (start, last) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T11:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-25T13:00:00Z"),
    ] {
        let simulation = simulate(&policy, at(start), 2, day).expect("possible");
        assert_eq!(simulation.made, 2, "{start}");
        assert_eq!(simulation.held[0].archive.time, at(last));
    }
    // From noon to noon: one day that is two dates.
    let hour = "1h".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-10-24T10:00:00Z"), 1, hour).expect("possible");
    let held: Vec<usize> = simulation.days.iter().map(|day| day.held).collect();
    assert_eq!((simulation.made, held), (25, vec![12, 25]));
}

#[test]
fn two_years_of_hours_are_simulated_while_somebody_waits() {
    let within = Some("1y".parse().expect("a span"));
    let policy = Policy::new(
        with(Counts::default(), Rule::Last, 24.into()),
        within,
        Zone::UTC,
    );
    let hour = "1h".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-01-01T00:00:00Z"), 730, hour).expect("possible");
    assert_eq!((simulation.made, simulation.most.archives), (17_520, 8760));
    assert_eq!(simulation.most.time, at("2026-12-31T23:00:00Z"));
}
