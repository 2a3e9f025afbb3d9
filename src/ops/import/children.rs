//! The names of what lies directly in an archive's directory: in a mount point, each is a step.

use anyhow::Result;

use crate::model::manifest::ListingLine;

/// More children than this have no room in the journal.
pub const MAX_CHILDREN: usize = 20_000;

/// Returns the names of what lies directly in the directory with these records, each once.
pub fn first_names(
    lines: impl Iterator<Item = Result<ListingLine>>,
) -> impl Iterator<Item = Result<Vec<u8>>> {
    let mut last: Vec<u8> = Vec::new();
    lines.filter_map(move |line| match line {
        Err(error) => Some(Err(error)),
        Ok(line) => {
            let first = line.name.components().next().unwrap_or_default();
            if first == last {
                return None;
            }
            last = first.to_vec();
            Some(Ok(last.clone()))
        }
    })
}
