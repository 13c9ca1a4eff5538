//! A running process, as the service handles it: its number, and what can be asked of it.

use rustix::process::Signal;
use shim::protocol::Ask;
use tokio::sync::mpsc;
use tracing::warn;

use super::link::Request;

/// A started process. Dropping it does not stop it; its end is told through the channel that came with it.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    asks: mpsc::Sender<Request>,
}

impl Process {
    pub(super) fn new(pid: u32, asks: mpsc::Sender<Request>) -> Self {
        Self { pid, asks }
    }

    /// The process id, which is also its group and its session.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to stop: by a line for its input or, without one or if it does not read, by SIGTERM.
    pub fn stop(&self, line: Option<String>) {
        self.ask(Ask::Stop { line });
    }

    /// Sends a signal to the process and its children.
    pub fn signal(&self, signal: Signal) {
        self.ask(Ask::Signal(signal.as_raw()));
    }

    fn ask(&self, ask: Ask) {
        // Closed once it has ended, which is as good.
        if let Err(mpsc::error::TrySendError::Full(request)) =
            self.asks.try_send(Request { ask, answer: None })
        {
            warn!(?request, "the shim has not taken what was asked before; {:?} is dropped", request.ask);
        }
    }
}
