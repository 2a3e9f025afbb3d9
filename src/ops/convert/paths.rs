//! The entries that the paths of a tar become.

use crate::model::{
    entry_name::EntryName,
    manifest::MANIFEST_NAME,
    relative::{RelativeName, is_tree_name},
};

/// The place in an archive of a member of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The top of the tar itself.
    Top,
    /// An entry of its own.
    Entry(EntryName),
    /// A directory.
    Directory(EntryName),
    /// Below a directory.
    Below(EntryName, RelativeName),
}

/// Returns the place of what has the path `path` in a tar. Folders at the top of the tar are directories, unless
/// everything goes to `directory`. A fault says what is wrong with the path.
pub fn place_of(
    path: &[u8],
    is_folder: bool,
    directory: Option<&EntryName>,
) -> Result<Place, String> {
    let components = path.split(|byte| *byte == b'/');
    let components: Vec<&[u8]> = components
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    if components.contains(&&b".."[..]) {
        return Err("climbs with `..`".to_owned());
    }
    let below = |name: &EntryName, rest: &[&[u8]]| {
        let relative = RelativeName::new(&rest.join(&b'/')).map_err(|fault| fault.to_string())?;
        Ok(Place::Below(name.clone(), relative))
    };
    if let Some(directory) = directory {
        return match components.as_slice() {
            [] => Ok(Place::Directory(directory.clone())),
            rest => below(directory, rest),
        };
    }
    let Some((first, rest)) = components.split_first() else {
        return Ok(Place::Top);
    };
    let first = std::str::from_utf8(first).map_err(|_| "is not UTF-8".to_owned())?;
    let first = EntryName::new(first).map_err(|fault| fault.to_string())?;
    if rest.is_empty() && !is_folder {
        return match first.as_str() {
            MANIFEST_NAME => Err("is the name of an archive's manifest".to_owned()),
            _ => Ok(Place::Entry(first)),
        };
    }
    if !is_tree_name(&first) {
        return Err("begins with a name that no directory may have".to_owned());
    }
    match rest {
        [] => Ok(Place::Directory(first)),
        rest => below(&first, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, is_folder: bool, directory: Option<&str>) -> String {
        let directory = directory.map(|name| EntryName::new(name).expect("good"));
        match place_of(path.as_bytes(), is_folder, directory.as_ref()) {
            Ok(Place::Top) => "top".to_owned(),
            Ok(Place::Entry(name)) => format!("entry {name}"),
            Ok(Place::Directory(name)) => format!("directory {name}"),
            Ok(Place::Below(name, relative)) => format!("{relative} below {name}"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn folders_at_the_top_of_a_tar_are_directories_and_files_are_entries() {
        for (path, is_folder, place) in [
            ("./", true, "top"),
            ("a.ini", false, "entry a.ini"),
            ("/etc", true, "directory etc"),
            ("./etc//x/./y", false, "x/y below etc"),
            ("etc/../x", false, "climbs with `..`"),
            (
                "manifest.json",
                false,
                "is the name of an archive's manifest",
            ),
            ("etc/manifest.json", false, "manifest.json below etc"),
        ] {
            assert_eq!(shown(path, is_folder, None), place, "{path}");
        }
        assert_eq!(shown(".", true, Some("app")), "directory app");
        assert_eq!(shown("./a.ini", false, Some("app")), "a.ini below app");
        assert_eq!(shown("../a.ini", false, Some("app")), "climbs with `..`");
    }
}
