//! A line about work under way, as wide as the terminal permits.

use std::time::Duration;

use super::appearance::Cells;
use crate::cli::size::size;

/// The fewest cells of a bar that is worth its place.
const LEAST_CELLS: usize = 10;
/// The width of the name of the work if there is room.
const NAME_WIDTH: usize = 20;

/// One piece of work, and how much of it is done.
#[derive(Debug, Clone, Copy)]
pub struct WorkProgress {
    /// Its name.
    pub what: &'static str,
    /// The number of its bytes, if known.
    pub total: Option<u64>,
    /// The number of those that are done.
    pub done: u64,
    /// The time that it has taken so far.
    pub lasts: Duration,
    /// The time since bytes came last.
    pub idles: Duration,
}

/// After this time without bytes, the end is unknown.
const STALLED: Duration = Duration::from_secs(5);
/// An estimate of more than this many times the time taken so far is not shown.
const MOST_ESTIMATED: u64 = 100;

impl WorkProgress {
    /// Returns the bytes that are done, at most the total: bytes that are read twice count once.
    fn done(&self) -> u64 {
        self.done.min(self.total.unwrap_or(u64::MAX))
    }

    fn total(&self) -> Option<u64> {
        self.total.filter(|total| *total > 0)
    }

    fn bytes_a_second(&self) -> u64 {
        (self.done as f64 / self.lasts.as_secs_f64().max(0.001)) as u64
    }

    /// Returns the time that is left, in seconds. Returns `None` if nothing is left, or if the pace so far is too slow
    /// to tell.
    fn seconds_left(&self) -> Option<u64> {
        if self.idles >= STALLED {
            return None;
        }
        let left = self.total()?.checked_sub(self.done)?;
        let speed = self.bytes_a_second();
        let seconds = (left > 0 && speed > 0).then(|| left.div_ceil(speed))?;
        let most = self.lasts.as_secs().max(1).saturating_mul(MOST_ESTIMATED);
        (seconds <= most).then_some(seconds)
    }

    /// Returns a line for a log.
    pub fn sentence(&self) -> String {
        let (what, done) = (self.what, size(self.done()));
        let speed = size(self.bytes_a_second());
        match (self.total(), self.seconds_left()) {
            _ if self.done == 0 => format!("{what}: {} s so far", self.lasts.as_secs()),
            (Some(total), Some(left)) => format!(
                "{what}: {done} of {}, {speed} a second, {left} s left",
                size(total)
            ),
            (Some(total), None) => format!("{what}: {done} of {}, {speed} a second", size(total)),
            (None, _) => format!("{what}: {done}, {speed} a second"),
        }
    }

    /// Returns a line of fewer than `columns` columns, with a bar if the total is known. If it is too narrow, the speed
    /// goes first, then the sizes, the time that is left, and the bar.
    pub fn line(&self, columns: usize, cells: Cells) -> String {
        // The last column stays free: some terminals wrap as soon as it is filled.
        let room = columns.saturating_sub(1);
        let what = self.what;
        let done = size(self.done());
        let speed = format!("{}/s", size(self.bytes_a_second()));
        let Some(total) = self.total() else {
            let lines = [
                format!("{what:NAME_WIDTH$} {done:>10} {speed:>12}"),
                format!("{what} {done}"),
                what.to_owned(),
            ];
            return fitting(lines, room, what);
        };
        let percent = u128::from(self.done()) * 100 / u128::from(total);
        let percent_text = format!("{percent:>3}%");
        let total_text = size(total);
        let left = self.seconds_left().map(time).unwrap_or_default();
        let sizes = format!("{done:>width$} / {total_text}", width = total_text.len());
        let bars = [
            (
                format!("{what:NAME_WIDTH$} {done:>10} / {total_text:10} "),
                format!(" {speed:>12} {left:>4}"),
            ),
            (format!("{what} {sizes} "), format!(" {left:>4}")),
            (format!("{what} {percent_text} "), format!(" {left:>4}")),
            (format!("{what} {percent_text} "), String::new()),
        ];
        for (before, behind) in bars {
            let taken = before.chars().count() + behind.chars().count();
            if taken + LEAST_CELLS <= room {
                let bar = bar(room - taken, percent, cells);
                return format!("{before}{bar}{behind}").trim_end().to_owned();
            }
        }
        let lines = [format!("{what} {percent_text}"), percent_text.clone()];
        fitting(lines, room, what)
    }
}

