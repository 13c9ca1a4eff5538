//! Luanti (Minetest) handshake over UDP; packet format: `src/network/mtp/internal.h` and `doc/protocol.txt` of Luanti.

use super::{NotReady, udp};

/// Protocol id, peer id 0 (none yet), channel 0, packet type ORIGINAL, no content.
const HELLO: [u8; 8] = [0x4f, 0x45, 0x74, 0x03, 0, 0, 0, 1];

/// Says hello and expects to be given a peer id.
pub(super) async fn ask(port: u16) -> Result<(), NotReady> {
    let (socket, answer) = udp::exchange(port, &HELLO).await?;
    let peer = given_peer_id(&answer).ok_or(NotReady::Foreign("no SET_PEER_ID"))?;
    socket.send(&goodbye(peer)).await?;
    Ok(())
}

/// The peer id of a SET_PEER_ID packet: protocol id, sender, channel, reliable (3), sequence number,
/// control (0), SET_PEER_ID (1), id.
pub fn given_peer_id(answer: &[u8]) -> Option<[u8; 2]> {
    match answer {
        [0x4f, 0x45, 0x74, 0x03, _, _, _, 3, _, _, 0, 1, high, low, ..] => Some([*high, *low]),
        _ => None,
    }
}

/// Control (0), DISCO (3): otherwise the server keeps the peer until its timeout.
fn goodbye([high, low]: [u8; 2]) -> [u8; 9] {
    [0x4f, 0x45, 0x74, 0x03, high, low, 0, 0, 3]
}
