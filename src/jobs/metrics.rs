//! The status as metrics for Prometheus: its text format, version 0.0.4, for node_exporter's textfile collector.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::{
    runs::Runs,
    status::{DestinationStatus, StatusReport, StatusRequest, status},
};
use crate::{
    config::{Settings, elsewhere::tidy},
    context::Context,
    disk::{folder_of, publish::publish_readable},
    error::{Failure, Kind},
    model::run_record::{Job, RunRecord, RunResult},
    work::events::JobEvent,
};

/// The results of a run that ended.
const RESULTS: [RunResult; 4] = [
    RunResult::Success,
    RunResult::Skipped,
    RunResult::Partial,
    RunResult::Failure,
];

/// Looks at every destination and writes the file that `[backup] prometheus_file` names, if it names one. A failure is
/// an event, too.
pub fn publish(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let Some(path) = configured(settings) else {
        return Ok(());
    };
    let publish = || -> Result<()> {
        let report = status(context, settings, &StatusRequest::new())?;
        let runs = Runs::read(context, settings)?;
        write(&path, &report, runs.all())
    };
    publish().map_err(|error| {
        let (file, reason) = (path.display().to_string(), format!("{error:#}"));
        let failure = Failure::new(Kind::Partial, format!("{file} was not written: {reason}"));
        context.tell(JobEvent::MetricsFail { file, reason });
        failure
    })
}

/// Returns the path that `[backup] prometheus_file` names; a relative one counts from the configuration's folder.
pub fn configured(settings: &Settings) -> Option<PathBuf> {
    let file = settings.schema.health.prometheus_file.as_ref()?;
    Some(tidy(&folder_of(&settings.config).join(file)))
}

/// Writes the metrics to a file, 0644 and in one step: a reader finds the old ones or the new ones. A missing folder is
/// not made: that of node_exporter belongs to its package.
pub fn write(path: &Path, report: &StatusReport, runs: &[RunRecord]) -> Result<()> {
    let folder = folder_of(path);
    if !folder.exists() {
        let folder = folder.display();
        let message = format!("the folder of the metrics does not exist: {folder}");
        return Err(Failure::new(Kind::Failed, message)
            .hint(format!("make it (`mkdir -p {folder}`), or correct the path; `timer install` makes that of `prometheus_file`"))
            .into());
    }
    publish_readable(path, text(report, runs).as_bytes())
}

/// Returns the metrics. `runs` are those of the history, the one that began first comes first.
pub fn text(report: &StatusReport, runs: &[RunRecord]) -> String {
    let mut page = Page {
        app: &report.app,
        text: String::new(),
    };
    of_destinations(&mut page, report);
    of_runs(&mut page, runs);
    let next = report.next_runs.iter().map(|next| {
        let labels = vec![("job", next.job.name().to_owned())];
        (labels, seconds(next.time))
    });
    page.gauge(
        "next_run_timestamp_seconds",
        "Time of the next start of a job.",
        next,
    );
    let version = vec![("version", report.version.clone())];
    page.gauge(
        "build_info",
        "Version of the hookshot that wrote this.",
        [(version, 1.0)],
    );
    page.text
}

fn of_destinations(page: &mut Page<'_>, report: &StatusReport) {
    let prefixes: Vec<&str> = report
        .destinations
        .iter()
        .map(|one| one.prefix.as_str())
        .collect();
    let is_of_several = prefixes.windows(2).any(|two| two[0] != two[1]);
    let labels = |one: &DestinationStatus| {
        let mut labels = vec![("destination", one.name.clone())];
        if is_of_several {
            labels.push(("prefix", one.prefix.clone()));
        }
        labels
    };
    let mut each = |name: &str, help: &str, value: fn(&DestinationStatus) -> Option<f64>| {
        let samples = report.destinations.iter();
        let samples = samples.filter_map(|one| Some((labels(one), value(one)?)));
        page.gauge(name, help, samples);
    };
    each(
        "healthy",
        "1 if the destination is healthy, else 0.",
        |one| Some(if one.healthy { 1.0 } else { 0.0 }),
    );
    each(
        "last_success_timestamp_seconds",
        "Time at which the destination last held the present state.",
        |one| one.fresh_at.map(seconds),
    );
    each(
        "newest_archive_size_bytes",
        "Size of the newest good archive.",
        |one| one.newest.as_ref().map(|newest| newest.size_bytes as f64),
    );
    each(
        "archives",
        "Number of archives in the destination.",
        |one| one.archives.map(|count| count as f64),
    );
    each(
        "stored_bytes",
        "Bytes of all archives in the destination.",
        |one| one.size_bytes.map(|bytes| bytes as f64),
    );
    each(
        "last_drill_success_timestamp_seconds",
        "Time of the last rehearsed restore that was good; 0 if none was.",
        |one| {
            let never = one.is_drilled.then_some(0.0);
            one.drilled_at.map(seconds).or(never)
        },
    );
}

