//! The listening socket: bounded connections, deadlines for slow senders, an orderly end.

use std::{
    future::{Ready, ready},
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, accept::Accept};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::connections::{ConnectionLimits, Connections, Place};

/// Longest time for a request's headers; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take nothing while there is something for it. Whatever is sent to it (an answer, events, a
/// file) waits for it meanwhile.
const STALLED: Duration = Duration::from_mins(1);

/// A socket that listens already.
pub struct Server {
    listener: TcpListener,
    handle: Handle<SocketAddr>,
    limits: ConnectionLimits,
    header_timeout: Duration,
}

impl Server {
    /// Listens. Port 0 takes a free one.
    pub fn bind(address: SocketAddr, limits: ConnectionLimits) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, handle: Handle::new(), limits, header_timeout: HEADER_TIMEOUT })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// For ending it: no new connections, and at most that long for open requests.
    pub fn stopper(&self) -> impl FnOnce(Duration) + Send + use<> {
        let handle = self.handle.clone();
        move |grace| handle.graceful_shutdown(Some(grace))
    }

    /// Serves until it was stopped and the open requests have ended.
    pub async fn serve(self, router: Router) -> io::Result<()> {
        let acceptor = Bounded(Connections::new(self.limits));
        let mut server = axum_server::from_tcp(self.listener)?
            .acceptor(acceptor)
            .first_request_timeout(self.header_timeout)
            .handle(self.handle);
        // HTTP/1 only: while the version is being found out no deadline runs, and on an idle HTTP/2 connection none at
        // all. The server's own `http1_only` cannot change protocols, which a WebSocket does.
        let http1 = server.http_builder().clone().http1_only();
        *server.http_builder() = http1;
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout);
        server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
    }
}

/// Accepts while there are places; one connection too many is closed before it costs anything.
#[derive(Clone)]
struct Bounded(Connections);

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Placed;
    type Service = S;
    type Future = Ready<io::Result<(Placed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().map(|peer| self.0.admit(peer.ip()));
        ready(place.and_then(|place| {
            let place = place.ok_or_else(|| io::Error::other("too many connections"))?;
            // Small answers and events are to leave at once.
            stream.set_nodelay(true)?;
            Ok((Placed { stream, stalled: None, head: Head::default(), place }, service))
        }))
    }
}

/// A connection that gives its place back when it ends. It ends when the other side takes nothing for too long, and when
/// it has to give way before its first request's head is there.
struct Placed {
    stream: TcpStream,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    head: Head,
    place: Place,
}

/// How far the first request's head has come: an empty line ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    /// Line ends in a row.
    ends: u8,
    is_there: bool,
}

impl Head {
    /// Looks at what was read. Whether the head is there.
    fn read(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' => self.ends += 1,
                b'\r' => {}
                _ => self.ends = 0,
            }
            if self.ends == 2 {
                self.is_there = true;
                break;
            }
        }
        self.is_there
    }
}

impl Placed {
    /// The outcome of a write, or an error when it has waited for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_there {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        if Pin::new(&mut self.place.evicted).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_ready() && self.head.read(&buf.filled()[before..]) {
            self.place.has_spoken();
        }
        outcome
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_stalled(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;
    use crate::http::TrustedProxies;

    fn limits(total: usize) -> ConnectionLimits {
        ConnectionLimits { total, per_address: total, proxies: TrustedProxies([].into()) }
    }

    #[test]
    fn a_head_ends_with_an_empty_line_however_it_comes() {
        let mut head = Head::default();
        assert!(!head.read(b"GET / HTTP/1.1\r\nHost: a\r\n") && !head.read(b"\r") && head.read(b"\n"));
    }

    #[tokio::test]
    async fn connections_that_say_nothing_keep_nobody_out() {
        let server = Server::bind(([127, 0, 0, 1], 0).into(), limits(4)).unwrap();
        let address = server.address().unwrap();
        let serving = tokio::spawn(server.serve(Router::new()));
        let mut silent = Vec::new();
        for begun in [&b""[..], b"GET / HT"].repeat(4) {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(begun).await.unwrap();
            silent.push(connection);
        }
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(20), client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        serving.abort();
    }

    #[tokio::test]
    async fn whoever_sends_no_request_loses_their_place() {
        let mut server = Server::bind(([127, 0, 0, 1], 0).into(), limits(8)).unwrap();
        server.header_timeout = Duration::from_millis(100);
        let address = server.address().unwrap();
        let serving = tokio::spawn(server.serve(Router::new()));
        let beginnings: [&[u8]; 4] =
            [b"", b"GET / HT", b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"];
        for sent in beginnings {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(sent).await.unwrap();
            let ended = timeout(Duration::from_secs(20), connection.read_to_end(&mut Vec::new())).await;
            assert!(ended.is_ok(), "still open after {sent:?}");
        }
        serving.abort();
    }
}
