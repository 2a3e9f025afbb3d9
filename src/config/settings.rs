//! The settings of a run: flags and environment merged with the file, and the sources at their places.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    apart::{Gone, directories_lie_apart, names_lie_apart},
    choices::{Choices, DEFAULT_DATA_DIR, absolute},
    elsewhere::{self, Elsewhere},
    globs::Glob,
    include::{Layers, Missing},
    schema::Schema,
    sources::{self, Source, defaults},
    text::read_text,
};
use crate::{
    disk::{
        exists, folder_of, in_real_folder,
        mounts::{anchor, is_mount_point},
        real,
        volume::STAYING,
    },
    error::{Failure, Kind},
    model::{entry_name::EntryName, rules::Rules},
    source::behavior::TreePatterns,
    work::shell::Masks,
};

/// The places of this machine's state, and how hookshot treats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// True if it is there.
    pub config_exists: bool,
    /// True if a configuration says where things are: this file, or that of an archive.
    pub is_described: bool,
    /// The file of the services.
    pub services: PathBuf,
    /// The secrets file.
    pub secrets: PathBuf,
    /// The folder of the state.
    pub data_dir: PathBuf,
    /// The content of the file and of those that it includes.
    pub schema: Schema,
    /// The content of the file alone.
    pub written: Schema,
    /// The files that it includes.
    pub included: Vec<PathBuf>,
    /// The parts of the state, in the order in which they are exported.
    pub sources: Vec<Source>,
    /// Patterns, of each of which every file that matches is one of the sources.
    pub globs: Vec<Glob>,
    /// The places of things instead of those of the configuration.
    pub elsewhere: Elsewhere,
    /// The destinations that the environment names in place of `[backup] to`.
    pub to: Option<OsString>,
    /// The folder in which an import stages, if it was decided before links of an archive were followed.
    pub(super) home: Option<PathBuf>,
}

impl Settings {
    /// Adds the secrets that stand in the configuration itself to `masks`.
    pub fn mask_secrets(&self, masks: &Masks) {
        self.schema.mask_secrets(masks);
    }

