//! Loopback ports of our own, chosen once and kept while they can be.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// Whether nobody listens on this loopback port.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A free port that the system chooses.
pub fn any() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// `wanted` if it is free, else another one.
pub fn prefer(wanted: u16) -> Result<u16> {
    if wanted != 0 && is_free(wanted) { Ok(wanted) } else { any() }
}

/// The first of `count` free ports in a row, from `wanted` upwards.
pub fn range(wanted: u16, count: u16) -> Result<u16> {
    (wanted..u16::MAX - count)
        .step_by(usize::from(count))
        .find(|first| (*first..first + count).all(is_free))
        .with_context(|| format!("no {count} free loopback ports in a row"))
}

/// A row of free ports that nobody else who reserves can get, as long as this lives: its first port is held open.
#[derive(Debug)]
pub struct Reserved {
    first: u16,
    _held: TcpListener,
}

impl Reserved {
    /// Takes a row of `count` within `from..to`.
    pub fn take(from: u16, to: u16, count: u16) -> Result<Self> {
        (from..=to - count)
            .step_by(usize::from(count))
            .find_map(|first| {
                let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
                (first + 1..first + count).all(is_free).then_some(Self { first, _held: held })
            })
            .with_context(|| format!("no {count} free loopback ports in a row"))
    }

    /// The `n`th usable port, from 1.
    pub fn port(&self, n: u16) -> u16 {
        self.first + n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_chosen() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert_ne!(prefer(port).unwrap(), port);
        assert!(!(range(port, 1).unwrap()..=port).contains(&port));
    }

    #[test]
    fn a_reserved_row_is_nobody_elses() {
        let one = Reserved::take(9_800, 9_900, 10).unwrap();
        let two = Reserved::take(9_800, 9_900, 10).unwrap();
        assert!(two.port(1) >= one.port(1) + 10);
        assert!(is_free(one.port(1)));
    }
}
