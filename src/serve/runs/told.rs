//! The messages of a verb: its log in lines for people, the progress that it tells, and its failure.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::{Failure, Kind},
    model::entry_name::printable_line,
    serve::answer::told,
};

/// The progress of a run, as its verb told it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    /// The stage of the work.
    pub stage: String,
    /// The bytes that are done.
    pub bytes: u64,
    /// All bytes, if known.
    pub total_bytes: Option<u64>,
    /// The part of the stage that is done, in percent, if known.
    pub percent: Option<u64>,
    /// All of it in a sentence.
    pub message: String,
}

/// Returns the log as lines for people. Nothing in it drives a terminal.
pub fn lines(log: &str) -> String {
    let mut text = String::new();
    for line in log.lines() {
        let record = serde_json::from_str::<Value>(line).ok();
        let known = record.as_ref().and_then(|record| {
            let level = record["level"].as_str()?;
            Some((level, record["message"].as_str()?))
        });
        match known {
            Some((level, message)) => {
                text.push_str(&format!(
                    "{} {}\n",
                    printable_line(level),
                    printable_line(message)
                ));
                let hint = record.as_ref().and_then(|record| record["hint"].as_str());
                if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
                    text.push_str(&format!("  hint: {}\n", printable_line(hint)));
                }
            }
            // The first line may be the end of a longer one.
            None => text.push_str(&format!("{}\n", printable_line(line))),
        }
    }
    text
}

/// Returns the progress that the log tells last.
pub fn progress(log: &str) -> Option<Progress> {
    let records = log.lines().rev();
    let mut records = records.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.find_map(|record| {
        let stage = record["stage"].as_str()?.to_owned();
        let bytes = record["bytes"].as_u64().unwrap_or_default();
        let count = |key: &str| record[key].as_u64().filter(|count| *count > 0);
        let parts = match (count("total_bytes"), count("total_files")) {
            (Some(total), _) => Some((bytes, total)),
            (None, Some(total)) => Some((record["files"].as_u64().unwrap_or_default(), total)),
            (None, None) => None,
        };
        let percent = |(done, total): (u64, u64)| {
            let percent = u128::from(done.min(total)) * 100 / u128::from(total);
            u64::try_from(percent).unwrap_or(100)
        };
        Some(Progress {
            stage,
            bytes,
            total_bytes: count("total_bytes"),
            percent: parts.map(percent),
            message: record["message"].as_str().unwrap_or_default().to_owned(),
        })
    })
}

/// Returns the failure of a verb that ended with this exit code: that of its report, else the last one of its log.
pub fn failure(report: Option<&Value>, log: &str, exit_code: Option<u8>) -> Option<Failure> {
    if exit_code == Some(0) {
        return None;
    }
    let reported = report.and_then(|report| told(&report["error"]));
    let logged = || {
        let records = log.lines().rev();
        let mut records = records.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.find_map(|record| told(&record).filter(|_| record["level"] == "ERROR"))
    };
    reported.or_else(logged).or_else(|| {
        let code = exit_code?;
        let message = match code {
            129 | 130 | 143 => "it was interrupted".to_owned(),
            137 => "it was killed: by the system if memory is short, or by a user".to_owned(),
            3 => "it is done in part; the report names the rest".to_owned(),
            _ => format!("it ended with exit code {code}"),
        };
        Some(Failure::new(Kind::Failed, message))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LOG: &str = "cut off\"}\n\
        {\"level\":\"INFO\",\"message\":\"packing: 1 B of 4 B\",\"stage\":\"packing\",\"bytes\":1,\"total_bytes\":4}\n\
        {\"level\":\"ERROR\",\"message\":\"no \\u001b[2J<b>\",\"kind\":\"not_found\",\"hint\":\"look\"}\n\
        \u{1b}[31mred\n";

    #[test]
    fn a_log_is_lines_that_drive_no_terminal() {
        let text = lines(LOG);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(
            text.starts_with("cut off\"}\nINFO packing: 1 B of 4 B\nERROR no "),
            "{text}"
        );
        assert!(text.contains("<b>\n  hint: look\n"), "{text}");
    }

    #[test]
    fn progress_is_the_last_that_was_told() {
        let told = progress(LOG).expect("progress");
        assert_eq!(
            (told.stage.as_str(), told.bytes, told.percent),
            ("packing", 1, Some(25))
        );
        let files = r#"{"message":"m","stage":"s","files":9,"total_files":6,"bytes":0}"#;
        assert_eq!(progress(files).expect("progress").percent, Some(100));
        assert_eq!(progress("{\"stage\": 5}\nx"), None);
    }

    #[test]
    fn a_failure_is_that_of_the_report_or_else_of_the_log() {
        let report = json!({"error": {"kind": "blocked", "message": "busy"}});
        let message = |report: Option<&Value>, log: &str, code| {
            failure(report, log, code).map(|failure| failure.message)
        };
        assert_eq!(
            message(Some(&report), LOG, Some(11)).as_deref(),
            Some("busy")
        );
        assert!(
            message(None, LOG, Some(10))
                .expect("told")
                .starts_with("no ")
        );
        assert_eq!(
            message(None, "", Some(9)).as_deref(),
            Some("it ended with exit code 9")
        );
        assert_eq!(message(Some(&report), LOG, Some(0)), None);
        assert_eq!(message(None, "", None), None);
    }
}
