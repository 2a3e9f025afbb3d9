//! The connections that wait for a request: if there are too many of all, the one that waits the longest makes room.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// The connections that wait, the one that waits the longest first.
#[derive(Default)]
pub struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// One connection: it waits for a request, or it works on one.
pub struct Standing {
    all: Arc<Waiting>,
    told: Arc<Notify>,
    /// Its number while it waits.
    place: Mutex<Option<u64>>,
}

impl Waiting {
    /// Adds a connection that waits.
    pub fn enter(self: &Arc<Waiting>) -> Arc<Standing> {
        let standing = Standing {
            all: self.clone(),
            told: Arc::new(Notify::new()),
            place: Mutex::new(None),
        };
        standing.wait();
        Arc::new(standing)
    }

    /// Tells the connection that waits the longest to end.
    pub fn end_oldest(&self) {
        let oldest = self.change(|queue| queue.waiting.pop_first());
        if let Some((_, told)) = oldest {
            told.notify_one();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Standing {
    /// Notes that a request came, as a whole: it is answered in any case.
    pub fn work(&self) {
        let place = self.place().take();
        if let Some(place) = place {
            self.all.change(|queue| queue.waiting.remove(&place));
        }
    }

    /// Notes that it waits, for the first request or for the next one.
    fn wait(&self) {
        let mut place = self.place();
        if place.is_none() {
            *place = Some(self.all.change(|queue| {
                queue.next += 1;
                queue.waiting.insert(queue.next, self.told.clone());
                queue.next
            }));
        }
    }

    /// Returns true while it waits.
    pub fn is_waiting(&self) -> bool {
        self.place().is_some()
    }

    /// Waits until it is told to make room.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.work();
    }
}

/// The body of an answer, after which its connection waits again.
pub struct Answering {
    body: Body,
    standing: Arc<Standing>,
}

impl Answering {
    /// Returns a body that tells its connection of its end.
    pub fn new(body: Body, standing: Arc<Standing>) -> Answering {
        Answering { body, standing }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.standing.wait();
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_waits_the_longest_makes_room_and_one_at_work_never() {
        let all = Arc::new(Waiting::default());
        let [one, two, three] = [(); 3].map(|()| all.enter());
        one.work();
        drop(two);
        all.end_oldest();
        three.told().await;
        assert!(three.is_waiting() && !one.is_waiting());
        drop(Answering::new(Body::empty(), one.clone()));
        let four = all.enter();
        all.end_oldest();
        one.told().await;
        // A request that came in between is answered.
        one.work();
        assert!(!one.is_waiting());
        drop((one, three));
        all.end_oldest();
        four.told().await;
        drop(four);
        assert!(all.change(|queue| queue.waiting.is_empty()));
        all.end_oldest();
    }
}
