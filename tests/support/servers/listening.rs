//! A free port on 127.0.0.1 with a thread for each connection, of which nothing is left when it is dropped.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::http::patient;

/// A port on 127.0.0.1, each of its connections served by a thread; all of them end when it is dropped.
pub struct Listening {
    address: SocketAddr,
    open: Arc<Open>,
    acceptor: Option<JoinHandle<()>>,
}

/// The connections of a port, and whether it is still there.
#[derive(Default)]
pub struct Open {
    state: Mutex<OpenState>,
    closing: Condvar,
}

#[derive(Default)]
struct OpenState {
    closed: bool,
    streams: Vec<(u64, TcpStream)>,
}

impl Open {
    /// Waits for that long, or less when the server is dropped; says whether the server is still there.
    pub fn rest(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = locked(&self.state);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return !state.closed;
            }
            let woken = self.closing.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the stream closed with the server; `None` if that is gone already.
    pub fn keep(&self, stream: &TcpStream) -> Option<u64> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut state = locked(&self.state);
        if state.closed {
            return None;
        }
        state.streams.push((number, stream.try_clone().ok()?));
        Some(number)
    }

    pub fn forget(&self, number: u64) {
        locked(&self.state)
            .streams
            .retain(|(kept, _)| *kept != number);
    }
}

impl Listening {
    pub fn start(
        serve: impl Fn(&TcpStream, &Open) -> io::Result<()> + Send + Sync + 'static,
    ) -> Listening {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::new(Open::default());
        let shared = Arc::clone(&open);
        let acceptor = thread::spawn(move || {
            thread::scope(|scope| {
                for stream in listener.incoming() {
                    let Ok(stream) = stream else { continue };
                    let Some(number) = shared.keep(&stream) else {
                        return;
                    };
                    let (serve, shared) = (&serve, &shared);
                    scope.spawn(move || {
                        // A client that goes away is a client's right; what was asked for is in the records.
                        drop(patient(&stream).and_then(|()| serve(&stream, shared)));
                        shared.forget(number);
                    });
                }
            });
        });
        Listening {
            address,
            open,
            acceptor: Some(acceptor),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        {
            let mut state = locked(&self.open.state);
            state.closed = true;
            for (_, stream) in &state.streams {
                // One that the client has closed is not connected any more.
                drop(stream.shutdown(Shutdown::Both));
            }
        }
        self.open.closing.notify_all();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

/// Locks what a failed test may have left poisoned.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
