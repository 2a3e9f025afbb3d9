//! `[backup.schedule]`, `[backup.timer]` and `[backup.agent]`: the jobs that a timer or the agent starts, and when.

use std::{collections::BTreeMap, time::Duration};

use toml::Value;

use super::reader::Section;
use crate::{
    model::{quantity::TimeLimit, retention::Zone, run_record::Job, schedule::Timetable},
    source::service::is_unit,
};

/// The start of the backup if the configuration does not say it.
const DEFAULT_BACKUP: &str = "02:00";
/// The longest delay of a start if the configuration does not say when the backup starts.
const DEFAULT_JITTER: Duration = Duration::from_secs(30 * 60);
/// The look at the destinations if something is notified.
const DEFAULT_STATUS: &str = "hourly";
/// The most jobs that the agent runs at once.
const MOST_PARALLEL: usize = 64;

/// The jobs that are started by a schedule, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The timetables that the file names. A job with `None` is never started.
    written: BTreeMap<Job, Option<Timetable>>,
    jitter: Option<Duration>,
    zone: Option<Zone>,
    /// True if a start that was missed is made up for.
    pub persistent: bool,
    /// False if nothing is started.
    pub enabled: bool,
}

/// `[backup.timer]`: the units of systemd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimerSettings {
    /// True if the units have a sandbox although the configuration runs commands.
    pub is_strict: bool,
    /// The unit that systemd starts after a failure.
    pub on_failure: Option<String>,
}

/// `[backup.agent]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// The number of jobs that run at once.
    pub parallel: usize,
    /// The verbs that a server may have run; every server may look.
    pub allow: Vec<AgentVerb>,
}

/// A verb that an agent behind a socket runs only if it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentVerb {
    /// `backup`.
    Backup,
    /// `verify`.
    Verify,
    /// `check`.
    Check,
    /// `drill`.
    Drill,
    /// `keep`, which also removes marks.
    Keep,
    /// The content of entries: it may hold secrets.
    Content,
    /// `import`.
    Import,
    /// `rollback`.
    Rollback,
    /// `serve policy apply`: the schedule and the retention in the configuration.
    Policy,
}

/// The verbs by their words.
const AGENT_VERBS: [(&str, AgentVerb); 9] = [
    ("backup", AgentVerb::Backup),
    ("verify", AgentVerb::Verify),
    ("check", AgentVerb::Check),
    ("drill", AgentVerb::Drill),
    ("keep", AgentVerb::Keep),
    ("content", AgentVerb::Content),
    ("import", AgentVerb::Import),
    ("rollback", AgentVerb::Rollback),
    ("policy", AgentVerb::Policy),
];

/// The verbs that are allowed unless the configuration says otherwise: they neither replace the state nor tell secrets.
const USUAL: [AgentVerb; 4] = [
    AgentVerb::Backup,
    AgentVerb::Verify,
    AgentVerb::Check,
    AgentVerb::Drill,
];

impl AgentVerb {
    /// Returns its word in the configuration.
    pub fn name(self) -> &'static str {
        let mut words = AGENT_VERBS.iter();
        let word = words.find(|(_, verb)| *verb == self);
        word.map_or("", |(word, _)| word)
    }
}

impl AgentSettings {
    /// Returns true if a server may have this verb run.
    pub fn allows(&self, verb: AgentVerb) -> bool {
        self.allow.contains(&verb)
    }
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            written: BTreeMap::new(),
            jitter: None,
            zone: None,
            persistent: true,
            enabled: true,
        }
    }
}

impl Default for AgentSettings {
    fn default() -> AgentSettings {
        AgentSettings {
            parallel: 1,
            allow: USUAL.to_vec(),
        }
    }
}

impl Schedule {
    /// Returns the moments at which a job starts. A backup that the file does not name starts at 02:00. If something
    /// is notified (`is_notified`), the destinations are looked at every hour.
    pub fn timetable(&self, job: Job, is_notified: bool) -> Option<Timetable> {
        if !self.enabled {
            return None;
        }
        if let Some(written) = self.written.get(&job) {
            return written.clone();
        }
        let default = match job {
            Job::Backup => DEFAULT_BACKUP,
            Job::Status if is_notified => DEFAULT_STATUS,
            _ => return None,
        };
        default.parse().ok()
    }

