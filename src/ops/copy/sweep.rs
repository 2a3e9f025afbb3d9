//! The leftovers of earlier uploads at the destination of a copy.

use anyhow::Result;

use crate::{
    catalog::destination::Destination,
    context::Context,
    error::{Failure, Kind},
    work::events::CatalogEvent,
};

/// Removes them. A failure does not stop the copy, unless the destination does not exist.
pub fn sweep(context: &Context, to: &Destination) -> Result<()> {
    match to.repository.sweep(&context.maker()) {
        Ok(swept) => {
            for archive in swept {
                context.tell(CatalogEvent::LeftoversRemoved {
                    archive,
                    destination: to.shown(),
                });
            }
        }
        Err(error) => {
            let failure = Failure::of(&error);
            if matches!(
                failure.kind,
                Kind::NotFound | Kind::Interrupted(_) | Kind::Unproven
            ) {
                return Err(error);
            }
            context.tell(CatalogEvent::LeftoversStay {
                destination: to.shown(),
                reason: failure.message,
            });
        }
    }
    Ok(())
}
