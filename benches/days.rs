//! Changes a database day by day, for `benches/repositories`: `bench_days FILE DAY end|hot|random` makes a redb database of
//! some 70 MB, or changes a hundredth of its rows, the same bytes at each run.

use anyhow::{Context as _, Result};
use redb::{Database, TableDefinition};

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
/// Rows of 1,000 bytes.
const COUNT: u64 = 50_000;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let file = words.next().context("which file?")?;
    let day: u64 = words.next().context("which day?")?.parse()?;
    let spread = words.next().context("end, hot or random?")?;
    // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
    let mut seed = day * 7919 + 1;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let database = Database::create(file)?;
    let keys: Vec<u64> = match day {
        0 => (0..COUNT).collect(),
        _ => (0..COUNT / 100)
            .map(|_| {
                let last = match &*spread {
                    "end" => COUNT / 50,
                    "hot" if random() % 5 > 0 => COUNT / 5,
                    _ => COUNT,
                };
                COUNT - 1 - random() % last
            })
            .collect(),
    };
    for part in keys.chunks(if day == 0 { 5000 } else { 50 }) {
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for key in part {
                let byte = |at: usize| match at % 3 {
                    0 => random() as u8,
                    _ => b"state of a service "[at % 19],
                };
                let value: Vec<u8> = (0..1000).map(byte).collect();
                table.insert(key, &*value)?;
            }
        }
        transaction.commit()?;
    }
    Ok(())
}
