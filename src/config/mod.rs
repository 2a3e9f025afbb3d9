//! config.toml: what hookshot reads of it, and the settings that come of flags, environment, file and defaults.
//!
//! The file belongs to the service. hookshot reads `[storage] data_dir`, `[logging]`, `[secrets] file` and
//! `[backup]`, and lets every other section be.

pub mod destinations;
pub mod elsewhere;
mod foreign;
pub mod globs;
mod nearest;
mod quantity;
pub mod retention;
pub mod schema;
pub mod sources;

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    disk::{
        dangling, exists, folder_of, in_real_folder,
        mounts::{anchor, is_mount_point},
        open_regular, real,
        volume::STAYING,
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::Manifest,
        rules::Rules,
        written::{unexpanded, utf8},
    },
    store::address::require_path,
};
use elsewhere::Elsewhere;
use globs::Glob;
use schema::Schema;
use sources::{Content, Links, Source, defaults};

/// Where the configuration lies unless somebody says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/hookshot/config.toml";
/// Where the service keeps its state unless the configuration says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/hookshot";

/// What flags and environment say.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The file of the services.
    pub services: Option<PathBuf>,
    /// The secrets file.
    pub secrets: Option<PathBuf>,
    /// The folder of the state.
    pub data_dir: Option<PathBuf>,
    /// The text of an archive's configuration file, where this machine has none.
    pub archived: Option<String>,
    /// The places to which an import puts things instead of those of the configuration.
    pub elsewhere: Elsewhere,
}

impl Choices {
    /// The configuration file, absolute: what is written down of it must hold in any folder.
    pub fn config_path(&self) -> Result<PathBuf> {
        Ok(self.elsewhere.said(self.said_config()?))
    }

    /// The configuration file as the user says it, whatever the root.
    pub fn said_config(&self) -> Result<PathBuf> {
        absolute(self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG)))
    }
}

/// An absolute path of a flag or a variable.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let place = "in options and variables";
    if let Some(fault) = path.to_str().and_then(|path| unexpanded(path, place)) {
        return Err(Failure::new(Kind::Usage, fault)
            .hint("a shell expands it only where it stands without quotes")
            .into());
    }
    require_path(path)?;
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}

/// Where everything of this machine's state lies, and how hookshot treats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether it is there.
    pub config_exists: bool,
    /// Whether somebody has said where things are: it, or that of an archive.
    pub is_described: bool,
    /// The file of the services.
    pub services: PathBuf,
    /// The secrets file.
    pub secrets: PathBuf,
    /// The folder of the state.
    pub data_dir: PathBuf,
    /// What the file says.
    pub schema: Schema,
    /// What the state consists of, in the order in which it is exported.
    pub sources: Vec<Source>,
    /// Patterns, of each of which every file that matches is one of the sources.
    pub globs: Vec<Glob>,
    /// The places of things instead of those of the configuration.
    pub elsewhere: Elsewhere,
    /// The folder in which an import stages, if it was decided before links of an archive were followed.
    home: Option<PathBuf>,
}

