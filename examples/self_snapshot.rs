//! A small service that takes a snapshot of its own database while it works.
//!
//! `cargo run --example self_snapshot [FOLDER]`
//!
//! A thread books orders as fast as it can; every commit keeps the number of orders in step with the orders. Five times
//! the service copies its database without stopping: each copy is exactly one of those commits.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use redb::{
    Database, ReadOnlyDatabase, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition,
};

const ORDERS: TableDefinition<u64, &str> = TableDefinition::new("orders");
const COUNT: TableDefinition<&str, u64> = TableDefinition::new("count");

fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let (path, copy) = (folder.join("orders.redb"), folder.join("snapshot.redb"));
    let database = Database::create(&path)?;
    book(&database)?;

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let work = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                book(&database)?;
            }
            Ok(())
        });
        let copied = (0..5).try_for_each(|_| {
            thread::sleep(Duration::from_millis(200));
            let snapshot = hookshot::snapshot(&database, &path)?;
            let transaction = snapshot.transaction_id();
            snapshot.save(&copy)?;
            let orders = count(&copy)?;
            println!("transaction {transaction}: {orders} orders, and the service goes on");
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        work.join().expect("the work does not panic")?;
        copied
    })
}

/// Books one order; the count goes with it in one commit.
fn book(database: &Database) -> Result<()> {
    let tx = database.begin_write()?;
    {
        let mut orders = tx.open_table(ORDERS)?;
        let number = orders.len()?;
        orders.insert(number, "one more")?;
        tx.open_table(COUNT)?.insert("orders", number + 1)?;
    }
    tx.commit()?;
    Ok(())
}

/// Returns the number of orders in a copy; its count must be the same.
fn count(copy: &Path) -> Result<u64> {
    let tx = ReadOnlyDatabase::open(copy)?.begin_read()?;
    let orders = tx.open_table(ORDERS)?.len()?;
    let count = tx.open_table(COUNT)?.get("orders")?;
    let counted = count.map_or(0, |count| count.value());
    ensure!(
        orders == counted,
        "{orders} orders, and {counted} were counted"
    );
    Ok(orders)
}
