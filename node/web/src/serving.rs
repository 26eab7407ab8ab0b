//! Serving the pages within bounds: how many connections there are, how long they may say nothing.
//!
//! ```text
//!  accept ─▶ too many of this network? ─▶ crowded? ─▶ head of a request in time ─▶ router
//!               └─▶ closed                  └─▶ the oldest of who has most is closed
//! ```
//!
//! Before a request is there nobody has proved anything, so a connection costs its sender a place
//! among those of its own network and nobody else. The machine itself and the proxies that the
//! configuration names are not counted by network: behind them are many.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use cunlian_host::crowd::{Crowd, Place};
use cunlian_host::network::origin::{is_this_machine, network};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

use crate::limits::{CONNECTIONS, CONNECTIONS_PER_NETWORK, HEAD, HEAD_BYTES};
use crate::patience::Patient;
use crate::router;
use crate::state::WebState;

/// After an error of the listener, such as no file descriptor being left.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves the pages on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, state: WebState) -> io::Result<()> {
    let crowd = Arc::new(Crowd::new(CONNECTIONS));
    let pages = router(state.clone());
    // Connections end with the task that serves them.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a browser was not let in");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let from = network(address.ip());
        let stands_for_many = is_this_machine(from) || state.is_proxy(address.ip());
        if !stands_for_many && crowd.count_of(from) >= CONNECTIONS_PER_NETWORK {
            continue;
        }
        crowd.make_room();
        let place = Crowd::enter(&crowd, from);
        let number = place.number();
        let task = connections.spawn(connection(stream, address, pages.clone(), place));
        crowd.note(number, task);
    }
}

/// One connection from its first byte to its last.
async fn connection(stream: TcpStream, address: SocketAddr, pages: Router, place: Place) {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        let answered = pages.clone().call(request.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream)), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, %address, "a browser went away");
    }
    drop(place);
}
