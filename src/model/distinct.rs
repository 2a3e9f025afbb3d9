//! A set of items that are added once each, mostly in order.

use std::collections::BTreeSet;

/// The items so far. An item that comes in order costs one comparison.
#[derive(Debug)]
pub struct Distinct<T> {
    ascending: Vec<T>,
    others: BTreeSet<T>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Distinct<T> {
        Distinct {
            ascending: Vec::new(),
            others: BTreeSet::new(),
        }
    }
}

impl<T: Ord> Distinct<T> {
    /// Adds `item`; returns false if it was added before.
    pub fn insert(&mut self, item: T) -> bool {
        if self.ascending.last().is_none_or(|last| *last < item) {
            if self.others.contains(&item) {
                return false;
            }
            self.ascending.push(item);
            return true;
        }
        self.ascending.binary_search(&item).is_err() && self.others.insert(item)
    }

    /// Returns true if `item` was added.
    pub fn contains(&self, item: &T) -> bool {
        self.ascending.binary_search(item).is_ok() || self.others.contains(item)
    }

    /// Returns the number of items.
    pub fn count(&self) -> usize {
        self.ascending.len() + self.others.len()
    }

    /// Removes `item`. Only an item that was added out of order, or the last one in order, can be removed.
    pub fn remove(&mut self, item: &T) {
        if self.ascending.last() == Some(item) {
            self.ascending.pop();
        }
        self.others.remove(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_knows_what_a_set_knows(items in proptest::collection::vec((0..40u8, any::<bool>()), 0..60)) {
            let (mut distinct, mut set) = (Distinct::default(), BTreeSet::new());
            for (item, goes) in items {
                prop_assert_eq!(distinct.insert(item), set.insert(item));
                if goes && !set.iter().any(|other| *other > item) {
                    distinct.remove(&item);
                    set.remove(&item);
                }
                prop_assert_eq!(distinct.count(), set.len());
                for item in 0..40 {
                    prop_assert_eq!(distinct.contains(&item), set.contains(&item));
                }
            }
        }
    }
}