    /// Merges `choices` with the file that they name. A missing file counts as an empty one.
    pub fn load(choices: &Choices) -> Result<Settings> {
        let config = choices.config_path()?;
        // A text that is pinned counts whatever the file holds.
        let text = match choices.pinned.is_some() {
            true => None,
            false => read_text(&config)?,
        };
        let config_exists = text.is_some() || choices.pinned.is_some() && exists(&config);
        let elsewhere = &choices.elsewhere;
        let missing = match (&text, &choices.archived, &choices.pinned) {
            (None, Some(_), _) | (_, _, Some(_)) => Missing::LeftOut,
            _ => Missing::Refused,
        };
        let written = text.or_else(|| choices.archived.clone());
        let mut text = choices.pinned.clone().or(written);
        let said = choices.said_config()?;
        let mut place: &dyn Fn(PathBuf) -> PathBuf = &|path| elsewhere.said(path);
        if text.is_none() && elsewhere.root.is_some() {
            // Nothing below the root describes the state: this machine's own configuration does.
            text = read_text(&said)?;
            place = &|path| path;
        }
        let is_described = text.is_some();
        let text = text.unwrap_or_default();
        let refuse = |faults: Vec<String>| refused(&config, &faults);
        let layers = Layers::read(&text, &folder_of(&said), place, missing)?.map_err(refuse)?;
        let schema = layers.schema().map_err(refuse)?;
        let file_alone = layers.written().map_err(refuse)?;
        let inside = elsewhere.inside(&said);
        let folder = folder_of(&inside);
        // A path of the command line is relative to the current folder, one of the file to the file's folder.
        let said_place = |said: &Option<PathBuf>| -> Result<Option<PathBuf>> {
            let absolute = said.as_deref().map(absolute).transpose()?;
            Ok(absolute.map(|path| elsewhere.said(path)))
        };
        let written = |written: Option<&PathBuf>, default: &str| {
            folder.join(written.map_or(Path::new(default), PathBuf::as_path))
        };
        let named = [
            written(None, "services.toml"),
            written(schema.secrets_file.as_ref(), "secrets"),
            written(schema.data_dir.as_ref(), DEFAULT_DATA_DIR),
        ];
        let place = |said: &Option<PathBuf>, named: &Path| {
            Ok::<_, anyhow::Error>(said_place(said)?.unwrap_or_else(|| elsewhere.target(named)))
        };
        let services = place(&choices.services, &named[0])?;
        let secrets = place(&choices.secrets, &named[1])?;
        let data_dir = place(&choices.data_dir, &named[2])?;
        let mut places: Vec<PathBuf> = vec![inside.clone()];
        let mut sources: Vec<Source> = match &schema.sources {
            Some(written) => {
                let written = written.iter().map(|source| source.within(&folder));
                let written: Vec<Source> = written.collect();
                let paths = written.iter().filter_map(Source::path);
                places.extend(paths.map(elsewhere::tidy));
                let moved = written.into_iter().map(|source| source.moved(elsewhere));
                moved.collect()
            }
            None => {
                let database = named[2].join(sources::DATABASE);
                places.extend(
                    named
                        .iter()
                        .chain([&database])
                        .map(|path| elsewhere::tidy(path)),
                );
                let database = match choices.data_dir {
                    Some(_) => data_dir.join(sources::DATABASE),
                    None => elsewhere.target(&database),
                };
                defaults(services.clone(), secrets.clone(), database).into()
            }
        };
        elsewhere.all_apply(places.iter().map(PathBuf::as_path))?;
        if schema.include_config {
            let path = match elsewhere.maps.is_empty() {
                true => config.clone(),
                false => elsewhere.target(&inside),
            };
            sources.insert(0, sources::config(path));
        }
        let (sources, globs) = expand(sources)?;
        directories_lie_apart(&config, &sources, Gone::MayBeLinks)?;
        let paths = sources.iter().filter_map(Source::path);
        for path in paths.chain([config.as_path(), &data_dir]) {
            elsewhere.stays_inside(path)?;
        }
        Ok(Settings {
            services,
            secrets,
            data_dir,
            config,
            config_exists,
            is_described,
            written: file_alone,
            included: layers.paths(),
            schema,
            sources,
            globs,
            elsewhere: elsewhere.clone(),
            to: choices.to.clone(),
            home: None,
        })
    }

    /// Returns the sources of a pattern.
    pub fn matching<'a>(&'a self, glob: &'a Glob) -> impl Iterator<Item = &'a Source> {
        let of = |source: &&Source| glob.path_of(&source.name).as_deref() == source.path();
        self.sources
            .iter()
            .filter(|source| source.path().is_some())
            .filter(of)
    }

    /// Returns the source that an entry comes from.
    pub fn source_of(&self, entry: &EntryName) -> Option<&Source> {
        let is_in = |directory: &Source| {
            let rest = entry.as_str().strip_prefix(directory.name.as_str());
            directory.is_directory() && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let mut sources = self.sources.iter();
        sources.find(|source| source.name == *entry || is_in(source))
    }

    /// Returns the secrets file of this machine: that of the source `secrets` if it is a file, else that of `[secrets]`.
    pub fn secrets_file(&self) -> &Path {
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.name.as_str() == sources::SECRETS);
        let path = source.filter(|source| !source.is_directory());
        path.and_then(Source::path).unwrap_or(&self.secrets)
    }

