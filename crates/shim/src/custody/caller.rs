//! The agent's connection, as the shim sees it: never waited for, and dropped when it does not read or makes no sense.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use crate::protocol::{Ask, Tell};

/// Longest message of an agent, and most that may wait to be sent to it, in bytes.
const LIMIT: usize = 64 * 1024;

/// A connected agent.
pub(super) struct Caller {
    pub(super) stream: UnixStream,
    heard: Vec<u8>,
    unsent: Vec<u8>,
    /// The last number told.
    told: u64,
}

impl Caller {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, heard: Vec::new(), unsent: Vec::new(), told: 0 })
    }

    /// What it asks, as far as it is here. An error is the connection's end.
    pub(super) fn hear(&mut self) -> io::Result<Vec<Ask>> {
        let mut bytes = [0; 4 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.heard.extend_from_slice(&bytes[..length]),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        let mut asked = Vec::new();
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            asked.push(serde_json::from_slice(&self.heard[..end])?);
            self.heard.drain(..=end);
        }
        if self.heard.len() > LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(asked)
    }

    /// Tells something, now or when there is room.
    pub(super) fn tell(&mut self, tell: &Tell) -> io::Result<()> {
        serde_json::to_writer(&mut self.unsent, tell)?;
        self.unsent.push(b'\n');
        if self.unsent.len() > LIMIT {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.send()
    }

    /// Tells that there is output, unless it still has to read what it was told before.
    pub(super) fn tell_next(&mut self, next: u64) -> io::Result<()> {
        if self.told == next || self.has_unsent() {
            return Ok(());
        }
        self.told = next;
        self.tell(&Tell::Next(next))
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
