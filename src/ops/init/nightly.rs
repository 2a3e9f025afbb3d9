//! The nightly job in a starter configuration: a destination, the policy of the reference, and the schedule.

use std::ffi::OsStr;

use crate::{
    config::{absolute, schema::Schema},
    error::{Failure, Kind},
    store::Address,
};

/// The beginning of the backup unless the user says otherwise.
pub const DEFAULT_SCHEDULE: &str = "02:00";

/// The line of a starter configuration that names its destination.
const TO: &str = "to = [\"local\"]";
/// The section of that destination, up to its place.
const SECTION: &str = "[backup.destinations.local]\nurl = ";

/// A destination and a schedule for a starter configuration.
pub struct Nightly {
    name: &'static str,
    url: String,
    schedule: String,
}

impl Nightly {
    /// Reads a word of the command line: a URL, or the path of a folder. `schedule` is written as in
    /// `[backup.schedule]`.
    ///
    /// Fails with [`Kind::Usage`] if one of them cannot stand in a configuration.
    pub fn new(word: &OsStr, schedule: Option<&str>) -> Result<Nightly, Failure> {
        let usage = |fault: String| Failure::new(Kind::Usage, fault);
        let url = match Address::of_word(word).map_err(usage)? {
            Address::Folder(folder) => {
                let folder = absolute(&folder).map_err(|error| Failure::of(&error))?;
                let text = folder.to_str();
                let not_text = || usage(format!("{} is not UTF-8", folder.display()));
                text.ok_or_else(not_text)?.to_owned()
            }
            _ => word.to_string_lossy().trim().to_owned(),
        };
        let name = match Address::parse(&url).map_err(usage)? {
            Address::Folder(_) => "local",
            _ => "offsite",
        };
        Ok(Nightly {
            name,
            url,
            schedule: schedule.unwrap_or(DEFAULT_SCHEDULE).to_owned(),
        })
    }

    /// Returns the name of the destination.
    pub fn destination(&self) -> &'static str {
        self.name
    }

    /// Returns a starter configuration with the destination, the policy and the schedule in place of its own
    /// destination.
    ///
    /// Fails with [`Kind::Usage`] if it would not be good.
    pub fn written_into(&self, starter: &str) -> Result<String, Failure> {
        let text = match starter.split_once(SECTION) {
            Some((before, after)) => {
                let before = before.replace(TO, &format!("to = [\"{}\"]", self.name));
                let after = after.split_once('\n').map_or("", |(_, after)| after);
                format!("{before}{}{after}", self.sections())
            }
            None => format!("{starter}{}", self.sections()),
        };
        match Schema::parse(&text) {
            Ok(_) => Ok(text),
            Err(faults) => {
                let first = faults.first().cloned().unwrap_or_default();
                Err(
                    Failure::new(Kind::Usage, format!("nothing was made: {first}"))
                        .hint("look at --to and --schedule")
                        .faults(faults),
                )
            }
        }
    }

    fn sections(&self) -> String {
        let name = self.name;
        let quoted = |text: &str| toml::Value::String(text.to_owned());
        let (url, schedule) = (quoted(&self.url), quoted(&self.schedule));
        format!(
            "[backup.destinations.{name}]\n\
             url = {url}\n\
             \n\
             # What stays: the newest archive of each of so many days, weeks and months.\n\
             [backup.retention]\n\
             keep_daily = 7\n\
             keep_weekly = 4\n\
             keep_monthly = 6\n\
             \n\
             # `hookshot timer install` makes units of systemd of it.\n\
             [backup.schedule]\n\
             backup = {schedule}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTER: &str = "[backup]\nto = [\"local\"]\nprefix = \"x\"\n\n[backup.destinations.local]\nurl = \"/old\"\n\n\
        [[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"/f\"\n";

    #[test]
    fn the_destination_takes_the_place_of_the_starters_own() {
        for (word, name) in [("s3://b/web", "offsite"), ("/mnt/usb", "local")] {
            let nightly = Nightly::new(word.as_ref(), Some("sun 03:00")).expect("good");
            let text = nightly.written_into(STARTER).expect("good");
            let schema = Schema::parse(&text).expect("good");
            assert_eq!(schema.to, [name]);
            assert_eq!(schema.destinations.len(), 1);
            assert!(!schema.retention.policy.is_empty());
            assert_eq!(schema.sources.map(|sources| sources.len()), Some(1));
            assert!(
                text.contains("backup = \"sun 03:00\"") && !text.contains("/old"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_stand_in_a_configuration_is_refused() {
        assert!(Nightly::new("s3:".as_ref(), None).is_err());
        let soon = Nightly::new("/x".as_ref(), Some("soon")).expect("a place");
        assert_eq!(
            soon.written_into(STARTER).expect_err("no schedule").kind,
            Kind::Usage
        );
    }
}
