//! One datagram there, one back.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{net::UdpSocket, time::timeout};

/// How long an answer on the same machine may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// Largest answer looked at, in bytes.
const MAX_ANSWER: usize = 2_048;

/// Sends `request` to a loopback port and gives the first answer with the socket it came to.
pub(super) async fn exchange(port: u16, request: &[u8]) -> io::Result<(UdpSocket, Vec<u8>)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // Connected, so that only the game's answers arrive, and a closed port is an error at once.
    socket.connect((Ipv4Addr::LOCALHOST, port)).await?;
    socket.send(request).await?;
    let mut answer = vec![0; MAX_ANSWER];
    let length = timeout(ANSWER_TIMEOUT, socket.recv(&mut answer)).await??;
    answer.truncate(length);
    Ok((socket, answer))
}