impl Settings {
    /// Merges what `choices` say with the file that they name. A missing file counts as an empty one.
    pub fn load(choices: &Choices) -> Result<Settings> {
        let config = choices.config_path()?;
        let text = read_text(&config)?;
        let config_exists = text.is_some();
        let elsewhere = &choices.elsewhere;
        let mut text = text.or_else(|| choices.archived.clone());
        let said = choices.said_config()?;
        if text.is_none() && elsewhere.root.is_some() {
            // Nothing below the root describes the state: this machine's own configuration does.
            text = read_text(&said)?;
        }
        let is_described = text.is_some();
        let schema =
            Schema::parse(&text.unwrap_or_default()).map_err(|faults| refused(&config, &faults))?;
        let inside = elsewhere.inside(&said);
        let folder = folder_of(&inside);
        // What the command line names is relative to the current folder, what the file names to the file.
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
            schema,
            sources,
            globs,
            elsewhere: elsewhere.clone(),
            home: None,
        })
    }

    /// Adds the sources of an archive's entries whose files are not here, and match a pattern.
    pub fn add_archived(&mut self, manifest: &Manifest) -> Result<()> {
        let names = manifest.files.keys().map(|name| (name, false));
        let trees = manifest.trees.keys().map(|name| (name, true));
        for (name, is_directory) in names.chain(trees) {
            let mut globs = self.globs.iter();
            let found = globs.find_map(|glob| {
                let is_kind = glob.template.is_directory() == is_directory;
                let path = glob.path_of(name).filter(|_| is_kind)?;
                Some(glob.template.at(name.clone(), path))
            });
            if let Some(source) = found.filter(|_| self.source_of(name).is_none()) {
                if let Some(path) = source.path() {
                    self.elsewhere.stays_inside(path)?;
                }
                self.sources.push(source);
            }
        }
        directories_lie_apart(&self.config, &self.sources, Gone::MayBeLinks)
    }

    /// Returns true if a source lies in a directory whose links an import restores: its place may be behind one of them.
    pub fn may_lie_behind_links(&self) -> bool {
        let mut directories = self.sources.iter().filter(|source| restores_links(source));
        directories.any(|directory| {
            let is_below = |other: &Source| below(directory, other).is_some();
            self.sources.iter().any(is_below)
        })
    }

    /// Moves each source to the place to which the archive's links lead, if an import restores these links (`links = "all"`).
    /// Otherwise the source would be put in the link's own place. Both entries are among those that are `asked` for.
    pub fn follow_archived_links(
        &mut self,
        manifest: &Manifest,
        asked: impl Fn(&EntryName) -> bool,
    ) -> Result<()> {
        // What is locked does not change.
        self.home = Some(self.home());
        let mut moved = Vec::new();
        for directory in self.sources.iter().filter(|source| restores_links(source)) {
            let tree = manifest.trees.get(&directory.name);
            let Some(tree) = tree.filter(|_| asked(&directory.name)) else {
                continue;
            };
            let top = directory.path().map(real).unwrap_or_default();
            let inside = self.elsewhere.inside(&top);
            let is_there = |source: &Source| {
                let name = &source.name;
                manifest.files.contains_key(name) || manifest.trees.contains_key(name)
            };
            for (at, source) in self.sources.iter().enumerate() {
                let rest =
                    below(directory, source).filter(|_| asked(&source.name) && is_there(source));
                let out = rest
                    .and_then(|rest| tree.way_out(rest.as_os_str().as_encoded_bytes(), &inside));
                if let Some(out) = out {
                    moved.push((at, self.elsewhere.led(&out)));
                }
            }
        }
        for (at, path) in moved {
            self.elsewhere.stays_inside(&path)?;
            let source = &self.sources[at];
            self.sources[at] = source.at(source.name.clone(), path);
        }
        directories_lie_apart(&self.config, &self.sources, Gone::AreFolders)
    }

    /// The sources of a pattern.
    pub fn matching<'a>(&'a self, glob: &'a Glob) -> impl Iterator<Item = &'a Source> {
        let of = |source: &&Source| glob.path_of(&source.name).as_deref() == source.path();
        self.sources
            .iter()
            .filter(|source| source.path().is_some())
            .filter(of)
    }

    /// The source that an entry comes from.
    pub fn source_of(&self, entry: &EntryName) -> Option<&Source> {
        let is_in = |directory: &Source| {
            let rest = entry.as_str().strip_prefix(directory.name.as_str());
            directory.is_directory() && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let mut sources = self.sources.iter();
        sources.find(|source| source.name == *entry || is_in(source))
    }

    /// The sources of their own that lie in a directory, with their paths in it: they are no part of it.
    pub fn within<'a>(&'a self, directory: &Source) -> Vec<(&'a Source, PathBuf)> {
        let top = directory.path().map(real).unwrap_or_default();
        let others = self.sources.iter().filter(|other| !other.is_directory());
        let inside = others.filter_map(|other| {
            let path = in_real_folder(&real(other.path()?));
            Some((other, path.strip_prefix(&top).ok()?.to_owned()))
        });
        inside.collect()
    }

    /// What of a directory goes along: what its patterns say, but no sources of their own, and nothing that belongs to them.
    pub fn rules(&self, directory: &Source) -> Result<Rules> {
        let Content::Directory {
            include, exclude, ..
        } = &directory.content
        else {
            return Ok(Rules::everything());
        };
        let exclude = [&self.schema.exclude[..], exclude].concat();
        let rules =
            Rules::new(include, &exclude).map_err(|faults| refused(&self.config, &faults))?;
        let mut others = Vec::new();
        for (other, inside) in self.within(directory) {
            let endings: &[&str] = match other.content {
                Content::Sqlite { .. } => &["", "-wal", "-shm", "-journal"],
                _ => &[""],
            };
            for ending in endings {
                for backup in ["", ".bak"] {
                    let mut path = inside.clone().into_os_string().into_encoded_bytes();
                    path.extend_from_slice(ending.as_bytes());
                    path.extend_from_slice(backup.as_bytes());
                    others.push(path);
                }
            }
        }
        // What the file system itself keeps in its root is not the service's.
        if directory
            .path()
            .map(real)
            .is_some_and(|path| is_mount_point(&path))
        {
            others.extend(STAYING.map(|name| name.as_bytes().to_vec()));
        }
        Ok(rules.without(others))
    }

    /// The folder in which an import stages: on the file system of what it replaces, as far as that is one.
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
            .filter(|source| !matches!(source.content, Content::Config(_)) && !is_matched(source))
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
                // A service of commands alone has no folder: that of other services is none of its own.
                false => folder_of(&self.config),
            };
        };
        let path = real(path);
        let directories = self.sources.iter().filter(|source| source.is_directory());
        let around = directories.filter_map(Source::path).map(real);
        let around = around.filter(|folder| path.starts_with(folder));
        // What is replaced as one is no place for what replaces it.
        let outermost = around.min_by_key(|folder| folder.as_os_str().len());
        match outermost {
            // Its children are replaced, and it stays.
            Some(folder) => anchor(&folder),
            None => folder_of(&path),
        }
    }

    /// The folders that are locked while hookshot works on this state.
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

