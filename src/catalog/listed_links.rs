//! The symbolic links of a directory of an archive whose records are in a listing.

use anyhow::Result;

use super::input::ArchiveInput;
use crate::{
    archive::reader::Discard,
    context::Context,
    error::{Failure, Kind},
    model::{entry_name::EntryName, manifest::Manifest, tree::Tree},
};

impl ArchiveInput {
    /// Returns the top folder and the links of the directory called `name`, whose records are in a listing. Of a large
    /// archive only the listing is read, through the index.
    pub fn listed_links(
        &self,
        context: &Context,
        manifest: &Manifest,
        name: &EntryName,
    ) -> Result<Tree> {
        let lacking = || Failure::new(Kind::Refused, format!("{name} has no listing"));
        let listed = manifest.directories.get(name).ok_or_else(lacking)?;
        let names = std::slice::from_ref(&listed.listing);
        if let Some(selected) = self.select(context, names, "reading", &mut Discard)? {
            return selected.directory(name).ok_or_else(lacking)?.top();
        }
        let verified = self.read(context, "reading", &mut Discard)?;
        verified.directory(name).ok_or_else(lacking)?.top()
    }
}
