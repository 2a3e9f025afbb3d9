//! Numbers by keys, in bounded memory: sorted runs in a file without a name, with the first key of each block at hand.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The pairs that are sorted at a time, in memory until then: 8 MiB.
const RUN_PAIRS: usize = 1 << 19;
/// The pairs that stay in memory, where each look-up goes over them.
const KEPT_PAIRS: usize = 1 << 14;
/// The pairs in a block, which one read gets.
const BLOCK_PAIRS: usize = 256;
const PAIR_BYTES: usize = 16;
const READING: &str = "cannot read the places of files in the temporary folder";

/// Numbers by keys; a key may have several. One look-up reads about one block of each run.
#[derive(Debug)]
pub struct PairIndex {
    scratch: PathBuf,
    /// The pairs that no run has yet.
    pairs: Vec<(u64, u64)>,
    runs: Vec<Run>,
    file: Option<File>,
    /// The pairs in the runs.
    stored: u64,
    run_pairs: usize,
}

/// Pairs in the file, in order.
#[derive(Debug)]
struct Run {
    /// The number of pairs before it.
    start: u64,
    count: usize,
    /// The first key of each block.
    firsts: Vec<u64>,
}

impl PairIndex {
    /// Creates an empty one; its file lies in the folder `scratch`.
    pub fn new(scratch: &Path) -> PairIndex {
        PairIndex {
            scratch: scratch.to_owned(),
            pairs: Vec::new(),
            runs: Vec::new(),
            file: None,
            stored: 0,
            run_pairs: RUN_PAIRS,
        }
    }

    /// Returns the number of pairs.
    pub fn count(&self) -> u64 {
        self.stored + self.pairs.len() as u64
    }

    /// Adds a number to those of a key.
    pub fn insert(&mut self, key: u64, number: u64) -> Result<()> {
        self.pairs.push((key, number));
        match self.pairs.len() >= self.run_pairs {
            true => self.store(),
            false => Ok(()),
        }
    }

    /// Prepares for look-ups: only few pairs stay in memory.
    pub fn settle(&mut self) -> Result<()> {
        match self.pairs.len() >= KEPT_PAIRS.min(self.run_pairs) {
            true => self.store(),
            false => Ok(()),
        }
    }

    /// Returns the numbers of a key, the greatest first.
    pub fn numbers(&self, key: u64) -> Result<Vec<u64>> {
        let fresh = self.pairs.iter().filter(|(other, _)| *other == key);
        let mut numbers: Vec<u64> = fresh.map(|(_, number)| *number).collect();
        if let Some(file) = &self.file {
            let mut block = [0; BLOCK_PAIRS * PAIR_BYTES];
            for run in &self.runs {
                run.read(file, key, &mut block, &mut numbers)?;
            }
        }
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(numbers)
    }

    fn store(&mut self) -> Result<()> {
        let mut pairs = std::mem::take(&mut self.pairs);
        pairs.sort_unstable();
        let file = match &self.file {
            Some(file) => file,
            None => {
                let scratch = self.scratch.display();
                let file = tempfile::tempfile_in(&self.scratch)
                    .with_context(|| format!("cannot make a temporary file in {scratch}"))?;
                self.file.insert(file)
            }
        };
        let mut bytes = Vec::with_capacity(BLOCK_PAIRS * PAIR_BYTES);
        let mut firsts = Vec::with_capacity(pairs.len().div_ceil(BLOCK_PAIRS));
        let mut at = self.stored * PAIR_BYTES as u64;
        for block in pairs.chunks(BLOCK_PAIRS) {
            bytes.clear();
            firsts.extend(block.first().map(|(key, _)| *key));
            for (key, number) in block {
                bytes.extend_from_slice(&key.to_le_bytes());
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            file.write_all_at(&bytes, at).with_context(|| {
                let scratch = self.scratch.display();
                format!("cannot keep the places of files in a temporary file in {scratch}")
            })?;
            at += bytes.len() as u64;
        }
        self.runs.push(Run {
            start: self.stored,
            count: pairs.len(),
            firsts,
        });
        self.stored += pairs.len() as u64;
        Ok(())
    }
}

impl Run {
    /// Appends the numbers of a key.
    fn read(&self, file: &File, key: u64, buffer: &mut [u8], numbers: &mut Vec<u64>) -> Result<()> {
        // The pairs of one key may begin in the block before the first that begins with it.
        let first = self.firsts.partition_point(|first| *first < key);
        for block in first.saturating_sub(1)..self.firsts.len() {
            if self.firsts[block] > key {
                break;
            }
            let before = block * BLOCK_PAIRS;
            let count = BLOCK_PAIRS.min(self.count - before);
            let at = (self.start + before as u64) * PAIR_BYTES as u64;
            let bytes = &mut buffer[..count * PAIR_BYTES];
            file.read_exact_at(bytes, at).context(READING)?;
            let found = bytes.chunks_exact(PAIR_BYTES).filter_map(|pair| {
                let (other, number) = pair.split_first_chunk()?;
                let is_other = u64::from_le_bytes(*other) != key;
                let number = number.first_chunk().filter(|_| !is_other)?;
                Some(u64::from_le_bytes(*number))
            });
            numbers.extend(found);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn an_index_gives_all_numbers_of_a_key(
            keys in proptest::collection::vec(prop_oneof![0..6u64, 0..2000u64], 0..3000),
            run_pairs in prop_oneof![Just(1usize), 2..1000usize, Just(RUN_PAIRS)],
        ) {
            let scratch = tempfile::tempdir().expect("a folder");
            let mut index = PairIndex { run_pairs, ..PairIndex::new(scratch.path()) };
            let keys = &keys[..keys.len().min(run_pairs.saturating_mul(50))];
            for (number, key) in keys.iter().enumerate() {
                index.insert(*key, number as u64).expect("written");
                if number % 700 == 0 {
                    index.settle().expect("written");
                }
            }
            prop_assert_eq!(index.count(), keys.len() as u64);
            for key in (0..8).chain(keys.iter().copied().step_by(97)) {
                let numbers = keys.iter().enumerate().rev().filter(|(_, other)| **other == key);
                let numbers: Vec<u64> = numbers.map(|(number, _)| number as u64).collect();
                prop_assert_eq!(index.numbers(key).expect("read"), numbers);
            }
            prop_assert_eq!(scratch.path().read_dir().expect("there").count(), 0);
        }
    }
}
