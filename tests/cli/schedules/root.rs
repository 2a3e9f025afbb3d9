//! A folder that stands for `/`, with the units that are installed in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::service::Service;

/// A folder that stands for `/`, and its units.
pub struct Root(pub PathBuf);

impl Root {
    pub fn of(service: &Service) -> Root {
        let root = service.machine.path("root");
        fs::create_dir_all(&root).expect("a folder");
        Root(root)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    pub fn folder(&self) -> PathBuf {
        self.0.join("etc/systemd/system")
    }

    /// The names of the units, and of the links that enable them.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let of = |folder: &Path| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
            let mut names: Vec<String> = names.filter(|name| !name.ends_with(".wants")).collect();
            names.sort();
            names
        };
        (
            of(&self.folder()),
            of(&self.folder().join("timers.target.wants")),
        )
    }

    pub fn text(&self, unit: &str) -> String {
        fs::read_to_string(self.folder().join(unit)).expect(unit)
    }
}
