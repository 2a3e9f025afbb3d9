//! The waiting time for a store: the pauses between the attempts of one request, and those that a store requests by
//! `Retry-After`.
//!
//! object_store decides which requests are retried, and how often; its own pauses are short ([`FIRST_PAUSE`]). The rest
//! of a pause passes here, before the next attempt, so that the last failure is reported at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse};

use super::{fault::RequestFault, text::cause_of};
use crate::store::{
    network::{MOST_FIRST_ATTEMPTS, pause_after},
    options::Transfer,
    rest::asked_rest,
};

/// The longest `Retry-After` that is obeyed: a longer one exceeds a single run.
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// The most requests whose failures are remembered; each is forgotten when it succeeds or is given up.
const MOST_REMEMBERED: usize = 10_000;

/// The failures of a client's requests.
#[derive(Debug, Clone)]
pub struct Patience(Arc<State>);

#[derive(Debug)]
struct State {
    attempts: u32,
    timeout: Duration,
    hashes: RandomState,
    failed: Mutex<HashMap<u64, Failed>>,
    is_reached: AtomicBool,
    unanswered: AtomicU32,
}

/// A request that failed, so far.
#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    due: Instant,
}

/// The identity of a request, independent of its signature.
#[derive(Debug, Clone, Copy)]
pub struct RequestId(u64);

impl Patience {
    /// Takes the waiting times from the options of a store.
    pub fn new(transfer: &Transfer) -> Patience {
        Patience(Arc::new(State {
            attempts: transfer.retry_attempts,
            timeout: transfer.timeout,
            hashes: RandomState::new(),
            failed: Mutex::default(),
            is_reached: AtomicBool::new(false),
            unanswered: AtomicU32::new(0),
        }))
    }

    /// Waits until a request may be sent: at once, unless it failed before.
    pub async fn before(&self, request: &HttpRequest) -> RequestId {
        let (uri, range) = (request.uri(), request.headers().get("range"));
        let which = (self.0.hashes).hash_one((request.method(), uri, range));
        let due = self.with_failed(|failed| failed.get(&which).map(|failed| failed.due));
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
        RequestId(which)
    }

    /// Records the result of a request. Returns its error, marked if it is the last one.
    pub fn after(
        &self,
        which: RequestId,
        result: Result<HttpResponse, HttpError>,
    ) -> Result<HttpResponse, HttpError> {
        match result {
            Ok(answer) => {
                self.0.is_reached.store(true, Ordering::Relaxed);
                match answer.status().as_u16() {
                    408 | 409 | 429 | 500.. => {
                        self.has_failed(which, rest(&answer));
                    }
                    _ => self.forget(which),
                }
                Ok(answer)
            }
            Err(error) if !may_pass(error.kind()) => {
                self.forget(which);
                Err(error)
            }
            Err(error) => {
                let is_reached = self.0.is_reached.load(Ordering::Relaxed);
                let most = self.0.attempts.min(MOST_FIRST_ATTEMPTS);
                if !is_reached && self.0.unanswered.fetch_add(1, Ordering::Relaxed) >= most {
                    return Err(self.last(&error, true));
                }
                let times = self.has_failed(which, Duration::ZERO);
                Err(match times > self.0.attempts {
                    true => self.last(&error, false),
                    false => error,
                })
            }
        }
    }

    /// Counts a failure, after which the next attempt waits; returns how many there were.
    fn has_failed(&self, which: RequestId, rest: Duration) -> u32 {
        self.with_failed(|failed| {
            let times = failed.get(&which.0).map_or(0, |failed| failed.times) + 1;
            if times > self.0.attempts {
                failed.remove(&which.0);
                return times;
            }
            if failed.len() >= MOST_REMEMBERED {
                failed.clear();
            }
            let due = Instant::now() + pause_after(times - 1).max(rest);
            failed.insert(which.0, Failed { times, due });
            times
        })
    }

    fn forget(&self, which: RequestId) {
        self.with_failed(|failed| failed.remove(&which.0));
    }

    fn with_failed<T>(&self, work: impl FnOnce(&mut HashMap<u64, Failed>) -> T) -> T {
        let failed = self.0.failed.lock();
        work(&mut failed.unwrap_or_else(PoisonError::into_inner))
    }

    /// Turns an error into the last one, which is not retried. `is_final` if another request would end the same way.
    fn last(&self, error: &HttpError, is_final: bool) -> HttpError {
        let fault = RequestFault::of(error).cloned();
        let mut fault = fault.unwrap_or_else(|| match error.kind() {
            HttpErrorKind::Timeout => RequestFault::passing(
                format!("no answer within {:?}", self.0.timeout),
                "look at `endpoint` and at the network; raise `timeout`, or take a smaller `chunk_size`",
            ),
            _ => RequestFault::passing(
                format!("the connection broke: {}", cause_of(error)),
                "look at the network, and try again",
            ),
        });
        fault.is_final |= is_final;
        fault.is_spent = true;
        HttpError::new(HttpErrorKind::Unknown, fault)
    }
}

/// Returns true for the kinds of errors that object_store or hookshot retries.
fn may_pass(kind: HttpErrorKind) -> bool {
    matches!(
        kind,
        HttpErrorKind::Connect
            | HttpErrorKind::Request
            | HttpErrorKind::Timeout
            | HttpErrorKind::Interrupted
    )
}

/// Returns the pause that a store requests, if it is too busy.
fn rest(answer: &HttpResponse) -> Duration {
    let rest = match answer.status().as_u16() {
        429 | 503 => asked_rest(|name| answer.headers().get(name)?.to_str().ok()),
        _ => None,
    };
    rest.unwrap_or_default().min(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::HttpResponseBody;

    #[test]
    fn what_a_store_asks_for_is_read_in_both_forms_and_has_an_end() {
        let rest_at = |status: u16, told: &str, now: Option<&str>| {
            let mut answer = HttpResponse::new(HttpResponseBody::from(String::new()));
            *answer.status_mut() = status.try_into().expect("a status");
            let told = told.parse().expect("a header's value");
            answer.headers_mut().insert("retry-after", told);
            if let Some(now) = now {
                let now = now.parse().expect("a header's value");
                answer.headers_mut().insert("date", now);
            }
            rest(&answer).as_secs()
        };
        let rest_of =
            |status: u16, told: &str| rest_at(status, told, Some("Sun, 06 Nov 1994 08:49:30 GMT"));
        for (told, seconds) in [
            ("3", 3),
            (" 3 ", 3),
            ("0", 0),
            ("3600", 60),
            ("18446744073709551615", 60),
            ("99999999999999999999", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
            ("Sun, 06 Nov 1994 08:49:07 GMT", 0),
            ("Sat, 06 Nov 2094 08:49:37 GMT", 60),
            ("soon", 0),
            ("-1", 0),
            ("", 0),
        ] {
            assert_eq!(rest_of(503, told), seconds, "{told}");
            assert_eq!(rest_of(429, told), seconds, "{told}");
        }
        assert_eq!(rest_of(500, "3"), 0);
        assert_eq!(rest_at(503, "3", None), 3);
        assert_eq!(rest_at(503, "Sun, 06 Nov 1994 08:49:37 GMT", None), 0);
    }

    #[test]
    fn a_store_that_is_away_for_a_minute_is_waited_for() {
        let transfer = Transfer::default();
        let all: Duration = (0..transfer.retry_attempts).map(pause_after).sum();
        assert!(all >= Duration::from_secs(75), "{all:?}");
        assert!(all <= Duration::from_secs(180), "{all:?}");
    }
}
