//! The connections: HTTP/1.1 over TCP, with TLS or without, as many as memory allows. Idle ones make room for new ones.

use std::{convert::Infallible, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};
use tower::ServiceExt as _;

use super::{
    patient::Patient,
    standing::{Answering, Standing, Waiting},
};

/// The connections at once; further ones wait, if none of these waits for a request.
const MOST_CONNECTIONS: usize = 512;
/// The time for the headers of a request, and between two requests.
const LONGEST_HEADERS: Duration = Duration::from_secs(15);
/// The time for which a client may take nothing of an answer.
const LONGEST_WRITE: Duration = Duration::from_secs(30);
/// The time for the handshake of TLS.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate with its key.
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads them from files in PEM.
    pub fn read(certificate: &Path, key: &Path) -> Result<Tls> {
        let reading =
            |path: &Path| format!("cannot read the certificate or key {}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain: Vec<_> = chain
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| reading(certificate))?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| reading(key))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .with_context(|| reading(certificate))?;
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Takes the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}"))
}

/// Answers connections, each on its own.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, router: Router) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let waiting = Arc::new(Waiting::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // Without files for connections, those that are there have to end first.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if permits.available_permits() == 0 {
            waiting.end_oldest();
        }
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let standing = waiting.enter();
        let tls = tls.as_ref().map(|tls| tls.0.clone());
        let router = router.clone();
        tokio::spawn(async move {
            let _permit = permit;
            answer((stream, peer), tls, router, standing).await;
        });
    }
}

async fn answer(
    (stream, peer): (TcpStream, SocketAddr),
    tls: Option<TlsAcceptor>,
    router: Router,
    standing: Arc<Standing>,
) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, LONGEST_WRITE);
    let Some(tls) = tls else {
        return converse(stream, peer, router, standing).await;
    };
    tokio::select! {
        shaken = timeout(LONGEST_HANDSHAKE, tls.accept(stream)) => {
            if let Ok(Ok(stream)) = shaken {
                converse(stream, peer, router, standing).await;
            }
        }
        () = standing.told() => {}
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    standing: Arc<Standing>,
) {
    let own = standing.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(own.clone());
        let (router, own) = (router.clone(), own.clone());
        async move {
            let response = router.oneshot(request).await;
            let response = response.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(response.map(|body| Answering::new(body, own)))
        }
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEADERS);
    // A client that goes away is not an error of ours.
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = &mut connection => return,
        () = standing.told() => {}
    }
    // A request that came in between is answered, and is the last one.
    if !standing.is_waiting() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
