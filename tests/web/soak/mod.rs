//! Fifty people that click for a while, restores among it: no fault, no lost run, and a server that does not grow.
//!
//! A few seconds by default. `HOOKSHOT_SOAK_MINUTES=60` makes it an hour.

mod person;
mod process;
mod restorer;

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{Tree, tree};

use self::{
    person::{Person, Role},
    process::{Figures, settled},
    restorer::Restorer,
};
use crate::{
    client::Client,
    site::{API, PASSWORD, Serving, Site, cookie},
};

/// The people.
const PEOPLE: usize = 50;
/// The time of clicking in an ordinary run; the first half of it is for the server to get warm.
const SECONDS: u64 = 6;
/// The time in which the server of a long run gets warm: it has as many runs then as a page of them reads.
const WARM: Duration = Duration::from_secs(180);
/// The time between two looks at the figures of a long run.
const STEP: Duration = Duration::from_secs(60);
/// The time in which runs end after the clicking.
const PATIENCE: Duration = Duration::from_secs(120);
/// The ends of runs that are expected: each has one of these in its state or its failure.
const EXPECTED: [&str; 3] = [" done", " cancelled", "another hookshot is at work"];
/// The faults after which everybody stops.
const MOST_FAULTS: usize = 10;

/// The part that all people share.
#[derive(Default)]
struct Shared {
    has_ended: AtomicBool,
    faults: Mutex<Vec<String>>,
    clicks: Mutex<BTreeMap<String, Clicks>>,
}

/// The clicks of a kind.
#[derive(Default)]
struct Clicks {
    count: u32,
    all: Duration,
    longest: Duration,
}

impl Shared {
    /// Counts a click by its kind and its answer.
    fn count(&self, kind: &str, status: u16, taken: Duration) {
        let mut clicks = self.clicks.lock().unwrap_or_else(PoisonError::into_inner);
        let clicks = clicks.entry(format!("{kind} {status}")).or_default();
        clicks.count += 1;
        clicks.all += taken;
        clicks.longest = clicks.longest.max(taken);
    }

    fn fault(&self, text: String) {
        // Of a page, what it says.
        let (asked, said) = text.split_once('<').unwrap_or((&text, ""));
        let said = said.split_once("<main").map_or(said, |(_, main)| main);
        let text = format!("{asked}{said}");
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(text);
        if faults.len() >= MOST_FAULTS {
            self.has_ended.store(true, Ordering::Relaxed);
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn is_good(&self) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    }

    /// Tells all clicks, with the mean and the longest time of each kind.
    fn told(&self) -> String {
        let clicks = self.clicks.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = clicks.iter().map(|(kind, clicks)| {
            let (mean, longest) = (clicks.all / clicks.count, clicks.longest);
            format!("{kind}: {}, {mean:.0?}, {longest:.0?}", clicks.count)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Returns the time of clicking before and after the first look at the figures.
fn times() -> (Duration, Duration) {
    let minutes = env::var("HOOKSHOT_SOAK_MINUTES").ok();
    let minutes: Option<u64> = minutes.map(|minutes| minutes.parse().expect("minutes"));
    match minutes {
        Some(minutes) => {
            let all = Duration::from_secs(60 * minutes);
            let warm = WARM.min(all / 2);
            (warm, all - warm)
        }
        None => {
            let half = Duration::from_secs(SECONDS) / 2;
            (half, half)
        }
    }
}

/// Logs everybody in, one after another: the stretching of a password takes memory and time.
fn people(serving: &Serving) -> Vec<Person> {
    let sessions = (0..PEOPLE).map(|number| {
        let role = match number % 5 {
            0 => Role::Admin,
            1 | 2 => Role::Operator,
            _ => Role::Viewer,
        };
        let login = serving.try_login(role.user(), PASSWORD).is(303);
        let client = serving
            .stranger()
            .with(format!("Cookie: {}", cookie(&login)));
        Person::new(number, role, client)
    });
    sessions.collect()
}

/// Lets everybody click for this time, while states are restored.
fn click(people: &mut [Person], shared: &Shared, time: Duration, restorer: &mut Restorer<'_>) {
    shared.has_ended.store(false, Ordering::Relaxed);
    thread::scope(|scope| {
        for person in people.iter_mut() {
            scope.spawn(|| person.click(shared));
        }
        scope.spawn(|| restorer.work(shared));
        let end = Instant::now() + time;
        while Instant::now() < end && !shared.has_ended() {
            thread::sleep(Duration::from_millis(50));
        }
        shared.has_ended.store(true, Ordering::Relaxed);
    });
    shared.is_good();
}

fn state(site: &Site) -> Tree {
    let mut state = tree(&site.machine.path("srv"));
    state.retain(|path, _| !path.to_string_lossy().contains(".bak"));
    state
}

/// Says the figures, and returns them.
fn look(serving: &Serving, when: &str) -> Figures {
    let figures = settled(serving.pid());
    println!("{when}: {figures}");
    figures.are_modest();
    figures
}

/// Waits until every run has ended as expected, and returns them by verb, state and failure.
#[track_caller]
fn runs(serving: &Serving, program: &Client) -> BTreeMap<String, usize> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = program
            .get(&format!("{API}/runs?limit=200{after}"))
            .is(200)
            .json();
        let runs = answer["runs"].as_array().expect("runs");
        if let Some(run) = runs.iter().find(|run| run["state"] == "running") {
            assert!(Instant::now() < end, "{run}\n{}", serving.log());
            (all, after) = (BTreeMap::new(), String::new());
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        for run in runs {
            let word = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
            let words = [word("verb"), word("state"), word("message")].join(" ");
            if !EXPECTED.iter().any(|known| words.contains(*known)) {
                let whole = program.get(&format!("{API}/runs/{}", word("id")));
                panic!("{}", whole.text());
            }
            *all.entry(words.trim().to_owned()).or_default() += 1;
        }
        match answer["next"].as_str() {
            Some(next) => after = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn fifty_people_that_click_and_restore_meet_no_fault_and_the_server_does_not_grow() {
    let site = Site::new();
    let tokens = ["reader", "restorer"].map(|name| site.token(name, "admin", &[]));
    let archived = state(&site);
    let serving = site.start(&[]);
    let [program, restorer] = tokens.each_ref().map(|token| serving.program(token));
    let archives = serving.snapshots(&program);
    let archive = archives[0]["id"].as_str().expect("an id").to_owned();
    look(&serving, "start");
    let mut people = people(&serving);
    look(&serving, "after logins");
    let mut restorer = Restorer::new(&site, &serving, restorer, archived, archive);
    let shared = Shared::default();
    let (warm, time) = times();
    click(&mut people, &shared, warm, &mut restorer);
    let before = look(&serving, "warm");
    let steps = time.as_secs().div_ceil(STEP.as_secs()).max(1);
    let step = time / u32::try_from(steps).expect("few");
    let (mut after, mut told) = (before, BTreeMap::new());
    for number in 1..=steps {
        click(&mut people, &shared, step, &mut restorer);
        told = runs(&serving, &program);
        after = look(&serving, &format!("step {number} of {steps}"));
    }
    println!("{}\n{restorer}\n{told:#?}", shared.told());
    restorer.has_worked();
    after.are_no_more_than(&before);
    serving.stranger().get("/livez").is(200);
    let log = serving.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}
