//! Bounds the number of connections, and how long a peer may take nothing of what is sent to it. Games share the machine's
//! loopback, so anybody may connect: where places are short, the connection that has waited longest without showing a
//! token of ours gives way, and one that reads no more gives its place back.

use std::{
    collections::{BTreeMap, HashSet},
    future::{self, Future as _, Ready},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    time::{Sleep, sleep},
};
use tower::Layer as _;

/// A peer may take nothing for so long.
const STALL: Duration = Duration::from_mins(1);

/// Accepts while there is room, and makes room.
#[derive(Clone, Debug)]
pub struct LimitAcceptor {
    most: usize,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    newest: u64,
    open: HashSet<u64>,
    /// Those without a token so far, oldest first, and how they are told to end.
    unproven: BTreeMap<u64, oneshot::Sender<()>>,
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LimitAcceptor {
    /// At most `connections` at once.
    pub fn new(connections: usize) -> Self {
        Self { most: connections, table: Arc::default() }
    }

    /// A place, of whoever has been here longest without a token if there is no other.
    fn admit(&self) -> io::Result<(Place, oneshot::Receiver<()>)> {
        let mut table = lock(&self.table);
        if table.open.len() >= self.most {
            let (oldest, tell) =
                table.unproven.pop_first().ok_or_else(|| io::Error::other("too many connections"))?;
            table.open.remove(&oldest);
            // One that ends by itself in this moment does not listen.
            let _ = tell.send(());
        }
        table.newest += 1;
        let (id, (tell, evicted)) = (table.newest, oneshot::channel());
        table.open.insert(id);
        table.unproven.insert(id, tell);
        Ok((Place(Peer { id, table: Arc::clone(&self.table) }), evicted))
    }
}

/// The place of one connection; dropping it frees it. One that has been evicted is in the table no more.
#[derive(Debug)]
struct Place(Peer);

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.0.table);
        table.open.remove(&self.0.id);
        table.unproven.remove(&self.0.id);
    }
}

/// How a request says that its connection is the control plane's. In each request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    id: u64,
    table: Arc<Mutex<Table>>,
}

impl Peer {
    /// A token of ours was shown: from now on the connection does not give way.
    pub fn is_proven(&self) {
        lock(&self.table).unproven.remove(&self.id);
    }
}

impl<S> Accept<TcpStream, S> for LimitAcceptor {
    type Stream = Permitted;
    type Service = AddExtension<S, Peer>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        future::ready(self.admit().and_then(|(place, evicted)| {
            // An answer is to leave at once: with Nagle's algorithm each handshake waits for a delayed acknowledgement.
            stream.set_nodelay(true)?;
            let peer = place.0.clone();
            Ok((
                Permitted { stream, stalled: None, evicted: Some(evicted), _place: place },
                Extension(peer).layer(service),
            ))
        }))
    }
}

/// A connection that gives its place back when it ends, and ends when it has to give it to another.
#[derive(Debug)]
pub struct Permitted {
    stream: TcpStream,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Completes when it has to give way, or cannot any more.
    evicted: Option<oneshot::Receiver<()>>,
    _place: Place,
}

impl AsyncRead for Permitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(evicted) = &mut self.evicted
            && let Poll::Ready(told) = Pin::new(evicted).poll(cx)
        {
            self.evicted = None;
            if told.is_ok() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Permitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, buf) {
            self.stalled = None;
            return Poll::Ready(written);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_shown_no_token_gives_way_and_nobody_else() {
        let limit = LimitAcceptor::new(2);
        let (ours, _kept) = limit.admit().unwrap();
        ours.0.is_proven();
        let (stranger, mut told) = limit.admit().unwrap();
        let (next, _) = limit.admit().unwrap();
        assert!(told.try_recv().is_ok(), "the stranger gives way");
        // Its token comes too late, and its end frees no place a second time.
        stranger.0.is_proven();
        drop(stranger);
        next.0.is_proven();
        assert!(limit.admit().is_err(), "both places are proven");
        drop(ours);
        assert!(limit.admit().is_ok());
        assert_eq!(lock(&limit.table).open.len(), 1);
    }
}
