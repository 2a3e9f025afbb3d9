//! Timetables: what a text means, and when its moments come.

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn zone(name: &str) -> Zone {
    name.parse().expect("a zone")
}

fn next(text: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let timetable: Timetable = text.parse().expect("a timetable");
    let times = timetable.after(zone(zone_name), at(after)).take(count);
    times
        .map(|time| time.format("%Y-%m-%dT%H:%M").to_string())
        .collect()
}

#[test]
fn words_mean_what_systemd_means() {
    let sunday = "2026-11-29T20:15:30Z";
    for (text, expected) in [
        ("02:00", "2026-11-30T02:00"),
        ("7:05", "2026-11-30T07:05"),
        ("20:15", "2026-11-30T20:15"),
        ("20:16", "2026-11-29T20:16"),
        ("hourly", "2026-11-29T21:00"),
        ("daily", "2026-11-30T00:00"),
        ("weekly", "2026-11-30T00:00"),
        ("monthly", "2026-12-01T00:00"),
        ("@daily", "2026-11-30T00:00"),
        ("daily 03:30", "2026-11-30T03:30"),
        ("weekly 03:30", "2026-11-30T03:30"),
        ("monthly 03:30", "2026-12-01T03:30"),
        ("sun 03:00", "2026-12-06T03:00"),
        ("Sunday 21:00", "2026-11-29T21:00"),
        ("sunday@02:00", "2026-12-06T02:00"),
        ("tue,thu 02:00", "2026-12-01T02:00"),
        ("mon-fri 02:00", "2026-11-30T02:00"),
        ("fri-sun 02:00", "2026-12-04T02:00"),
        ("sat, sun 02:00", "2026-12-05T02:00"),
        ("0 2 * * *", "2026-11-30T02:00"),
        ("*/20 * * * *", "2026-11-29T20:20"),
        ("0 0 1 jan *", "2027-01-01T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        // Day of the month or day of the week, as in crontab(5).
        ("0 0 13 * fri", "2026-12-04T00:00"),
        ("0 0 * * 7", "2026-12-06T00:00"),
    ] {
        assert_eq!(next(text, "UTC", sunday, 1), [expected], "{text}");
    }
}

#[test]
fn an_odd_text_is_refused_with_the_forms() {
    for text in [
        "",
        "2",
        "24:00",
        "02:60",
        "2:0",
        "02:00:00",
        "sun",
        "noon",
        "sum 03:00",
        "mon- 03:00",
        "02:00 sun",
        "* * * *",
        "60 * * * *",
        "* * * * * * *",
        "0 0 30 2 *",
        "0 0 L * *",
        "0 0 1W * *",
        "0 0 * * 5#2",
        "? ? ? ? ?",
        "0 0 1 sun *",
        "hourly 02:00",
        "mon,,tue 02:00",
    ] {
        let fault = text.parse::<Timetable>().expect_err(text);
        assert!(
            fault.contains("\"sun 03:00\"") || fault.contains("never comes"),
            "{text}: {fault}"
        );
    }
}

#[test]
fn a_skipped_time_comes_after_the_gap_and_a_doubled_one_once() {
    for (text, zone, after, expected) in [
        (
            "02:30",
            "Europe/Madrid",
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        (
            "02:30",
            "Europe/Madrid",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            "02:30",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:30"],
        ),
        (
            "01:30",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            ["2026-11-01T05:30", "2026-11-02T06:30"],
        ),
        (
            "02:10",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            ["2026-10-03T15:30", "2026-10-04T15:10"],
        ),
        (
            "01:45",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            ["2026-04-04T14:45", "2026-04-05T15:15"],
        ),
        (
            "02:30",
            "Asia/Kathmandu",
            "2026-03-28T12:00:00Z",
            ["2026-03-28T20:45", "2026-03-29T20:45"],
        ),
        (
            "hourly",
            "Europe/Madrid",
            "2026-03-29T00:30:00Z",
            ["2026-03-29T01:00", "2026-03-29T02:00"],
        ),
        (
            "hourly",
            "Europe/Madrid",
            "2026-10-25T00:00:00Z",
            ["2026-10-25T02:00", "2026-10-25T03:00"],
        ),
    ] {
        assert_eq!(next(text, zone, after, 2), expected, "{text} {zone}");
    }
}

#[test]
fn several_texts_are_one_timetable() {
    let timetable = Timetable::of(&["02:00", "14:00", "hourly"])
        .expect("good")
        .expect("some");
    assert_eq!(timetable.to_string(), "02:00, 14:00, hourly");
    let times: Vec<_> = timetable
        .after(Zone::UTC, at("2026-11-29T01:30:00Z"))
        .take(2)
        .collect();
    assert_eq!(
        times,
        [at("2026-11-29T02:00:00Z"), at("2026-11-29T03:00:00Z")]
    );
    assert_eq!(Timetable::of(&[""; 0]), Ok(None));
    assert!(Timetable::of(&["02:00", "never"]).is_err());
}

#[test]
fn the_shortest_interval_is_that_of_every_year() {
    for (texts, hours) in [
        (&["02:00"][..], Some(24.0)),
        (&["hourly"], Some(1.0)),
        (&["01:30", "03:00"], Some(1.5)),
        (&["sun 03:00", "monthly"], Some(3.0)),
        (&["0 0 29 2 *"], Some(4.0 * 365.25 * 24.0)),
        (&["* * * * * *"], Some(1.0 / 3600.0)),
    ] {
        let timetable = Timetable::of(texts).expect("good").expect("some");
        let shortest = timetable.shortest_interval();
        let expected = hours.map(|hours: f64| Duration::from_secs_f64(hours * 3600.0).as_secs());
        assert_eq!(shortest.map(|time| time.as_secs()), expected, "{texts:?}");
    }
}

#[test]
fn missed_moments_are_due_once() {
    let nightly: Timetable = "02:00".parse().expect("good");
    let due = |started: &str, now: &str| nightly.due(Zone::UTC, at(started), at(now));
    let started = "2026-11-20T02:00:07Z";
    assert_eq!(due(started, "2026-11-21T01:59:59Z"), None);
    let newest = Some(at("2026-11-25T02:00:00Z"));
    assert_eq!(due(started, "2026-11-25T09:00:00Z"), newest);
    assert_eq!(due("2026-11-25T09:00:00Z", "2026-11-25T09:00:01Z"), None);
    // The clock was set back by an hour, over the start.
    assert_eq!(due("2026-11-25T02:00:01Z", "2026-11-25T01:10:00Z"), None);
    assert_eq!(due("2026-11-25T02:00:01Z", "2026-11-25T02:10:00Z"), None);
    let upcoming = nightly.upcoming(
        Zone::UTC,
        at("2026-11-25T02:00:01Z"),
        at("2026-11-25T01:10:00Z"),
    );
    assert_eq!(upcoming, Some(at("2026-11-26T02:00:00Z")));
    // The clock was in a year to come, and is right again.
    assert_eq!(due("2040-01-01T00:00:00Z", "2026-11-25T09:00:00Z"), newest);
    let upcoming = nightly.upcoming(
        Zone::UTC,
        at("2040-01-01T00:00:00Z"),
        at("2026-11-25T01:10:00Z"),
    );
    assert_eq!(upcoming, Some(at("2026-11-25T02:00:00Z")));
}

#[test]
fn events_of_systemd_name_the_zone_and_what_a_gap_would_swallow() {
    let events = |text: &str, name: &str| {
        let timetable: Timetable = text.parse().expect("good");
        timetable.on_calendar(zone(name), at("2026-11-29T00:00:00Z"), name)
    };
    let madrid = events("02:00", "Europe/Madrid");
    assert_eq!(
        madrid[..2],
        [
            "*-*-* 02:00:00 Europe/Madrid",
            "2027-03-28 03:00:00 Europe/Madrid"
        ]
    );
    assert_eq!(
        events("03:00", "Europe/Madrid"),
        ["*-*-* 03:00:00 Europe/Madrid"]
    );
    assert_eq!(
        events("hourly", "Europe/Madrid"),
        ["*-*-* *:00:00 Europe/Madrid"]
    );
    assert_eq!(
        events("sat,sun 04:30", "UTC"),
        ["Sun,Sat *-*-* 04:30:00 UTC"]
    );
    assert_eq!(
        events("0 0 13 1,2 fri", "UTC"),
        ["*-01,02-13 00:00:00 UTC", "Fri *-01,02-* 00:00:00 UTC"]
    );
    assert_eq!(
        events("30 */5 * * * *", "UTC"),
        [format!(
            "*-*-* *:{}:30 UTC",
            "00,05,10,15,20,25,30,35,40,45,50,55"
        )]
    );
}
