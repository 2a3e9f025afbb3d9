//! The invariant that a torture writer keeps in every commit, and its check in a copy.

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};

pub const ITEMS: TableDefinition<u64, &[u8]> = TableDefinition::new("items");
/// Key 0: the number of items. Key 1: the sum of their hashes.
pub const LEDGER: TableDefinition<u64, u64> = TableDefinition::new("ledger");

/// Puts an item and books it.
pub fn put(tx: &WriteTransaction, key: u64, value: &[u8]) {
    let mut items = tx.open_table(ITEMS).expect("a table");
    let mut ledger = tx.open_table(LEDGER).expect("a table");
    let read = |key: u64| {
        ledger
            .get(key)
            .expect("readable")
            .map_or(0, |number| number.value())
    };
    let (mut count, mut sum) = (read(0), read(1));
    match items.insert(key, value).expect("a row") {
        Some(old) => sum = sum.wrapping_sub(hash(key, old.value())),
        None => count += 1,
    }
    sum = sum.wrapping_add(hash(key, value));
    ledger.insert(0, count).expect("a row");
    ledger.insert(1, sum).expect("a row");
}

/// Checks that a copy opens, is whole page by page, and keeps the invariant; says what is wrong.
pub fn check(mut db: Database) -> Result<u64, String> {
    if !db.check_integrity().map_err(|error| error.to_string())? {
        return Err("it had to be repaired".to_owned());
    }
    let tx = db.begin_read().map_err(|error| error.to_string())?;
    let items = tx.open_table(ITEMS).map_err(|error| error.to_string())?;
    let ledger = tx.open_table(LEDGER).map_err(|error| error.to_string())?;
    let booked = |key: u64| {
        Ok::<u64, String>(
            ledger
                .get(key)
                .map_err(|error| error.to_string())?
                .map_or(0, |number| number.value()),
        )
    };
    let (mut count, mut sum) = (0u64, 0u64);
    for item in items.iter().map_err(|error| error.to_string())? {
        let (key, value) = item.map_err(|error| error.to_string())?;
        count += 1;
        sum = sum.wrapping_add(hash(key.value(), value.value()));
    }
    if (count, sum) == (booked(0)?, booked(1)?) {
        Ok(count)
    } else {
        Err("the ledger does not match the items".to_owned())
    }
}

/// FNV-1a over key and value.
fn hash(key: u64, value: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let start = key.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    value.iter().fold(start, step)
}