fn of_runs(page: &mut Page<'_>, runs: &[RunRecord]) {
    let has_ended = |run: &&RunRecord| run.result != RunResult::Running;
    let last = runs
        .iter()
        .rev()
        .filter(has_ended)
        .find(|run| run.job == Job::Backup);
    page.gauge(
        "last_run_timestamp_seconds",
        "Time at which the last backup began.",
        last.map(|run| (Vec::new(), seconds(run.started_at))),
    );
    let results = last.into_iter().flat_map(|run| {
        RESULTS.map(|result| {
            let labels = vec![("result", result.name().to_owned())];
            (labels, if run.result == result { 1.0 } else { 0.0 })
        })
    });
    page.gauge(
        "last_run_result",
        "1 for the result of the last backup, 0 for the others.",
        results,
    );
    let mut durations: BTreeMap<&str, f64> = BTreeMap::new();
    let mut totals: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for run in runs.iter().filter(has_ended) {
        let operation = run.job.name();
        if let Some(duration) = run.duration_seconds {
            durations.insert(operation, duration);
        }
        *totals.entry((operation, run.result.name())).or_default() += 1;
    }
    let operation = |name: &str| ("operation", name.to_owned());
    page.gauge(
        "operation_duration_seconds",
        "Duration of the last run of an operation.",
        durations
            .into_iter()
            .map(|(name, value)| (vec![operation(name)], value)),
    );
    let totals = totals.into_iter().map(|((name, result), count)| {
        let labels = vec![operation(name), ("result", result.to_owned())];
        (labels, count as f64)
    });
    page.metric(
        "operations_total",
        "counter",
        "Number of runs in the history.",
        totals,
    );
}

type Labels = Vec<(&'static str, String)>;

/// A page of metrics.
struct Page<'a> {
    app: &'a str,
    text: String,
}

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.metric(name, "gauge", help, samples);
    }

    /// Adds a metric, unless it has no sample.
    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let name = format!("hookshot_{name}");
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = write!(self.text, "{name}{{app=\"{}\"", escaped(self.app));
            for (label, text) in labels {
                let _ = write!(self.text, ",{label}=\"{}\"", escaped(&text));
            }
            let _ = writeln!(self.text, "}} {value}");
        }
    }
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp() as f64
}

/// Escapes the value of a label.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped_and_empty_metrics_left_out() {
        let mut page = Page {
            app: "a\"b\\c\nd",
            text: String::new(),
        };
        page.gauge("none", "Nothing.", []);
        page.gauge(
            "one",
            "One.",
            [(vec![("x", "y".to_owned())], 1_790_000_000.0)],
        );
        assert_eq!(
            page.text,
            "# HELP hookshot_one One.\n# TYPE hookshot_one gauge\n\
            hookshot_one{app=\"a\\\"b\\\\c\\nd\",x=\"y\"} 1790000000\n"
        );
    }

    #[test]
    fn the_last_result_is_one_and_runs_are_counted() {
        let run = |job, result, hours: i64| RunRecord {
            result,
            duration_seconds: Some(1.5),
            ..RunRecord::begun(
                "r".to_owned(),
                job,
                DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hours),
            )
        };
        let mut page = Page {
            app: "a",
            text: String::new(),
        };
        of_runs(
            &mut page,
            &[
                run(Job::Backup, RunResult::Success, 1),
                run(Job::Backup, RunResult::Failure, 2),
                run(Job::Drill, RunResult::Success, 3),
                run(Job::Backup, RunResult::Running, 4),
            ],
        );
        for line in [
            "hookshot_last_run_timestamp_seconds{app=\"a\"} 7200\n",
            "hookshot_last_run_result{app=\"a\",result=\"success\"} 0\n",
            "hookshot_last_run_result{app=\"a\",result=\"failure\"} 1\n",
            "hookshot_operation_duration_seconds{app=\"a\",operation=\"drill\"} 1.5\n",
            "hookshot_operations_total{app=\"a\",operation=\"backup\",result=\"success\"} 1\n",
        ] {
            assert!(page.text.contains(line), "{line}: {}", page.text);
        }
        assert!(!page.text.contains("running"), "{}", page.text);
    }
}
