//! The archives to remove from one destination. They are judged, and judged again whenever an archive that would take
//! the place of others turns out to be damaged.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;

use super::request::{InspectFirst, PruneRequest, RemovalLimit};
use crate::{
    catalog::{
        destination::Destination,
        health,
        repository::{ListedArchive, Manifests},
    },
    context::Context,
    model::{
        archive_name::Ending,
        health::Problem,
        retention::{Archive, Judged, Policy, Reason, Removals, Share, Standing, Verdict, judge},
    },
    store::Stored,
    work::events::CatalogEvent,
};

/// The plan for one destination.
pub struct PrunePlan {
    /// The destination.
    pub destination: Destination,
    /// The policy by which it is judged.
    pub policy: Policy,
    /// The largest part of the archives of a host that may go at once.
    pub max_remove: Share,
    /// Every archive with its verdict: host by host, the newest first.
    pub judged: Vec<Judged>,
    /// Missing archives that have a mark.
    pub strays: Vec<String>,
    /// Files whose names are not those of archives, and end like them: they are never removed.
    pub other_names: Vec<Stored>,
    /// Hosts that would lose more than they may at once.
    pub too_many: Vec<String>,
    /// Hosts whose newest archive needs a look of the user before anything of them is removed.
    pub blocked: Vec<BlockedHost>,
    /// The archives of blocked hosts that the policy would remove.
    pub spared: HashSet<String>,
    /// The prefix of the archives that were listed; `None` if all were.
    pub prefix: Option<String>,
    sizes: HashMap<String, u64>,
}

/// A host whose newest archive is damaged, or holds much less than those before it.
pub struct BlockedHost {
    /// The prefix of its archives.
    pub prefix: String,
    /// The problem.
    pub problem: Problem,
}

impl PrunePlan {
    /// Lists and judges a destination; inspects some of its archives.
    pub fn make(
        context: &Context,
        destination: Destination,
        prefix: Option<&str>,
        request: &PruneRequest,
    ) -> Result<PrunePlan> {
        destination.require_removable()?;
        let mut listing = destination.repository.list(prefix, Manifests::OfDays)?;
        let strays = listing.read_marks(&*destination.repository, prefix)?;
        if listing.archives.is_empty()
            && let Some(folders) = destination.repository.shown_folders()
        {
            context.tell(CatalogEvent::OnlyFolders {
                destination: destination.shown(),
                folders,
            });
        }
        let policy = request.policy.unwrap_or(destination.retention.policy);
        let max_remove = request
            .max_remove
            .unwrap_or(destination.retention.max_remove);
        let mut sizes = HashMap::new();
        let mut hosts: BTreeMap<&str, Vec<&ListedArchive>> = BTreeMap::new();
        for listed in &listing.archives {
            sizes.insert(listed.stored.name.clone(), listed.stored.size_bytes);
            hosts.entry(listed.prefix()).or_default().push(listed);
        }
        if policy.is_empty() {
            context.tell(CatalogEvent::NoPolicy {
                destination: destination.shown(),
            });
        }
        let (mut judged, mut too_many) = (Vec::new(), Vec::new());
        let (mut blocked, mut spared) = (Vec::new(), HashSet::new());
        for (host, listed) in hosts {
            let known = |listed: &&ListedArchive| {
                let archive = listed.archive();
                (destination.repository).unread(context, archive, &listed.stored)
            };
            let archives = listed.iter().map(known).collect::<Result<_, _>>()?;
            let judging = Judging {
                context,
                destination: &destination,
                policy: &policy,
            };
            let verdicts = judging.judge(archives, request.inspect)?;
            let is_removed = |judged: &&Judged| matches!(judged.verdict, Verdict::Remove(_));
            if request.limit == RemovalLimit::Held
                && let Err(refusal) = max_remove.permits(Removals::of(&verdicts, &policy))
            {
                too_many.push(format!("{host} in {}: {refusal}", destination.shown()));
            }
            let looked = look_first(
                context,
                &destination,
                host,
                &listed,
                &verdicts,
                request.limit,
            )?;
            if let Some(block) = looked {
                if request.limit == RemovalLimit::Held {
                    let removed = verdicts.iter().filter(is_removed);
                    spared.extend(removed.map(|judged| judged.archive.name.clone()));
                }
                blocked.push(block);
            }
            judged.extend(verdicts);
        }
        let is_sealed = |judged: &&Judged| judged.archive.standing == Standing::Sealed;
        let sealed = judged.iter().filter(is_sealed).count();
        if sealed > 0 && !policy.is_empty() {
            context.tell(CatalogEvent::SealedArchives {
                destination: destination.shown(),
                count: sealed,
            });
        }
        Ok(PrunePlan {
            // A policy that removes nothing leaves the marks, too.
            strays: if policy.is_empty() {
                Vec::new()
            } else {
                strays
            },
            other_names: listing.other_names,
            destination,
            policy,
            max_remove,
            judged,
            too_many,
            blocked,
            spared,
            prefix: prefix.map(str::to_owned),
            sizes,
        })
    }

    /// Returns true if the destination listed an archive of this name.
    pub fn is_listed(&self, name: &str) -> bool {
        self.sizes.contains_key(name)
    }

    /// Returns the size of an archive when the destination was listed.
    pub fn size_bytes(&self, name: &str) -> u64 {
        self.sizes.get(name).copied().unwrap_or_default()
    }
}

