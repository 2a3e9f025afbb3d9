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
    /// The number of its files, if known and if their bytes are not.
    pub all_files: Option<u64>,
    /// The number of those that are done; 0 if it is not counted by files.
    pub files: u64,
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

    fn a_second(&self, done: u64) -> u64 {
        (done as f64 / self.lasts.as_secs_f64().max(0.001)) as u64
    }

    /// Returns the work that is done and all of it, in bytes or else in files; `None` if the end is not known.
    fn measured(&self) -> Option<(u64, u64)> {
        let by_bytes = self.total().map(|total| (self.done, total));
        let by_files = || Some((self.files, self.all_files.filter(|all| *all > 0)?));
        by_bytes.or_else(by_files)
    }

    /// Returns the files a second, in words; nothing if it is not counted by files.
    fn pace_of_files(&self) -> Option<String> {
        let pace = self.a_second(self.files);
        (self.files > 0).then(|| grouped(pace))
    }

    /// Returns the time that is left, in seconds. Returns `None` if nothing is left, or if the pace so far is too slow
    /// to tell.
    fn seconds_left(&self) -> Option<u64> {
        if self.idles >= STALLED {
            return None;
        }
        let (done, all) = self.measured()?;
        let left = all.checked_sub(done)?;
        let speed = self.a_second(done);
        let seconds = (left > 0 && speed > 0).then(|| left.div_ceil(speed))?;
        let most = self.lasts.as_secs().max(1).saturating_mul(MOST_ESTIMATED);
        (seconds <= most).then_some(seconds)
    }

    /// Returns a line for a log.
    pub fn sentence(&self) -> String {
        let what = self.what;
        if self.done == 0 && self.files == 0 {
            return format!("{what}: {} s so far", self.lasts.as_secs());
        }
        let mut parts = Vec::new();
        if self.done > 0 || self.total().is_some() {
            let done = size(self.done());
            parts.push(match self.total() {
                Some(total) => format!("{done} of {}", size(total)),
                None => done,
            });
            parts.push(format!("{} a second", size(self.a_second(self.done))));
        }
        if let Some(pace) = self.pace_of_files() {
            let files = grouped(self.files);
            parts.push(match self.all_files {
                Some(all) => format!("{files} of {} files", grouped(all)),
                None => format!("{files} files"),
            });
            parts.push(format!("{pace} files a second"));
        }
        parts.extend(self.seconds_left().map(|left| format!("{left} s left")));
        format!("{what}: {}", parts.join(", "))
    }

    /// Returns a line of fewer than `columns` columns, with a bar if the total is known. If it is too narrow, the speed
    /// goes first, then the sizes, the time that is left, and the bar.
    pub fn line(&self, columns: usize, cells: Cells) -> String {
        // The last column stays free: some terminals wrap as soon as it is filled.
        let room = columns.saturating_sub(1);
        let what = self.what;
        let is_by_bytes = self.done > 0 || self.total().is_some();
        let (done, speed) = match is_by_bytes {
            true => (
                size(self.done()),
                format!("{}/s", size(self.a_second(self.done))),
            ),
            false => (grouped(self.files), String::new()),
        };
        let pace = self.pace_of_files();
        let pace = pace.map(|pace| format!(" {:>14}", format!("{pace} files/s")));
        let pace = pace.unwrap_or_default();
        let Some((part, all)) = self.measured() else {
            let lines = [
                format!("{what:NAME_WIDTH$} {done:>10} {speed:>12}{pace}"),
                format!("{what:NAME_WIDTH$} {done:>10} {speed:>12}"),
                format!("{what} {done}"),
                what.to_owned(),
            ];
            return fitting(lines, room, what);
        };
        let percent = u128::from(part.min(all)) * 100 / u128::from(all);
        let percent_text = format!("{percent:>3}%");
        let total_text = match self.total() {
            Some(total) => size(total),
            None => grouped(all),
        };
        let left = self.seconds_left().map(time).unwrap_or_default();
        let sizes = format!("{done:>width$} / {total_text}", width = total_text.len());
        let bars = [
            (
                format!("{what:NAME_WIDTH$} {done:>10} / {total_text:10} "),
                format!(" {speed:>12}{pace} {left:>4}"),
            ),
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

/// Returns a number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
            all_files: None,
            files: 0,
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
                for (columns, files) in
                    (0..200).flat_map(|columns| [(columns, 0), (columns, u64::MAX)])
                {
                    let work = WorkProgress { files, ..work };
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

    #[test]
    fn directories_are_told_by_files() {
        let packing = WorkProgress {
            files: 1_234_560,
            ..work("compressing", Some(300 * MIB), 120 * MIB)
        };
        assert_eq!(
            packing.sentence(),
            "compressing: 120.0 MiB of 300.0 MiB, 12.0 MiB a second, 1,234,560 files, 123,456 files a second, \
            15 s left"
        );
        let line = packing.line(120, Cells::Ascii);
        assert!(line.ends_with("12.0 MiB/s 123,456 files/s  15s"), "{line}");
        let building = WorkProgress {
            files: 250_000,
            all_files: Some(1_000_000),
            ..work("building", None, 0)
        };
        assert_eq!(
            building.sentence(),
            "building: 250,000 of 1,000,000 files, 25,000 files a second, 30 s left"
        );
        let line = building.line(120, Cells::Ascii);
        assert!(
            line.contains("250,000 / 1,000,000") && line.ends_with("25,000 files/s  30s"),
            "{line}"
        );
        assert!(
            building
                .line(30, Cells::Ascii)
                .starts_with("building  25% ")
        );
    }
}
