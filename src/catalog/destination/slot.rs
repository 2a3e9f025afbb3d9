//! Where an archive is to be sent: a place, and a name that is free there.

use std::{ops::RangeInclusive, sync::Arc};

use anyhow::Result;
use tracing::{info, warn};

use crate::{
    context::Context,
    error::{Failure, Kind},
    model::archive_name::{ArchiveName, MOST_NUMBER},
    store::{Store, Upload, is_taken, require_room},
};

/// A place and a name there, for an archive that is to be sent.
#[derive(Clone)]
pub struct Slot {
    /// The place.
    pub store: Arc<dyn Store>,
    /// The place, for messages and reports.
    pub place: String,
    /// The name there; where nobody gave one, the first of the default ones that is free.
    pub name: Option<String>,
}

impl Slot {
    /// Both, where the archive's default name is `default`, for messages and reports.
    pub fn shown(&self, default: &ArchiveName) -> String {
        self.shown_as(self.name.as_deref().unwrap_or(&default.file_name(0)))
    }

    fn shown_as(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// Begins to send something of a size in `bytes`, once what dead uploads have left there is gone; says what it will
    /// be called.
    pub fn begin(
        &self,
        context: &Context,
        default: &ArchiveName,
        bytes: RangeInclusive<u64>,
    ) -> (String, Result<Box<dyn Upload>>) {
        let maker = context.maker();
        match self.store.sweep(&maker) {
            Ok(swept) => swept.iter().for_each(|name| {
                info!(archive = %name, place = %self.store.shown(), "Removed what an upload had left that did not end")
            }),
            Err(error) if matches!(Failure::of(&error).kind, Kind::Interrupted(_) | Kind::Unproven) => return (self.shown(default), Err(error)),
            // Whether it can be written to is seen at once.
            Err(error) => warn!("Cannot look for what unfinished uploads left: {error:#}"),
        }
        // Of other errors the attempt tells.
        if let Err(error) = require_room(&*self.store, *bytes.start())
            && matches!(Failure::of(&error).kind, Kind::Space | Kind::Interrupted(_))
        {
            return (self.shown(default), Err(error));
        }
        let mut number = 0;
        loop {
            let name = self.name.clone();
            let name = name.unwrap_or_else(|| default.file_name(number));
            let begun = self.store.create(&name, *bytes.end(), &maker);
            // Two archives of one second are two archives.
            let is_taken = |error| {
                is_taken(&Failure::of(error)) || matches!(self.store.find(&name), Ok(Some(_)))
            };
            let may_rise = self.name.is_none() && number < MOST_NUMBER;
            if may_rise && begun.as_ref().err().is_some_and(is_taken) {
                number += 1;
                continue;
            }
            return (self.shown_as(&name), begun);
        }
    }
}