/// Returns the first line that fits, else as much of `last` as fits.
fn fitting<const N: usize>(lines: [String; N], room: usize, last: &str) -> String {
    let mut lines = lines.into_iter().map(|line| line.trim_end().to_owned());
    let found = lines.find(|line| line.chars().count() <= room);
    found.unwrap_or_else(|| last.chars().take(room).collect())
}

fn bar(width: usize, percent: u128, cells: Cells) -> String {
    let (full, empty) = match cells {
        Cells::Blocks => ("█", "░"),
        Cells::Ascii => ("#", "-"),
    };
    let filled = usize::try_from(percent).unwrap_or(100).min(100) * width / 100;
    full.repeat(filled) + &empty.repeat(width - filled)
}

/// Returns seconds in at most four columns.
fn time(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}m", seconds / 60),
        6_000..3_600_000 => format!("{}h", seconds / 3_600),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn work(what: &'static str, total: Option<u64>, done: u64) -> WorkProgress {
        let lasts = Duration::from_secs(10);
        WorkProgress {
            what,
            total,
            done,
            lasts,
            idles: Duration::ZERO,
        }
    }

    #[test]
    fn a_reader_that_stands_still_has_no_end_in_sight() {
        let goes_on = work("reading", Some(300 * MIB), 120 * MIB);
        let stalled = WorkProgress {
            idles: Duration::from_secs(6),
            ..goes_on
        };
        assert_eq!(
            stalled.sentence(),
            "reading: 120.0 MiB of 300.0 MiB, 12.0 MiB a second"
        );
        assert!(!stalled.line(100, Cells::Ascii).contains("15s"));
        // The first page alone came.
        let hardly_begun = work("reading", Some(300 * MIB), 64 << 10);
        let sentence = hardly_begun.sentence();
        assert!(!sentence.contains("left"), "{sentence}");
    }

    #[test]
    fn what_does_not_fit_is_left_out_the_bar_last() {
        let work = work("compressing", Some(300 * MIB), 120 * MIB);
        for (columns, line) in [
            (
                100,
                "compressing           120.0 MiB / 300.0 MiB  ##############--------------------- 12.0 MiB/s  15s",
            ),
            (
                61,
                "compressing 120.0 MiB / 300.0 MiB ########------------  15s",
            ),
            (45, "compressing  40% #########-------------  15s"),
            (30, "compressing  40% ####--------"),
            (20, "compressing  40%"),
            (10, " 40%"),
            (4, "com"),
            (0, ""),
        ] {
            let shown = work.line(columns, Cells::Ascii);
            let same = |text: &str| {
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let bars = |words: Vec<String>| -> Vec<String> {
                let is_bar = |word: &String| word.contains(['#', '-']);
                words.into_iter().filter(|word| !is_bar(word)).collect()
            };
            assert_eq!(bars(same(&shown)), bars(same(line)), "{columns}: {shown:?}");
            assert_eq!(
                shown.contains('#'),
                line.contains('#'),
                "{columns}: {shown:?}"
            );
        }
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal_and_none_says_more_than_all() {
        let names = ["reading", "keeping what a command holds"];
        let amounts = [
            (None, 0),
            (None, u64::MAX),
            (Some(0), 0),
            (Some(0), 7),
            (Some(300 * MIB), 0),
            (Some(300 * MIB), 300 * MIB),
            (Some(300 * MIB), 301 * MIB),
            (Some(u64::MAX), u64::MAX - 1),
        ];
        for what in names {
            for (total, done) in amounts {
                let work = work(what, total, done);
                for columns in 0..200 {
                    let line = work.line(columns, Cells::Blocks);
                    assert!(line.chars().count() < columns.max(1), "{columns}: {line}");
                    assert!(!line.contains("301") && !line.contains("101%"), "{line}");
                }
                let sentence = work.sentence();
                assert!(!sentence.contains("301") || total.is_none(), "{sentence}");
                assert!(!sentence.contains(" 0 s left"), "{sentence}");
            }
        }
    }

    #[test]
    fn a_sentence_says_what_is_known() {
        let of = |total, done| work("reading", total, done).sentence();
        assert_eq!(
            of(Some(300 * MIB), 120 * MIB),
            "reading: 120.0 MiB of 300.0 MiB, 12.0 MiB a second, 15 s left"
        );
        assert_eq!(
            of(Some(300 * MIB), 310 * MIB),
            "reading: 300.0 MiB of 300.0 MiB, 31.0 MiB a second"
        );
        assert_eq!(of(None, 120 * MIB), "reading: 120.0 MiB, 12.0 MiB a second");
        assert_eq!(of(Some(5), 0), "reading: 10 s so far");
    }
}
