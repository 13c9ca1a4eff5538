//! Port ranges on loopback that no other test of this machine uses at the same time.

use std::{fs::File, net::TcpListener, ops::RangeInclusive};

use rustix::fs::{FlockOperation, flock};

/// Ports per range: enough for a handful of instances.
const SIZE: u16 = 16;

/// Ranges lie below the ports that Linux gives to outgoing connections (32768 and up).
const SPACE: RangeInclusive<u16> = 12_000..=31_900;

/// A range of free ports, ours until dropped.
#[derive(Debug)]
pub struct PortRange {
    first: u16,
    _lock: File,
}

impl PortRange {
    /// Takes the first range that nobody has and whose ports are free.
    pub fn take() -> Self {
        let start = u16::try_from(std::process::id() % 1_200).unwrap_or(0) * SIZE;
        let bases = (0..1_200).map(|n: u16| SPACE.start() + (start + n * SIZE) % (1_200 * SIZE));
        for first in bases {
            let path = std::env::temp_dir().join(format!("zlh-test-ports-{first}.lock"));
            let Ok(lock) = File::create(path) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            if (first..first + SIZE).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
                return Self { first, _lock: lock };
            }
        }
        panic!("there is no free range of {SIZE} ports in {SPACE:?}");
    }

    /// Both ends included.
    pub fn range(&self) -> RangeInclusive<u16> {
        self.first..=self.first + SIZE - 1
    }
}