/// Refuses two entries of one name, and one below another.
fn names_lie_apart(sources: &[Source]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for source in sources {
        if !names.insert(source.name.as_str()) {
            return Err(clash(&source.name, &source.name));
        }
    }
    for source in sources {
        let name = source.name.as_str();
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        if let Some(outer) = above.into_iter().find(|above| names.contains(above)) {
            return Err(clash(&outer, &source.name));
        }
    }
    Ok(())
}

fn clash(one: &impl std::fmt::Display, other: &impl std::fmt::Display) -> Failure {
    let message = format!("the sources {one} and {other} cannot both have their names");
    Failure::new(Kind::Usage, message)
        .hint("a pattern matches two files that would be one entry: give the patterns other names")
}

/// Returns true for a directory that gets all links back.
fn restores_links(source: &Source) -> bool {
    let all = Links::All;
    matches!(&source.content, Content::Directory { links, .. } if *links == all)
}

/// The path of `other` below the directory, as the configuration writes it or as it really is.
fn below(directory: &Source, other: &Source) -> Option<PathBuf> {
    let (top, path) = (directory.path()?, other.path()?);
    let rest = path.strip_prefix(top).ok();
    let rest = rest.map(Path::to_owned).or_else(|| {
        let rest = path.strip_prefix(real(top)).ok()?;
        Some(rest.to_owned())
    });
    rest.filter(|rest| !rest.as_os_str().is_empty())
}

/// The meaning of a source in another directory that gets all links back, if it is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// A link may have led there.
    MayBeLinks,
    /// No link leads there.
    AreFolders,
}

/// Refuses a directory in which hookshot would keep its journal, and one that lies in another.
fn directories_lie_apart(config: &Path, sources: &[Source], gone: Gone) -> Result<()> {
    let directories = sources.iter().filter(|source| source.is_directory());
    let directories = directories.filter_map(|source| Some((source, real(source.path()?))));
    let directories: Vec<(&Source, PathBuf)> = directories.collect();
    for (source, path) in &directories {
        let name = &source.name;
        let inner = directories.iter().find(|(other, inside)| {
            let may_be_link = gone == Gone::MayBeLinks && restores_links(source);
            other.name != *name && inside.starts_with(path) && (exists(inside) || !may_be_link)
        });
        let (message, hint) = if real(config).starts_with(path) {
            let message = format!(
                "{} lies in the directory {name}: an import could not replace it as one",
                config.display()
            );
            (
                message,
                "give the configuration a folder of its own".to_owned(),
            )
        } else if let Some((other, inside)) = inner {
            let message = format!("the directory {} lies in the directory {name}", other.name);
            let hint = match exists(inside) {
                true => format!("name the outer directory {name} alone"),
                false => format!(
                    "if {} was a link to another folder, make it again, or set `links = \"all\"` for {name}; else name the outer directory alone",
                    inside.display()
                ),
            };
            (message, hint)
        } else {
            continue;
        };
        return Err(Failure::new(Kind::Usage, message).hint(hint).into());
    }
    Ok(())
}

/// The text of a configuration file; `None` where there is none.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    let reading = || format!("cannot read {}", path.display());
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return dangling(path).map_or(Ok(None), |failure| Err(failure.into()));
        }
        result => result.with_context(reading)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Failure::new(
            Kind::Usage,
            format!("{} is larger than 1 MiB", path.display()),
        )
        .into());
    }
    let text = utf8(&bytes).map_err(|fault| {
        Failure::new(Kind::Usage, format!("{} is {fault}", path.display()))
            .hint("save the file as UTF-8; `iconv -f LATIN1 -t UTF-8` makes it of an old encoding")
    })?;
    Ok(Some(text.to_owned()))
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
