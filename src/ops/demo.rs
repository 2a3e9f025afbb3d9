//! A small made-up service for `demo`: what it has, how it breaks, and whether it is whole again.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use redb::{Database, ReadOnlyDatabase, ReadableDatabase as _, ReadableTable as _};

use crate::{
    disk::{
        create_folders, exists,
        publish::{Existing, publish},
    },
    error::{Failure, Kind},
    model::digest::Digest,
    state::{DEPLOYMENTS, Deployment, SERVICES, Status},
};

/// The number of deployments that the service remembers.
pub const DEPLOYMENT_COUNT: usize = 200;

/// Returns the whole path of a folder that is empty or does not exist.
pub fn require_empty(folder: &Path) -> Result<PathBuf> {
    let shown = folder.display();
    let folder =
        std::path::absolute(folder).with_context(|| format!("cannot tell where {shown} is"))?;
    let is_empty = |folder: &Path| {
        folder
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_none())
    };
    if !exists(&folder) || is_empty(&folder) {
        return Ok(folder);
    }
    let failure = Failure::new(
        Kind::Usage,
        format!("{} is not an empty folder", folder.display()),
    );
    Err(failure
        .hint("name a folder that does not exist yet, or none at all")
        .into())
}

/// The made-up service in a folder.
pub struct DemoService {
    folder: PathBuf,
}

impl DemoService {
    /// Makes the service in `folder`, which must be empty or not exist.
    pub fn create(folder: &Path) -> Result<DemoService> {
        let folder = require_empty(folder)?;
        let service = DemoService { folder };
        for name in ["etc", "data"] {
            create_folders(&service.folder.join(name))
                .with_context(|| format!("cannot create {}", service.folder.display()))?;
        }
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:8080\"\n\n[storage]\ndata_dir = {}\n\n[secrets]\n\
            file = \"secrets\"\n\n[logging]\nlevel = \"info\"\n",
            toml::Value::String(service.folder.join("data").display().to_string())
        );
        let services = "[services.web]\nrepository = \"https://git.example/web.git\"\nbranch = \"main\"\n\n\
            [services.api]\nrepository = \"https://git.example/api.git\"\nbranch = \"release\"\n";
        publish(&service.config(), config.as_bytes(), Existing::Keep)?;
        publish(
            &service.folder.join("etc/services.toml"),
            services.as_bytes(),
            Existing::Keep,
        )?;
        publish(
            &service.folder.join("etc/secrets"),
            b"hmac_key = not-a-real-key\n",
            Existing::Keep,
        )?;
        for readable in [service.config(), service.folder.join("etc/services.toml")] {
            std::fs::set_permissions(readable, Permissions::from_mode(0o644))?;
        }
        service
            .fill_database()
            .context("cannot make the database")?;
        Ok(service)
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("etc/config.toml")
    }

    /// Returns the folder of the demo.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn database(&self) -> PathBuf {
        self.folder.join("data/state.redb")
    }

    /// A digest of every file and of every row, in a fixed order.
    pub fn digests(&self) -> Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for file in ["config.toml", "services.toml", "secrets"] {
            let path = self.folder.join("etc").join(file);
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            digests.push(Digest::of(&bytes));
        }
        let tx = ReadOnlyDatabase::open(self.database())?.begin_read()?;
        for table in [DEPLOYMENTS, SERVICES] {
            for row in tx.open_table(table)?.iter()? {
                let (key, value) = row?;
                digests.push(Digest::of(key.value().as_bytes()));
                digests.push(Digest::of(value.value().as_bytes()));
            }
        }
        Ok(digests)
    }

    /// Breaks the state, as a bad night would: overwrites the database with noise and empties a configuration.
    pub fn break_it(&self) -> Result<()> {
        let noise: Vec<u8> = (0..4096u32)
            .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        publish(&self.database(), &noise, Existing::Replace)?;
        publish(
            &self.folder.join("etc/services.toml"),
            b"",
            Existing::Replace,
        )
    }

    fn fill_database(&self) -> Result<()> {
        let db = Database::create(self.database())?;
        let tx = db.begin_write()?;
        {
            let mut deployments = tx.open_table(DEPLOYMENTS)?;
            for number in 0..DEPLOYMENT_COUNT {
                let deployment = deployment(number);
                deployments.insert(
                    deployment.id.as_str(),
                    serde_json::to_string(&deployment)?.as_str(),
                )?;
            }
            let mut services = tx.open_table(SERVICES)?;
            services.insert("web", r#"{"name":"web","branch":"main"}"#)?;
            services.insert("api", r#"{"name":"api","branch":"release"}"#)?;
        }
        tx.commit()?;
        drop(db);
        std::fs::set_permissions(self.database(), Permissions::from_mode(0o600))?;
        Ok(())
    }
}

fn deployment(number: usize) -> Deployment {
    let service = ["web", "api"][number % 2];
    let (day, minute) = (number / 20 + 1, number % 60);
    Deployment {
        id: format!("d{number:04}"),
        service: service.to_owned(),
        status: if number.is_multiple_of(17) {
            Status::Failed
        } else {
            Status::Succeeded
        },
        git_ref: Some(format!("v1.{}.{}", number / 20, number % 20)),
        started_at: Some(format!("2026-01-{day:02}T09:{minute:02}:00Z")),
        finished_at: Some(format!("2026-01-{day:02}T09:{minute:02}:42Z")),
        log: Some(format!(
            "fetching {service}\nbuilding {service}\nstarting {service}\nhealthy after {} s\n",
            number % 9 + 1
        )),
    }
}
