//! The time zone of this machine: `TZ`, else /etc/localtime (localtime(5)), else /etc/timezone, else UTC.

use std::{fs, path::Path};

use crate::model::retention::Zone;

/// The folder of the zones, in paths to their files.
const ZONES: &str = "zoneinfo/";

/// Returns the zone of this machine; `variable` is `TZ`.
pub fn local_zone(variable: Option<&str>) -> Zone {
    let link = fs::read_link("/etc/localtime").ok();
    let text = fs::read_to_string("/etc/timezone").ok();
    of(variable, link.as_deref(), text.as_deref())
}

/// Returns the zone that the variable names, else the link, else the text; UTC if none of them names one.
fn of(variable: Option<&str>, link: Option<&Path>, text: Option<&str>) -> Zone {
    // A leading colon means the same (tzset(3)). A rule, such as CET-1CEST, is not understood.
    let variable = variable.map(|name| name.trim().trim_start_matches(':'));
    let variable = variable.filter(|name| !name.is_empty());
    let link = link.and_then(Path::to_str);
    let mut names = [variable, link, text.map(str::trim)].into_iter().flatten();
    names.find_map(named).unwrap_or_default()
}

/// Returns the zone of a name, or of a path to its file.
fn named(name: &str) -> Option<Zone> {
    let name = name.rsplit_once(ZONES).map_or(name, |(_, name)| name);
    let name = name.strip_prefix("posix/").unwrap_or(name);
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_link_and_the_link_before_the_text() {
        let link = Some(Path::new("../usr/share/zoneinfo/Europe/Madrid"));
        let text = Some("Asia/Kathmandu\n");
        for (variable, link, text, expected) in [
            (Some("America/New_York"), link, text, "America/New_York"),
            (Some(":America/New_York"), link, text, "America/New_York"),
            (
                Some("/usr/share/zoneinfo/Asia/Tokyo"),
                link,
                text,
                "Asia/Tokyo",
            ),
            (Some("UTC"), link, text, "UTC"),
            (Some(""), link, text, "Europe/Madrid"),
            (
                Some("CET-1CEST,M3.5.0,M10.5.0/3"),
                link,
                text,
                "Europe/Madrid",
            ),
            (None, None, text, "Asia/Kathmandu"),
            (None, Some(Path::new("/etc/zones/mine")), None, "UTC"),
            (None, None, None, "UTC"),
        ] {
            assert_eq!(
                of(variable, link, text).name(),
                expected,
                "{variable:?} {link:?}"
            );
        }
    }
}