/// Returns the problem of a host of which nothing is known to be good: sealed archives would go in favour of others like
/// them, and nothing proves that one of these is good.
fn none_known(verdicts: &[Judged]) -> Option<Problem> {
    let is_good = |judged: &Judged| judged.archive.standing == Standing::Good;
    let is_doubted = |judged: &&Judged| match &judged.verdict {
        Verdict::Remove(removal) => removal.replacement_standing == Standing::Sealed,
        Verdict::Keep(_) => false,
    };
    let count = verdicts.iter().filter(is_doubted).count();
    (count > 0 && !verdicts.iter().any(is_good)).then_some(Problem::NoneKnown { count })
}

/// Returns the host if its newest archive needs a look of the user before anything is removed. If the user agreed to
/// everything, that word is recorded even if nothing is to be removed now.
fn look_first(
    context: &Context,
    destination: &Destination,
    host: &str,
    listed: &[&ListedArchive],
    verdicts: &[Judged],
    limit: RemovalLimit,
) -> Result<Option<BlockedHost>> {
    let is_removed = |judged: &Judged| matches!(judged.verdict, Verdict::Remove(_));
    if limit == RemovalLimit::Held && !verdicts.iter().any(is_removed) {
        return Ok(None);
    }
    let is_damaged = |judged: &&Judged| judged.archive.standing == Standing::Damaged;
    let damaged = verdicts.iter().filter(is_damaged);
    let damaged = damaged.map(|judged| judged.archive.name.as_str()).collect();
    let problem = health::obstacle(context, destination, host, listed, &damaged)?;
    let problem = problem.or_else(|| none_known(verdicts));
    Ok(problem.map(|problem| BlockedHost {
        prefix: host.to_owned(),
        problem,
    }))
}

/// The means to judge the archives of one host.
struct Judging<'a> {
    context: &'a Context,
    destination: &'a Destination,
    policy: &'a Policy,
}

impl Judging<'_> {
    /// Judges the archives, inspects those that removals rest on, and judges again until no removal rests on an
    /// uninspected archive. Each is inspected once, so this ends.
    fn judge(&self, mut archives: Vec<Archive>, first: InspectFirst) -> Result<Vec<Judged>> {
        // Without a key: those that this machine proved.
        let is_known = |archive: &&Archive| archive.standing == Standing::Good;
        let known = archives.iter().filter(is_known);
        let mut inspected: BTreeSet<String> = known.map(|archive| archive.name.clone()).collect();
        if first == InspectFirst::All {
            let all = archives
                .iter()
                .map(|archive| archive.name.clone())
                .collect();
            self.inspect(&mut archives, &all, &mut inspected)?;
        }
        loop {
            let judged = judge(archives.clone(), self.policy, self.context.now);
            let mut wanted = rests_on(&judged);
            let is_sealed = |archive: &Archive| archive.standing == Standing::Sealed;
            if archives.iter().any(is_sealed) {
                // If the keys do not open one, they may not open others, which take no slots of good ones.
                let may_be = |archive: &&Archive| {
                    archive.standing == Standing::Unproven
                        && Ending::of_file(&archive.name) == Some(Ending::Sealed)
                };
                let others = archives.iter().filter(may_be);
                wanted.extend(others.map(|archive| archive.name.clone()));
            }
            wanted.retain(|name| !inspected.contains(name));
            if wanted.is_empty() {
                return Ok(judged);
            }
            self.inspect(&mut archives, &wanted, &mut inspected)?;
        }
    }

    /// Inspects archives that may be good, and notes their standing. An archive that is missing by now is left out from
    /// now on.
    fn inspect(
        &self,
        archives: &mut Vec<Archive>,
        wanted: &BTreeSet<String>,
        inspected: &mut BTreeSet<String>,
    ) -> Result<()> {
        let mut gone = BTreeSet::new();
        for archive in &mut *archives {
            let is_wanted = archive.standing.counts() && wanted.contains(&archive.name);
            if !is_wanted || !inspected.insert(archive.name.clone()) {
                continue;
            }
            self.context.stop.check()?;
            match (self.destination.repository).standing(self.context, &archive.name)? {
                Some(standing) => archive.standing = standing,
                None => drop(gone.insert(archive.name.clone())),
            }
        }
        archives.retain(|archive| !gone.contains(&archive.name));
        Ok(())
    }
}

/// Returns the archives on which removals rest: the newest, and those that take the place of others.
fn rests_on(judged: &[Judged]) -> BTreeSet<String> {
    let removals = judged.iter().filter_map(|judged| match &judged.verdict {
        Verdict::Remove(removal) => Some(removal.replacement.clone()),
        Verdict::Keep(_) => None,
    });
    let mut names: BTreeSet<String> = removals.collect();
    if !names.is_empty() {
        let is_newest = |judged: &&Judged| match &judged.verdict {
            Verdict::Keep(reasons) => reasons.iter().any(|reason| {
                matches!(
                    reason,
                    Reason::NewestGood
                        | Reason::NewestUnproven
                        | Reason::NewestSealed
                        | Reason::NewestTorn
                )
            }),
            Verdict::Remove(_) => false,
        };
        names.extend(
            judged
                .iter()
                .filter(is_newest)
                .map(|judged| judged.archive.name.clone()),
        );
    }
    names
}
