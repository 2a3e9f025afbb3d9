//! The work at each destination once the archive is there: later deliveries, a look at the archive before, and pruning.

use anyhow::Result;

use super::{
    catch_up::{self, CatchUp},
    foreign::{self, newest_foreign},
    place::Place,
    request::OldArchives,
    run::Run,
};
use crate::{
    catalog::target::Target,
    error::{Failure, Kind},
    jobs::undone::Undone,
    model::{
        health::OWN_PREFIX,
        run_record::{DestinationRecord, RunRecord},
        undelivered::known_at,
    },
    ops::prune::{PruneMode, PruneRequest, prune},
    work::events::JobEvent,
};

impl Run<'_> {
    /// Delivers what is owed to the places that proved to work, and prunes them.
    pub(super) fn follow(
        &self,
        runs: &[RunRecord],
        record: &mut RunRecord,
        undone: &mut Undone,
    ) -> Result<()> {
        let mut deliveries = CatchUp::new(self.context, self.settings, runs, &self.holders);
        for (place, destination) in self.places.iter().zip(&mut record.destinations) {
            if !destination.good {
                continue;
            }
            // A run that found nothing changed compared with the newest archive.
            if record.skipped.is_none() {
                self.look_before(runs, place, destination, undone)?;
            }
            let mut owed = catch_up::owed(self.context, self.settings, runs, &place.name);
            owed.retain(|owed| record.archive.as_ref() != Some(&owed.name));
            undone.add(deliveries.bring_all(&owed, place, destination)?);
        }
        if self.request.old_archives == OldArchives::Keep {
            return Ok(());
        }
        for (place, destination) in self.places.iter().zip(&mut record.destinations) {
            let only_grows = Target::read(&place.word)?.only_grows(self.settings);
            if !destination.good || only_grows {
                continue;
            }
            self.context.stop.check()?;
            match self.prune(place, destination) {
                Ok(None) => {}
                Ok(Some(failure)) => {
                    let message = format!("{}: {}", place.name, failure.message);
                    undone.add_with(message, failure.hint);
                }
                Err(error) => {
                    let failure = Failure::of(&error);
                    if matches!(failure.kind, Kind::Interrupted(_)) {
                        return Err(error);
                    }
                    let reason = failure.message;
                    undone.add([format!("{} was not pruned: {reason}", place.name)]);
                    self.context.tell(JobEvent::NotPruned {
                        destination: place.name.clone(),
                        reason,
                    });
                }
            }
        }
        Ok(())
    }

    /// Notes the archive before this run's own, if another machine made it. A place that does not tell is not faulted.
    fn look_before(
        &self,
        runs: &[RunRecord],
        place: &Place,
        destination: &mut DestinationRecord,
        undone: &mut Undone,
    ) -> Result<()> {
        let known = known_at(runs, &place.name);
        let own = destination.archive.as_deref();
        match newest_foreign(self.context, self.settings, place, own, &known) {
            Ok(None) => Ok(()),
            Ok(Some(found)) => {
                let message = foreign::fault(place, &found, &self.settings.schema.prefix);
                self.context.tell(JobEvent::SharedPrefix {
                    message: message.clone(),
                });
                undone.add_with(message, Some(OWN_PREFIX.to_owned()));
                destination.foreign = Some(found);
                Ok(())
            }
            Err(error) => match Failure::of(&error).kind {
                Kind::Interrupted(_) => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Applies the policy at one place, and notes the removed archives. Returns the failure that left some.
    fn prune(&self, place: &Place, record: &mut DestinationRecord) -> Result<Option<Failure>> {
        let request = PruneRequest {
            destination: Some(place.word.clone()),
            mode: PruneMode::Apply,
            ..PruneRequest::default()
        };
        let report = prune(self.context, self.settings, &request)?;
        for destination in &report.destinations {
            let is_undone =
                |name: &str| destination.undone.iter().any(|undone| undone.name == name);
            let names = destination
                .remove
                .iter()
                .map(|archive| archive.name.clone());
            let names = names.filter(|name| !is_undone(name));
            // The oldest goes first: after an interruption the newest are left.
            let mut names: Vec<String> = names.collect();
            names.reverse();
            names.truncate(destination.removed);
            record.removed.append(&mut names);
        }
        if !record.removed.is_empty() {
            self.context.tell(JobEvent::Pruned {
                destination: place.name.clone(),
                count: record.removed.len(),
            });
        }
        match report.failure {
            Some(failure) if matches!(failure.kind, Kind::Interrupted(_)) => Err(failure.into()),
            failure => Ok(failure),
        }
    }
}