    /// Returns true if the file names the moments of a job.
    pub fn is_written(&self, job: Job) -> bool {
        self.written.contains_key(&job)
    }

    /// Returns the longest delay of a start.
    pub fn jitter(&self) -> Duration {
        let default = match self.is_written(Job::Backup) {
            true => Duration::ZERO,
            false => DEFAULT_JITTER,
        };
        self.jitter.unwrap_or(default)
    }

    /// Returns the zone that the file names.
    pub fn written_zone(&self) -> Option<Zone> {
        self.zone
    }

    /// Returns the zone of the timetables. `machine` is that of this machine.
    pub fn zone(&self, machine: Zone) -> Zone {
        self.zone.unwrap_or(machine)
    }
}

/// Reads `[backup.schedule]`.
pub(super) fn read(section: &Section<'_>) -> Schedule {
    let mut written = BTreeMap::new();
    for (key, job) in Job::NAMES {
        if section.value(key).is_some() {
            written.insert(job, section.timetable(key));
        }
    }
    let jitter: Option<TimeLimit> = section.parsed("jitter");
    Schedule {
        written,
        jitter: jitter.map(TimeLimit::duration),
        zone: section.parsed("timezone"),
        persistent: section.flag("persistent").unwrap_or(true),
        enabled: section.flag("enabled").unwrap_or(true),
    }
}

/// Reads `[backup.timer]`.
pub(super) fn read_timer(section: &Section<'_>) -> TimerSettings {
    let sandbox = section.word("sandbox", &[("auto", false), ("strict", true)]);
    let on_failure = section.text("on_failure").filter(|unit| {
        // A specifier, such as `%n`, stands for a part of a name.
        let is_good = is_unit(&unit.replace('%', ""));
        if !is_good {
            section.fault(
                "on_failure",
                "must be the name of a unit of systemd, such as \"alarm@%n.service\"",
            );
        }
        is_good
    });
    TimerSettings {
        is_strict: sandbox.unwrap_or(false),
        on_failure,
    }
}

/// Reads `[backup.agent]`.
pub(super) fn read_agent(section: &Section<'_>) -> AgentSettings {
    let says = format!("a number from 1 to {MOST_PARALLEL}");
    let is_good = |number: &usize| (1..=MOST_PARALLEL).contains(number);
    let parallel = section.number("parallel", &says, is_good);
    let usual = AgentSettings::default();
    AgentSettings {
        parallel: parallel.unwrap_or(usual.parallel),
        allow: match section.value("allow") {
            Some(_) => read_allow(section),
            None => usual.allow,
        },
    }
}

fn read_allow(section: &Section<'_>) -> Vec<AgentVerb> {
    let words = section.list("allow").into_iter();
    let known = |word: String| {
        let found = AGENT_VERBS.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let words = AGENT_VERBS.map(|(word, _)| word).join(", ");
            section.fault("allow", format!("has {word:?}, which is none of {words}"));
        }
        Some(found?.1)
    };
    words.filter_map(known).collect()
}

