//! The paths that units name, and the folders that are made before a job needs them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access};

use super::installed::{Scope, UnitFolder};
use crate::{
    config::{Settings, elsewhere::tidy, needs::Needs},
    disk::{create_folders, create_readable_folders, folder_of, real, transaction::home::Home},
    model::run_record::Job,
    store::Address,
};

/// The paths of a configuration, as the machine that starts the units knows them.
#[derive(Debug, Clone)]
pub struct UnitPaths {
    /// The configuration, as the user names it.
    pub config: PathBuf,
    /// The folder beside it with the history, the lock and the journal.
    pub home: PathBuf,
    /// The folders that a job writes, without `.` and `..`: systemd takes no others. If a link leads to one, both paths
    /// are there.
    pub writable: BTreeSet<PathBuf>,
    /// Those of them that a drill only reads: the folders of destinations.
    read_by_drills: BTreeSet<PathBuf>,
    /// The folders of archives, and of copies of indexes, that hookshot may make.
    archives: BTreeSet<PathBuf>,
    /// The folders of metrics.
    metrics: BTreeSet<PathBuf>,
}

impl UnitPaths {
    /// Returns the paths of a configuration. Those below the root of `folder` begin there.
    pub fn of(settings: &Settings, needs: &Needs, folder: &UnitFolder) -> UnitPaths {
        let config = folder.inside(&settings.config);
        let beside = folder_of(&config);
        let home = tidy(Home::beside(&config).folder());
        let (mut archives, mut writable) = (BTreeSet::new(), BTreeSet::from([home.clone()]));
        for destination in settings.schema.destinations.values() {
            if let Address::Folder(path) = destination.address.place()
                && destination.enabled
            {
                let path = tidy(&beside.join(path));
                writable.insert(path.clone());
                if !destination.exists && !destination.mounted {
                    archives.insert(path);
                }
            }
        }
        for destination in settings.schema.destinations.values() {
            if let Some(path) = &destination.repository.cache_dir {
                let path = tidy(&beside.join(path));
                writable.insert(path.clone());
                archives.insert(path);
            }
        }
        let files = needs.files.iter().map(|file| folder.inside(file));
        let metrics: BTreeSet<PathBuf> = files
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        writable.extend(metrics.iter().cloned());
        let mut written_by_drills = metrics.clone();
        written_by_drills.insert(home.clone());
        if folder.elsewhere().is_none() {
            for paths in [&mut writable, &mut written_by_drills] {
                let led: Vec<PathBuf> = paths.iter().map(|path| real(path)).collect();
                paths.extend(led);
            }
        }
        let read_by_drills = writable.difference(&written_by_drills);
        let read_by_drills = read_by_drills.cloned().collect();
        UnitPaths {
            config,
            home,
            writable,
            read_by_drills,
            archives,
            metrics,
        }
    }

    /// Returns the folders that a job writes.
    pub fn writable_by(&self, job: Job) -> impl Iterator<Item = &PathBuf> {
        let paths = self.writable.iter();
        paths.filter(move |path| job != Job::Drill || !self.read_by_drills.contains(*path))
    }

    /// Makes the folders of metrics, for everybody to read. What cannot be made is left to the job, which names it.
    pub fn make_metrics(&self, folder: &UnitFolder) -> Result<()> {
        for path in &self.metrics {
            let path = folder.below(path);
            if can_be_made(&path) {
                create_readable_folders(&path).with_context(|| cannot_create(&path))?;
            }
        }
        Ok(())
    }

    /// Makes the folders that a job cannot make in a tight sandbox: that of the history, and those of archives.
    pub fn make_writable(&self, folder: &UnitFolder) -> Result<()> {
        // If it cannot be made, the units have a folder of their own (`needs_state_folder`).
        let home = folder.below(&self.home);
        if can_be_made(&home) {
            create_folders(&home).with_context(|| cannot_create(&home))?;
        }
        for path in &self.archives {
            let path = folder.below(path);
            create_folders(&path).with_context(|| cannot_create(&path))?;
        }
        Ok(())
    }

    /// Returns the paths that the services do not see, because they have a /tmp of their own.
    pub fn hidden(&self, folder: &UnitFolder) -> Vec<PathBuf> {
        let mut paths = self.writable.clone();
        paths.insert(self.config.clone());
        if folder.elsewhere().is_none() {
            paths.insert(real(&self.config));
        }
        let is_hidden = |path: &PathBuf| {
            let folders = ["/tmp", "/var/tmp"];
            folder.scope == Scope::System && folders.iter().any(|folder| path.starts_with(folder))
        };
        paths.into_iter().filter(is_hidden).collect()
    }
}

/// Returns true if a folder is there and can be written, or can be made.
pub fn can_be_made(folder: &Path) -> bool {
    let existing = folder.ancestors().find(|folder| folder.exists());
    existing.is_some_and(|folder| access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}

fn cannot_create(folder: &Path) -> String {
    format!("cannot create {}", folder.display())
}
