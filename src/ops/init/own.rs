//! The configuration of an application of the user's own: a source for each database, file or folder that is named.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{InitReport, Nightly, apps::refuse_existing, with_nightly};
use crate::{
    config::{Choices, absolute, schema::Schema},
    disk::{
        create_folders, folder_of,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
    model::entry_name::printable,
    source::engines::recognize,
};

/// Writes a configuration whose archives hold what lies at `paths`, if there is none yet.
pub fn init(choices: &Choices, paths: &[PathBuf], nightly: Option<&Nightly>) -> Result<InitReport> {
    let config = choices.config_path()?;
    refuse_existing(&config)?;
    let paths: Vec<PathBuf> = paths
        .iter()
        .map(|path| absolute(path))
        .collect::<Result<_>>()?;
    let sources = sections(&paths)?;
    let name = application(&config, &paths);
    let starter = format!(
        "# The backup of {name}: hookshot --config FILE export. All keys: docs/services.md, docs/cli.md.\n\
         \n\
         [backup]\n\
         app = \"{name}\"\n\
         # Names of archives start with this: PREFIX-YYYYMMDD-HHMMSS.tar.gz\n\
         prefix = \"{name}\"\n\
         # Where archives go when an export names no output; several are possible, on other machines too.\n\
         to = [\"local\"]\n\
         \n\
         [backup.destinations.local]\n\
         url = \"/var/backups/{name}\"\n\
         \n\
         # The state: databases, files and folders. Archives hold this file as well.\n\
         {sources}"
    );
    let text = with_nightly(starter, nightly)?;
    if let Err(faults) = Schema::parse(&text) {
        let first = faults.first().cloned().unwrap_or_default();
        return Err(
            Failure::new(Kind::Usage, format!("nothing was made: {first}"))
                .hint("look at --source")
                .faults(faults)
                .into(),
        );
    }
    let folder = folder_of(&config);
    create_folders(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    publish(&config, text.as_bytes(), Existing::Keep)?;
    InitReport::of(&[config]).with_sources_of(choices)
}

/// Returns a section for each path, of the kind that is found there.
fn sections(paths: &[PathBuf]) -> Result<String, Failure> {
    let mut names = BTreeSet::new();
    let mut text = String::new();
    for path in paths {
        let shown = printable(&path.to_string_lossy());
        if !path.exists() {
            return Err(
                Failure::new(Kind::NotFound, format!("{shown} does not exist")).hint(
                    "name a database, a file or a folder of the application; nothing was made",
                ),
            );
        }
        let place = path.to_str().ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                format!("{shown} is not UTF-8, and so cannot stand in a configuration"),
            )
        })?;
        let kind = match (path.is_dir(), recognize(path).flatten()) {
            (true, _) => "directory",
            (false, Some(engine)) => engine.kind(),
            (false, None) => "file",
        };
        let file_name = path.file_name().and_then(OsStr::to_str).unwrap_or("data");
        let numbered = (2..).map(|number| format!("{number}-{file_name}"));
        let mut free = std::iter::once(file_name.to_owned()).chain(numbered);
        let name = free.find(|name| names.insert(name.clone()));
        let quoted = |text: &str| toml::Value::String(text.to_owned());
        text.push_str(&format!(
            "[[backup.sources]]\nname = {}\nkind = \"{kind}\"\npath = {}\n\n",
            quoted(&name.unwrap_or_default()),
            quoted(place)
        ));
    }
    Ok(text)
}

/// Returns the name of the application: that of the configuration's folder or file, else that of the first source.
fn application(config: &Path, paths: &[PathBuf]) -> String {
    let folder = config.parent().and_then(Path::file_name);
    let first = paths.first().and_then(|path| path.file_stem());
    let of_a_kind = ["hookshot", "config", "etc"];
    let named = [config.file_stem(), folder, first];
    let mut named = named.into_iter().flatten().map(OsStr::to_string_lossy);
    let name = named.find(|name| !of_a_kind.contains(&name.as_ref()));
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(|one| is_plain(*one))
        .collect();
    match name.trim_start_matches(['-', '_']) {
        "" => "app".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_called_as_its_configuration_or_its_first_source() {
        for (config, path, name) in [
            ("/etc/hookshot/notes/config.toml", "/srv/a.db", "notes"),
            ("/etc/hookshot/wiki.toml", "/srv/a.db", "wiki"),
            ("/etc/hookshot/config.toml", "/var/lib/shop.db", "shop"),
            ("/etc/hookshot/config.toml", "/srv/__", "app"),
        ] {
            let found = application(Path::new(config), &[PathBuf::from(path)]);
            assert_eq!(found, name, "{config}");
        }
    }
}
