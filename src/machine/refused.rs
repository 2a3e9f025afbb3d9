//! Remarks about what a file system refused.

use crate::{
    disk::tree::attributes::kind_of,
    model::entry_name::EntryName,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Records what the file system refused of a directory.
pub fn remark_refused(remarks: &mut Remarks, name: &EntryName, refused: String) {
    remarks.refused(kind_of(what(&refused)), name, refused);
}

/// Returns true if a refusal is that of an owner.
pub fn is_owner(refused: &str) -> bool {
    kind_of(what(refused)) == RemarkKind::Owner
}

/// Returns the refusal without the path.
fn what(refused: &str) -> &str {
    refused.split_once(": ").map_or("", |(_, what)| what)
}
