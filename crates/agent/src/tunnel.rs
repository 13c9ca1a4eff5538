//! The way to a workspace's IDE: bytes between the control plane and the one Unix socket in the container's own folder.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// Most tunnels at once. A browser has a handful of connections and a WebSocket for each terminal and notebook; the
/// control plane's own bound is lower.
pub const MAX_TUNNELS: usize = 128;
/// Longest time until the IDE accepts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A tunnel in which nothing moves for so long is given up: its other end may be long gone.
const IDLE: Duration = Duration::from_hours(1);
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelRefused {
    /// As many as there may be.
    #[error("{MAX_TUNNELS} tunnels are open already")]
    TooMany,
    /// The IDE does not run, or not yet.
    #[error("nothing listens at the workspace's socket: {0}")]
    NothingListens(#[source] io::Error),
}

/// Opens tunnels to one socket.
#[derive(Clone, Debug)]
pub struct Tunnels {
    socket: Arc<PathBuf>,
    permits: Arc<Semaphore>,
}

/// A connection to the IDE that gives its place back when it ends.
#[derive(Debug)]
pub struct Tunnel {
    ide: UnixStream,
    _permit: OwnedSemaphorePermit,
}

impl Tunnels {
    /// To the socket at this path, which need not be there yet.
    pub fn to(socket: PathBuf) -> Self {
        Self { socket: Arc::new(socket), permits: Arc::new(Semaphore::new(MAX_TUNNELS)) }
    }

    /// Connects to the IDE.
    pub async fn open(&self) -> Result<Tunnel, TunnelRefused> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| TunnelRefused::TooMany)?;
        let connecting = timeout(CONNECT_TIMEOUT, UnixStream::connect(&*self.socket)).await;
        let connected = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let ide = connected.map_err(TunnelRefused::NothingListens)?;
        Ok(Tunnel { ide, _permit: permit })
    }
}

impl Tunnel {
    /// Carries bytes both ways until both sides have said their last, one of them breaks off, or nothing moves.
    pub async fn carry(self, peer: impl AsyncRead + AsyncWrite) {
        carry(self.ide, peer, IDLE).await;
    }
}

async fn carry(ide: impl AsyncRead + AsyncWrite, peer: impl AsyncRead + AsyncWrite, still: Duration) {
    let moved = Moved { since: Instant::now(), at: AtomicU64::new(0) };
    let ((ide_reads, ide_writes), (peer_reads, peer_writes)) = (split(ide), split(peer));
    let outwards = one_way(ide_reads, peer_writes, &moved);
    let inwards = one_way(peer_reads, ide_writes, &moved);
    let both = async { tokio::try_join!(outwards, inwards) };
    // How it ended makes no difference: both connections are dropped.
    tokio::select! {
        _ = both => {}
        () = moved.not_for(still) => {}
    }
}

/// When something moved last, in milliseconds since the beginning.
struct Moved {
    since: Instant,
    at: AtomicU64,
}

impl Moved {
    fn note(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at.store(elapsed, Ordering::Relaxed);
    }

    async fn not_for(&self, still: Duration) {
        loop {
            let last = self.since + Duration::from_millis(self.at.load(Ordering::Relaxed));
            if last.elapsed() >= still {
                return;
            }
            sleep_until(last + still).await;
        }
    }
}

/// Until the end of `from`, which is passed on: the other direction may have more to say.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &Moved,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
        to.flush().await?;
        moved.note();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_side_that_has_said_its_last_still_hears_the_other() {
        let ((near, ide), (mut peer, far)) = (duplex(64), duplex(64));
        let carrying = tokio::spawn(carry(ide, far, IDLE));
        let answering = tokio::spawn(async move {
            let (mut from, mut to) = split(near);
            let mut asked = String::new();
            from.read_to_string(&mut asked).await.unwrap();
            to.write_all(format!("you said {asked}").as_bytes()).await.unwrap();
            to.shutdown().await.unwrap();
        });
        peer.write_all(b"hello").await.unwrap();
        peer.shutdown().await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "you said hello");
        answering.await.unwrap();
        timeout(Duration::from_secs(10), carrying).await.expect("its end").unwrap();
    }

    #[tokio::test]
    async fn a_tunnel_in_which_nothing_moves_is_given_up() {
        let ((_ide, near), (mut peer, far)) = (duplex(64), duplex(64));
        let carrying = tokio::spawn(carry(near, far, Duration::from_millis(50)));
        peer.write_all(b"the last that is heard").await.unwrap();
        timeout(Duration::from_secs(10), carrying).await.expect("its end").unwrap();
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    }
}