impl Section<'_> {
    /// Returns the moments that a text, or a list of texts, names. An empty list names none.
    pub(super) fn timetable(&self, key: &'static str) -> Option<Timetable> {
        let texts: Option<Vec<&str>> = match self.value(key)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let Some(texts) = texts else {
            self.fault(key, "must be a time, such as \"02:00\", or a list of times");
            return None;
        };
        match Timetable::of(&texts) {
            Ok(timetable) => timetable,
            Err(fault) => {
                self.refuse(format!("{}: {fault}", self.shown(key)));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    fn schedule(text: &str) -> Result<Schedule, Vec<String>> {
        reader::read(text, |root| root.section("schedule", read)).map(Option::unwrap_or_default)
    }

    fn shown(schedule: &Schedule, job: Job, is_notified: bool) -> Option<String> {
        let timetable = schedule.timetable(job, is_notified);
        timetable.map(|timetable| timetable.to_string())
    }

    #[test]
    fn a_schedule_is_read() {
        let text = "[schedule]\nbackup = [\"02:00\", \"sun 14:00\"]\ndrill = \"0 5 * * 0\"\nstatus = []\n\
            jitter = \"10m\"\ntimezone = \"Europe/Madrid\"\npersistent = false\n";
        let read = schedule(text).expect("good");
        let backup = shown(&read, Job::Backup, true);
        assert_eq!(backup.as_deref(), Some("02:00, sun 14:00"));
        let drill = shown(&read, Job::Drill, true);
        assert_eq!(drill.as_deref(), Some("0 5 * * 0"));
        assert_eq!(shown(&read, Job::Status, true), None);
        assert_eq!(shown(&read, Job::Verify, true), None);
        assert_eq!(read.jitter(), Duration::from_secs(600));
        assert_eq!(read.zone(Zone::UTC).name(), "Europe/Madrid");
        assert!(!read.persistent && read.enabled);
        let off = schedule("[schedule]\nbackup = \"02:00\"\nenabled = false\n").expect("good");
        assert_eq!(shown(&off, Job::Backup, true), None);
    }

    #[test]
    fn a_backup_and_a_look_at_its_health_are_the_default() {
        let none = schedule("").expect("good");
        assert_eq!(shown(&none, Job::Backup, false).as_deref(), Some("02:00"));
        assert_eq!(none.jitter(), Duration::from_secs(1800));
        assert_eq!(shown(&none, Job::Status, false), None);
        assert_eq!(shown(&none, Job::Status, true).as_deref(), Some("hourly"));
        let said = schedule("[schedule]\nbackup = \"02:00\"\n").expect("good");
        assert_eq!(said.jitter(), Duration::ZERO);
        // A schedule of something else does not end the backups.
        let drill = schedule("[schedule]\ndrill = \"weekly\"\n").expect("good");
        assert_eq!(shown(&drill, Job::Backup, false).as_deref(), Some("02:00"));
    }

    #[test]
    fn every_fault_of_a_schedule_is_named() {
        let text = "[schedule]\nbackup = \"2 o'clock\"\nprune = 4\nverify = [\"weekly\", \"often\"]\njitter = \"soon\"\n\
            timezone = \"Madrid\"\nbakup = \"02:00\"\n";
        let faults = schedule(text).expect_err("bad");
        assert_eq!(faults.len(), 6, "{faults:#?}");
        let all = faults.join("\n");
        for says in [
            "did you mean `backup`?",
            "`backup` under [schedule]: a time of a schedule is \"02:00\"",
            "`prune` under [schedule] must be a time",
            "`verify` under",
            "IANA name",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert!(!all.contains("o'clock"), "{all}");
    }

    #[test]
    fn timer_and_agent_are_read() {
        let timer = |text: &str| reader::read(text, read_timer);
        let read = timer("sandbox = \"strict\"\non_failure = \"alarm.service\"\n").expect("good");
        assert!(read.is_strict);
        assert_eq!(read.on_failure.as_deref(), Some("alarm.service"));
        assert_eq!(
            timer("sandbox = \"none\"\non_failure = \"a b\"\n")
                .expect_err("bad")
                .len(),
            2
        );
        let agent = |text: &str| reader::read(text, read_agent);
        let four = AgentSettings {
            parallel: 4,
            ..AgentSettings::default()
        };
        assert_eq!(agent("parallel = 4\n"), Ok(four));
        assert_eq!(agent("parallel = 0\n").expect_err("bad").len(), 1);
        let usual = AgentSettings::default();
        assert!(usual.allows(AgentVerb::Backup) && !usual.allows(AgentVerb::Import));
        let read = agent("allow = [\"import\", \"content\"]\n").expect("good");
        assert_eq!(read.allow, [AgentVerb::Import, AgentVerb::Content]);
        assert_eq!(agent("allow = []\n").expect("good").allow, []);
        let faults = agent("allow = [\"delete\", \"backup\"]\n").expect_err("bad");
        assert!(
            faults.len() == 1 && faults[0].contains("delete"),
            "{faults:?}"
        );
    }
}
