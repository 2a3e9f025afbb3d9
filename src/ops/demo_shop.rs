//! The made-up shop of `demo --serve`: an SQLite and a redb database, files and secrets, which grow from night to night.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use redb::{Database, TableDefinition};
use rusqlite::{Connection, params};

use crate::{
    disk::{
        create_folders,
        publish::{Existing, publish},
    },
    ops::demo::require_empty,
};

/// The sessions of the shop's customers, as JSON.
const SESSIONS: TableDefinition<&str, &str> = TableDefinition::new("sessions");
/// The orders of a night.
const ORDERS: usize = 40;
/// The bytes of a night's picture.
const PICTURE_BYTES: u32 = 6 << 10;
/// The customers, by turns.
const CUSTOMERS: [&str; 5] = ["Ada", "Grace", "Edsger", "Barbara", "Donald"];

/// The configuration, without the addresses of its destinations.
const CONFIG: &str = r#"# A made-up shop: change what you like, and reload the page.
[backup]
app = "shop"
app_version = "4.2.0"
prefix = "shop"
to = ["local", "offsite"]

[[backup.sources]]
name = "orders.sqlite"
kind = "sqlite"
path = "../data/orders.sqlite"

[[backup.sources]]
name = "sessions.redb"
kind = "redb"
path = "../data/sessions.redb"

[[backup.sources]]
name = "pictures"
kind = "directory"
path = "../data/pictures"

[[backup.sources]]
name = "shop.secrets"
kind = "file"
path = "shop.secrets"
secret = true

[backup.retention]
keep_daily = 14
keep_weekly = 8
keep_monthly = 6
"#;

/// The shop in a folder.
pub struct Shop {
    folder: PathBuf,
}

impl Shop {
    /// Makes the shop in `folder`, which must be empty or not exist.
    pub fn create(folder: &Path) -> Result<Shop> {
        let shop = Shop {
            folder: require_empty(folder)?,
        };
        for name in ["etc", "data/pictures", "backups"] {
            let folder = shop.folder.join(name);
            create_folders(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut config = CONFIG.to_owned();
        for name in ["local", "offsite"] {
            let url = shop.destination(name).display().to_string();
            let url = toml::Value::String(url);
            config.push_str(&format!("\n[backup.destinations.{name}]\nurl = {url}\n"));
        }
        publish(&shop.config(), config.as_bytes(), Existing::Keep)?;
        let secrets = b"payment_key = not-a-real-key\nmail_password = not-a-real-password\n";
        publish(
            &shop.folder.join("etc/shop.secrets"),
            secrets,
            Existing::Keep,
        )?;
        let connection = shop.orders()?;
        connection.execute_batch(
            "CREATE TABLE orders (number INTEGER PRIMARY KEY, customer TEXT NOT NULL, \
             cents INTEGER NOT NULL, placed_at TEXT NOT NULL)",
        )?;
        Ok(shop)
    }

    /// Returns its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("etc/config.toml")
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the folder of a destination.
    pub fn destination(&self, name: &str) -> PathBuf {
        self.folder.join("backups").join(name)
    }

    /// Adds the orders, the sessions and the picture of a day that ends at this time.
    pub fn grow(&self, day: usize, end: DateTime<Utc>) -> Result<()> {
        self.take_orders(day, end).context("cannot take orders")?;
        self.open_sessions(day, end)
            .context("cannot open sessions")?;
        let name = format!("data/pictures/{}.jpg", end.format("%Y-%m-%d"));
        let seed = u32::try_from(day).unwrap_or_default();
        publish(
            &self.folder.join(&name),
            &noise(seed.wrapping_mul(0x9e37_79b9), PICTURE_BYTES),
            Existing::Replace,
        )?;
        for name in ["data/orders.sqlite", "data/sessions.redb", &name] {
            let file = OpenOptions::new()
                .append(true)
                .open(self.folder.join(name))?;
            file.set_modified(end.into())?;
        }
        Ok(())
    }

    fn orders(&self) -> Result<Connection> {
        let connection = Connection::open(self.folder.join("data/orders.sqlite"))?;
        // A made-up database need not outlive a power failure.
        connection.pragma_update(None, "synchronous", "off")?;
        Ok(connection)
    }

    fn take_orders(&self, day: usize, end: DateTime<Utc>) -> Result<()> {
        let mut connection = self.orders()?;
        let transaction = connection.transaction()?;
        for order in 0..ORDERS + day % 9 {
            let customer = CUSTOMERS[(day + order) % CUSTOMERS.len()];
            let cents = 500 + (day * 37 + order * 911) % 20_000;
            transaction.execute(
                "INSERT INTO orders (customer, cents, placed_at) VALUES (?1, ?2, ?3)",
                params![
                    customer,
                    i64::try_from(cents)?,
                    format!("{} {:02}:{:02}", end.format("%F"), order % 24, order % 60)
                ],
            )?;
        }
        Ok(transaction.commit()?)
    }

    fn open_sessions(&self, day: usize, end: DateTime<Utc>) -> Result<()> {
        let database = Database::create(self.folder.join("data/sessions.redb"))?;
        let transaction = database.begin_write()?;
        {
            let mut sessions = transaction.open_table(SESSIONS)?;
            for customer in CUSTOMERS {
                let session = format!(
                    "{{\"customer\":\"{customer}\",\"since\":\"{}\"}}",
                    end.format("%F")
                );
                sessions.insert(format!("{day:04}-{customer}").as_str(), session.as_str())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// Returns bytes that do not get smaller when they are compressed (the generator is xorshift, Marsaglia 2003).
fn noise(seed: u32, count: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let bytes = (0..count).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_same_each_time_and_differs_from_the_next() {
        assert_eq!(noise(7, 100), noise(7, 100));
        assert_ne!(noise(7, 100), noise(9, 100));
        let mut seen = noise(7, 4096);
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 250, "{}", seen.len());
    }
}