    /// Returns the sources that lie in a directory and are not a part of it, with their paths in it.
    pub fn within<'a>(&'a self, directory: &Source) -> Vec<(&'a Source, PathBuf)> {
        let top = directory.path().map(real).unwrap_or_default();
        let others = self.sources.iter().filter(|other| !other.is_directory());
        let inside = others.filter_map(|other| {
            let path = in_real_folder(&real(other.path()?));
            Some((other, path.strip_prefix(&top).ok()?.to_owned()))
        });
        inside.collect()
    }

    /// Returns the rules of a directory: its patterns, without other sources and the files that belong to them.
    pub fn rules(&self, directory: &Source) -> Result<Rules> {
        let Some(TreePatterns { include, exclude }) = directory.kind.patterns() else {
            return Ok(Rules::everything());
        };
        let exclude = [&self.schema.exclude[..], exclude].concat();
        let rules =
            Rules::new(include, &exclude).map_err(|faults| refused(&self.config, &faults))?;
        let mut others = Vec::new();
        for (other, inside) in self.within(directory) {
            for ending in [""].iter().chain(other.kind.companions()) {
                for backup in ["", ".bak"] {
                    let mut path = inside.clone().into_os_string().into_encoded_bytes();
                    path.extend_from_slice(ending.as_bytes());
                    path.extend_from_slice(backup.as_bytes());
                    others.push(path);
                }
            }
        }
        // Entries that the file system itself keeps in its root are not the service's.
        if directory
            .path()
            .map(real)
            .is_some_and(|path| is_mount_point(&path))
        {
            others.extend(STAYING.map(|name| name.as_bytes().to_vec()));
        }
        Ok(rules.without(others))
    }

    /// Returns the folder in which an import stages: on the file system of its targets, as far as that is one.
    pub fn home(&self) -> PathBuf {
        if let Some(home) = &self.home {
            return home.clone();
        }
        let is_said = self.schema.sources.is_none() || self.schema.data_dir.is_some();
        let is_matched = |source: &Source| {
            let is_of = |glob: &Glob| glob.path_of(&source.name).as_deref() == source.path();
            self.globs.iter().any(is_of)
        };
        let others = self.sources.iter();
        let first = others
            .filter(|source| !source.kind.is_own_configuration() && !is_matched(source))
            .find_map(Source::path);
        // Files come and go; the folder above a pattern stays.
        let above = self
            .globs
            .first()
            .and_then(|glob| glob.template.path().map(|_| glob.base().join("*")));
        let first = first.or(above.as_deref());
        let Some(path) = first.filter(|_| !is_said) else {
            return match is_said {
                true => self.data_dir.clone(),
                // A service of commands alone has no folder: that of other services is not its own.
                false => folder_of(&self.config),
            };
        };
        let path = real(path);
        let directories = self.sources.iter().filter(|source| source.is_directory());
        let around = directories.filter_map(Source::path).map(real);
        let around = around.filter(|folder| path.starts_with(folder));
        // A folder that is replaced as one is not a place for its replacement.
        let outermost = around.min_by_key(|folder| folder.as_os_str().len());
        match outermost {
            // Its children are replaced, and it stays.
            Some(folder) => anchor(&folder),
            None => folder_of(&path),
        }
    }

    /// Returns the folders that are locked while hookshot works on this state.
    pub fn folders(&self) -> [PathBuf; 2] {
        [folder_of(&self.config), self.home()]
    }
}

/// Puts the files that match in the place of each pattern.
fn expand(written: Vec<Source>) -> Result<(Vec<Source>, Vec<Glob>)> {
    let (mut sources, mut globs) = (Vec::new(), Vec::new());
    let literal = written.iter().filter_map(Source::path);
    let literal: BTreeSet<PathBuf> = literal.map(Path::to_owned).collect();
    for source in written {
        match Glob::new(&source)? {
            None => sources.push(source),
            Some(mut glob) => {
                sources.extend(glob.expand(&literal)?);
                globs.push(glob);
            }
        }
    }
    if !globs.is_empty() {
        names_lie_apart(&sources)?;
    }
    Ok((sources, globs))
}

fn refused(path: &Path, faults: &[String]) -> Failure {
    let first = faults.first().map(String::as_str).unwrap_or_default();
    Failure::new(
        Kind::Usage,
        format!("{} is not a good configuration: {first}", path.display()),
    )
    .hint("correct the file; `hookshot validate` names every fault in it")
    .faults(faults.to_vec())
}
