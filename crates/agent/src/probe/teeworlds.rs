//! Teeworlds 0.7 token request over UDP; packet format: `src/engine/shared/network.h` of Teeworlds 0.7.

use super::{NotReady, udp};

/// Flags CONTROL, no acknowledgement, no chunks, token NONE.
const HEADER: [u8; 7] = [0x04, 0, 0, 0xff, 0xff, 0xff, 0xff];
/// `NET_CTRLMSG_TOKEN`.
const TOKEN: u8 = 5;
/// `NET_TOKENREQUEST_DATASIZE`: shorter requests are ignored, so that the answer amplifies nothing.
const REQUEST_BYTES: usize = 512;
/// Ours; any value but NONE.
const OUR_TOKEN: [u8; 4] = *b"zlh1";

/// Asks for a token and expects one.
pub(super) async fn ask(port: u16) -> Result<(), NotReady> {
    let (_, answer) = udp::exchange(port, &request()).await?;
    if gives_token(&answer) { Ok(()) } else { Err(NotReady::Foreign("no token")) }
}

fn request() -> Vec<u8> {
    let mut packet = HEADER.to_vec();
    packet.push(TOKEN);
    packet.extend(OUR_TOKEN);
    packet.resize(HEADER.len() + REQUEST_BYTES, 0);
    packet
}

/// Whether this is a control packet to our token that gives the server's.
pub fn gives_token(answer: &[u8]) -> bool {
    matches!(answer, [flags, _, _, a, b, c, d, TOKEN, _, _, _, _, ..]
        if flags >> 2 & 1 == 1 && [*a, *b, *c, *d] == OUR_TOKEN)
}
