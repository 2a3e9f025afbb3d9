//! A service by one of the ready-made configurations, on a machine of its own.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Machine, Run, finish};

/// A machine with the service, and its configuration.
pub struct Service {
    pub machine: Machine,
    pub config: PathBuf,
    /// The folder of the service's files.
    pub folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Service {
    /// By the configuration that `hookshot init --app` makes.
    pub fn new(app: &str) -> Service {
        let service = Service::with_config(app, "");
        fs::remove_file(&service.config).expect("removed");
        let folder = service.folder.to_str().expect("UTF-8").to_owned();
        service.run(&["init", "--app", app, "--data-dir", &folder], 0);
        // What it has elsewhere lies on this test's machine.
        let text = fs::read_to_string(&service.config).expect("it");
        let etc = service.machine.path("real");
        let text = text.replace("\"/etc/", &format!("\"{}/etc/", etc.display()));
        fs::write(&service.config, text).expect("written");
        service
    }

    /// By this configuration.
    pub fn with_config(app: &str, text: &str) -> Service {
        let machine = Machine::empty();
        let config = machine.path(&format!("hookshot/{app}/config.toml"));
        let folder = machine.path("srv");
        fs::create_dir_all(&folder).expect("a folder");
        write(&config, text);
        Service {
            machine,
            config,
            folder,
            environment: Vec::new(),
        }
    }

    /// Sets a variable of hookshot's environment.
    pub fn set(&mut self, key: &'static str, value: impl AsRef<OsStr>) {
        self.environment.push((key, value.as_ref().to_owned()));
    }

    #[track_caller]
    pub fn run(&self, arguments: &[&str], code: i32) -> Run {
        let mut command = Command::new(crate::program());
        command
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .env("TMPDIR", self.machine.path("tmp"))
            .current_dir(self.machine.path("out"));
        finish(command, b"").exits(code)
    }
}

/// Writes a file, and the folders above it.
pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, content).expect("written");
}
