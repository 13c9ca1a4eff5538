//! The connection to a shim, and the task that keeps it for as long as the shim lives.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use shim::protocol::{Ask, Run, Tell};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{exit::Exit, host::Host};

/// Longest message of a shim, in bytes.
const LIMIT: usize = 64 * 1024;
/// Longest that a shim may take to read; it waits for nothing itself.
const WRITE: Duration = Duration::from_secs(5);
/// Pause between two readings of output that does not stop: a line is seen at once, and a flood costs little.
const REST: Duration = Duration::from_millis(10);
/// Pause after a shim could not be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// Something for the shim.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    /// For an input: whether it was taken.
    pub(super) answer: Option<oneshot::Sender<bool>>,
}

/// A shim that was reached.
#[derive(Debug)]
pub struct Connection {
    /// What it runs.
    pub run: Run,
    next: u64,
    hear: Ear,
    tell: OwnedWriteHalf,
}

/// Reads messages; a wait may be given up at any time.
#[derive(Debug)]
struct Ear {
    stream: OwnedReadHalf,
    heard: Vec<u8>,
}

impl Connection {
    /// Takes the shim's first message.
    pub(super) async fn greet(stream: UnixStream) -> io::Result<Self> {
        let (stream, tell) = stream.into_split();
        let mut hear = Ear { stream, heard: Vec::new() };
        match hear.next().await? {
            Tell::Hello { run, next } => Ok(Self { run, next, hear, tell }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) async fn ask(&mut self, ask: &Ask) -> io::Result<()> {
        let mut message = serde_json::to_vec(ask)?;
        message.push(b'\n');
        timeout(WRITE, self.tell.write_all(&message)).await?
    }

    pub(super) async fn until_closed(mut self) {
        while self.hear.next().await.is_ok() {}
    }
}

impl Ear {
    async fn next(&mut self) -> io::Result<Tell> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let message = serde_json::from_slice(&self.heard[..end])?;
                self.heard.drain(..=end);
                return Ok(message);
            }
            if self.heard.len() > LIMIT {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.stream.read_buf(&mut self.heard).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Passes on what is asked and what is told until the shim is gone; then tells how the run ended.
pub(super) async fn serve(
    host: Arc<Host>,
    run: Run,
    mut connection: Option<Connection>,
    mut requests: mpsc::Receiver<Request>,
    tell: oneshot::Sender<Exit>,
) {
    while let Some(current) = connection.take() {
        let Err(error) = talk(&host, current, &mut requests).await;
        debug!(%error, "the connection to the shim ended: {error}");
        connection = loop {
            match host.reach().await {
                // Another run's is not ours.
                Ok(again) => break again.filter(|again| again.run.started_ms == run.started_ms),
                Err(error) => {
                    warn!(%error, "the shim cannot be reached ({error}); it is tried again in {PAUSE:?}");
                    sleep(PAUSE).await;
                }
            }
        };
    }
    // From here on nothing is taken any more; those who wait for an answer are told so.
    drop(requests);
    // Nobody listens when the agent ends.
    let _ = tell.send(host.end_of(&run).await);
}

async fn talk(
    host: &Host,
    mut connection: Connection,
    requests: &mut mpsc::Receiver<Request>,
) -> io::Result<std::convert::Infallible> {
    let mut waiting = VecDeque::new();
    let (mut next, mut rested) = (Some(connection.next), Instant::now());
    loop {
        tokio::select! {
            told = connection.hear.next() => match told? {
                Tell::Next(number) => next = Some(number),
                Tell::Taken(taken) => {
                    let answer: Option<oneshot::Sender<bool>> = waiting.pop_front();
                    // The caller may have gone away.
                    let _ = answer.map(|answer| answer.send(taken));
                }
                Tell::Hello { .. } => {}
            },
            Some(request) = requests.recv() => {
                connection.ask(&request.ask).await?;
                waiting.extend(request.answer);
            }
            () = sleep_until(rested), if next.is_some() => {
                if let Some(next) = next.take() {
                    host.output.advance(next).await;
                    rested = Instant::now() + REST;
                }
            }
        }
    }
}
