//! Links that lead out of a directory, as `verify` and `inspect` show them.

use crate::{model::entry_name::printable, ops::inspect::OutsideLink};

/// Returns a line for each link that leads out of a directory, up to a number that a screen can show.
pub fn link_lines(links: &[OutsideLink]) -> impl Iterator<Item = String> {
    const MOST_LINES: usize = 20;
    let line = |link: &OutsideLink| {
        format!(
            "{}/{} leads out of the directory, to {}: the archive has the link, not what it leads to",
            printable(&link.entry),
            printable(&link.path),
            printable(&link.target)
        )
    };
    let more = links.len().saturating_sub(MOST_LINES);
    let more = (more > 0).then(|| format!("and {more} more (--json lists all)"));
    links.iter().take(MOST_LINES).map(line).chain(more)
}
