//! Readiness: asks a game, in its own protocol, whether it serves players.

pub mod luanti;
pub mod minecraft;
pub mod players;
pub mod teeworlds;
mod udp;

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use domain::agent::{Probe, limits::probe_pattern};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::process::console::Console;

/// Longest single try; a try that fails sooner is repeated sooner.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between tries. Short, because half of it is added to every start; a refused connection costs microseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a try did not find the game ready. Only for logs and tests: the next try follows.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody answers.
    #[error("no answer")]
    Silent(#[from] io::Error),
    /// Somebody answers, but not as this game does.
    #[error("an answer of another protocol: {0}")]
    Foreign(&'static str),
}

/// A probe that misses nothing from its making on.
#[derive(Debug)]
pub enum Watch {
    /// Asks over the network.
    Ask(Probe),
    /// Waits for a line; never told if the pattern is not one.
    Log(Option<oneshot::Receiver<()>>),
}

impl Watch {
    /// Of what `console` gets from now on, and has of the run under way.
    pub fn new(probe: &Probe, console: &Console) -> Self {
        match probe {
            Probe::Log { pattern } => {
                Self::Log(probe_pattern(pattern).ok().map(|pattern| console.watch(pattern)))
            }
            _ => Self::Ask(probe.clone()),
        }
    }

    /// Returns once the game is ready; never, if it never is. The caller has the deadline and notices an exit.
    pub async fn until_ready(self) {
        match self {
            Self::Ask(probe) => {
                while !matches!(timeout(TRY_TIMEOUT, once(&probe)).await, Ok(Ok(()))) {
                    sleep(PAUSE).await;
                }
            }
            Self::Log(seen) => {
                if let Some(seen) = seen
                    && seen.await.is_ok()
                {
                    return;
                }
                pending::<()>().await;
            }
        }
    }
}

/// One try of a probe that asks over the network.
pub async fn once(probe: &Probe) -> Result<(), NotReady> {
    match probe {
        Probe::MinecraftPing { port } => minecraft::ping(*port).await.map(drop),
        Probe::Luanti { port } => luanti::ask(*port).await,
        Probe::Teeworlds { port } => teeworlds::ask(*port).await,
        Probe::Tcp { port } => Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.map(drop)?),
        Probe::Log { .. } => Err(NotReady::Foreign("output is watched, not asked")),
    }
}

/// The probe's port, if another program has it: it would answer in the game's place.
pub fn taken_port(probe: &Probe) -> Option<u16> {
    let (port, taken) = match probe {
        Probe::MinecraftPing { port } | Probe::Tcp { port } => (*port, TcpListener::bind(local(*port)).err()),
        Probe::Luanti { port } | Probe::Teeworlds { port } => (*port, UdpSocket::bind(local(*port)).err()),
        Probe::Log { .. } => return None,
    };
    taken.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse).then_some(port)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
