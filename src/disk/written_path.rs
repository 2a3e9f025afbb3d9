//! Paths in the journal: text if they are UTF-8, else their bytes in hex, as `{"hex": "..."}`.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { hex: String },
}

impl From<&Path> for Written {
    fn from(path: &Path) -> Written {
        match path.to_str() {
            Some(text) => Written::Text(text.to_owned()),
            None => Written::Bytes {
                hex: hex::encode(path.as_os_str().as_bytes()),
            },
        }
    }
}

impl Written {
    fn read(self) -> Result<PathBuf, hex::FromHexError> {
        match self {
            Written::Text(text) => Ok(PathBuf::from(text)),
            Written::Bytes { hex } => Ok(OsString::from_vec(hex::decode(hex)?).into()),
        }
    }
}

/// A path.
pub mod one {
    use super::*;

    /// Writes the path.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(path).serialize(serializer)
    }

    /// Reads the path.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Written::deserialize(deserializer)?
            .read()
            .map_err(D::Error::custom)
    }
}

/// A path, or null.
pub mod optional {
    use super::*;

    /// Writes the path, or null.
    pub fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written::from).serialize(serializer)
    }

    /// Reads the path, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let written = Option::<Written>::deserialize(deserializer)?;
        written
            .map(Written::read)
            .transpose()
            .map_err(D::Error::custom)
    }
}

/// A list of paths.
pub mod list {
    use super::*;

    /// Writes the paths.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| Written::from(path.as_path())))
    }

    /// Reads the paths.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?.into_iter();
        let paths: Result<Vec<PathBuf>, _> = written.map(Written::read).collect();
        paths.map_err(D::Error::custom)
    }
}
