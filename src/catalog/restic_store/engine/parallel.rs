//! Many small requests at a time: a store far away answers each of them after a while.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
};

use anyhow::Result;

/// The most requests at a time.
const REQUESTS: usize = 8;

/// Does `work` on each item, several at a time, and passes the results to `take` in any order, until that fails.
pub fn each<T: Copy + Sync + Send, R: Send>(
    items: &[T],
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(T, R) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let next_item = || items.get(next.fetch_add(1, Ordering::Relaxed)).copied();
    let (next_item, work) = (&next_item, &work);
    thread::scope(|scope| {
        // A result that is not taken holds up its thread, so results do not pile up.
        let (sender, results) = sync_channel(0);
        let start = || {
            let sender = sender.clone();
            let worker = move || {
                while let Some(item) = next_item() {
                    if sender.send((item, work(item))).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().spawn_scoped(scope, worker).is_ok()
        };
        let threads = match items.len() {
            0 | 1 => 0,
            count => count.min(REQUESTS),
        };
        // If the system refuses further threads, those that were started do all of it, or this one does.
        let started = (0..threads).take_while(|_| start()).count();
        drop(sender);
        if started == 0 {
            while let Some(item) = next_item() {
                take(item, work(item))?;
            }
        }
        for (item, result) in results {
            take(item, result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn each_item_is_done_once_and_several_at_a_time() {
        // Each waits for seven others.
        let barrier = Barrier::new(REQUESTS);
        let items: Vec<usize> = (0..5 * REQUESTS).collect();
        let mut sum = 0;
        let work = |item| {
            barrier.wait();
            item
        };
        each(&items, work, |item, result| {
            assert_eq!(item, result);
            sum += result;
            Ok(())
        })
        .expect("done");
        assert_eq!(sum, items.iter().sum::<usize>());
    }

    #[test]
    fn a_failure_ends_the_work() {
        let done = AtomicUsize::new(0);
        let items: Vec<usize> = (0..1000).collect();
        let work = |_| done.fetch_add(1, Ordering::Relaxed);
        each(&items, work, |_, _| anyhow::bail!("it failed")).expect_err("it failed");
        assert!(done.into_inner() <= 2 * REQUESTS);
        each(&[], |item: u8| item, |_, _| anyhow::bail!("called")).expect("nothing to do");
        each(&[1], |item| item, |_, _| Ok(())).expect("done");
    }
}
