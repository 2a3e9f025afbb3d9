//! The care of a repository: its properties and figures, checks, upgrades, and the removal of content that no state has.

use std::{error::Error, fmt::Display, sync::Arc};

use anyhow::Result;
use rustic_core::{
    BlobInfo, CheckOptions, CheckResults, ConfigOptions, LimitOption, PruneOptions,
    ReadSubsetOption,
    repofile::{BlobType, Chunker},
};

use super::{
    Engine, Lock,
    backend::StoreBackend,
    bounded::Bounded,
    index::{ReadPieces, opened},
    renewal::{BEFORE, begin_renewal},
    small_packs,
    trouble::{cause_of, plain},
};
use crate::{
    catalog::vault::{ReadContent, VaultFigures},
    error::Kind,
    model::chunks::Chunks,
};

/// The newest version of the format.
const NEWEST: u32 = 2;

impl Engine {
    /// Returns the version of its format.
    pub fn version(&self) -> u32 {
        self.repository.config().version
    }

    /// Returns the rule by which it cuts content.
    pub fn chunks(&self) -> Chunks {
        let config = self.repository.config();
        match config.chunker() {
            Chunker::FixedSize => Chunks::Fixed(config.chunk_size() as u64),
            Chunker::Rabin => Chunks::ByContent,
        }
    }

    /// Returns its level of compression, if it has one of its own.
    pub fn level(&self) -> Option<i32> {
        self.repository.config().compression
    }

    /// Returns its figures, without those of single archives.
    pub fn figures(&self) -> Result<VaultFigures> {
        let mut figures = VaultFigures::default();
        for state in self.states()? {
            figures.states += 1;
            figures.content_bytes += state.size_bytes.unwrap_or_default();
        }
        let index = self.known(self.repository.infos_index())?;
        let content = |blobs: &&BlobInfo| blobs.blob_type == BlobType::Data;
        for blobs in index.blobs.iter().filter(content) {
            figures.unique_bytes += blobs.data_size;
            figures.packed_bytes += blobs.size;
        }
        let files = self.known(self.repository.infos_files())?;
        figures.size_bytes = files.repo.iter().map(|kind| kind.size).sum();
        Ok(figures)
    }

    /// Removes the content that no state has any more, under the exclusive lock.
    pub fn prune(&self, lock: &Lock) -> Result<()> {
        let mut options = PruneOptions::default();
        options.instant_delete = true;
        options.max_repack = LimitOption::Unlimited;
        let backend = Arc::new(self.backend.under(lock.held()));
        let (repository, _) = self.index.opened_for_packs(&backend, ReadPieces::All)?;
        self.index.forget();
        self.guarded(|| {
            let plan = repository.prune_plan(&options)?;
            repository.prune(&options, plan)
        })
    }

    /// Checks records, indexes and packs, and reads as much content as `read` says. Returns what is wrong.
    ///
    /// Errors: if nothing is wrong, and something could not be read, the failure of the store.
    pub fn check(&self, read: ReadContent) -> Result<Vec<String>> {
        let mut options = CheckOptions::default();
        options.read_data = read != ReadContent::Nothing;
        options.read_data_subset = match read {
            ReadContent::Nothing | ReadContent::All => ReadSubsetOption::All,
            ReadContent::Percent(percent) => ReadSubsetOption::Size(self.share(percent)?),
            ReadContent::Part(part, of) => ReadSubsetOption::IdSubSet((part, of)),
        };
        let pieces = match read {
            ReadContent::Nothing => ReadPieces::Folders,
            _ => ReadPieces::All,
        };
        let backend = Arc::new(self.backend.again());
        let (repository, files) = self.index.opened_for_packs(&backend, pieces)?;
        let results = self.guarded(|| repository.check(options))?;
        // Warnings are about leftovers of killed runs.
        let each = results.0.into_iter().map(|one| CheckResults(vec![one]));
        let faults = each.filter(|one| one.is_ok().is_err());
        let faults = faults.flat_map(|one| one.0).map(|(_, fault)| fault);
        let (unread, faults): (Vec<_>, Vec<_>) = faults.partition(|fault| is_unread(fault));
        match files.unread() {
            Some(failure) if faults.is_empty() || matches!(failure.kind, Kind::Interrupted(_)) => {
                Err(failure.faults(told(&unread)).into())
            }
            _ => Ok([told(&faults), told(&unread)].concat()),
        }
    }

    /// Returns a part of the bytes of all packs, and at least enough for any one of them: the engine passes over a pack that
    /// does not fit.
    fn share(&self, percent: f64) -> Result<u64> {
        let index = self.known(self.repository.infos_index())?;
        let bytes: u64 = index.blobs.iter().map(|blobs| blobs.size).sum();
        let largest = index.packs.iter().filter_map(|packs| packs.max_size).max();
        let share = (bytes as f64 * percent / 100.0).ceil() as u64;
        Ok(share.max(largest.unwrap_or_default()) + 1)
    }

    /// Brings the repository to the newest version of the format, and to `level`. Returns true if something changed. The
    /// caller holds the exclusive lock, and opens the repository anew.
    pub fn renew(&self, level: Option<i32>) -> Result<bool> {
        let config = self.repository.config();
        let mut options = match config.datapack_size {
            None => small_packs(),
            Some(_) => ConfigOptions::default(),
        };
        options.set_version = (config.version < NEWEST).then_some(NEWEST);
        options.set_compression = level.filter(|level| config.compression != Some(*level));
        let store = self.backend.store();
        if options.set_version.is_none()
            && options.set_compression.is_none()
            && options.set_datapack_size.is_none()
        {
            // A renewal that was killed at its end left it. Without it, nothing asks for the right to remove.
            if store.find(BEFORE)?.is_some() {
                store.remove(BEFORE)?;
            }
            return Ok(false);
        }
        begin_renewal(&**store, &self.maker)?;
        let backend = Arc::new(StoreBackend::renewing(store.clone(), self.maker.clone()));
        let files = Arc::new(Bounded::new(backend, &self.key));
        let mut opened = self.known(opened(files, &self.key))?;
        self.known(opened.apply_config(&options))?;
        store.remove(BEFORE)?;
        Ok(true)
    }
}

/// Returns true if a fault says that something could not be read, and nothing of what it is.
fn is_unread(fault: &(dyn Error + 'static)) -> bool {
    let cause = cause_of(fault);
    cause.is_some_and(|failure| !matches!(failure.kind, Kind::Refused | Kind::NotFound))
}

/// Returns faults of the engine, each in one line.
fn told(faults: &[impl Display]) -> Vec<String> {
    let told = faults.iter().map(|fault| plain(&fault.to_string()));
    told.collect()
}
