//! Minecraft Server List Ping (since 1.7), as minecraft.wiki, "Java Edition protocol/Server List Ping" has it.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::NotReady;

/// Largest answer read, in bytes: a JSON text of at most 32,767 UTF-16 units, and some.
const MAX_ANSWER: usize = 256 * 1024;
/// "Whatever you speak": a ping need not name a version.
const ANY_VERSION: i32 = -1;
/// A varint has at most this many bytes.
const VARINT_BYTES: usize = 5;

/// Handshake for status, request, and the JSON of the answer, which names a version.
pub(super) async fn ping(port: u16) -> Result<serde_json::Value, NotReady> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(&request(port)).await?;
    let length = read_length(&mut stream).await?;
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    status_answer(&packet).ok_or(NotReady::Foreign("no status"))
}

/// Handshake (next state 1) and status request.
pub fn request(port: u16) -> Vec<u8> {
    let host = b"localhost";
    let mut handshake = vec![0];
    put_varint(&mut handshake, ANY_VERSION);
    handshake.push(u8::try_from(host.len()).unwrap_or_default());
    handshake.extend(host);
    handshake.extend(port.to_be_bytes());
    handshake.push(1);
    let mut bytes = Vec::new();
    put_varint(&mut bytes, i32::try_from(handshake.len()).unwrap_or_default());
    bytes.extend(handshake);
    bytes.extend([1, 0]);
    bytes
}

async fn read_length(stream: &mut TcpStream) -> Result<usize, NotReady> {
    let mut bytes = Vec::with_capacity(VARINT_BYTES);
    while bytes.len() < VARINT_BYTES {
        bytes.push(stream.read_u8().await?);
        if let Some((value, _)) = varint(&bytes) {
            let length = usize::try_from(value).ok().filter(|length| (1..=MAX_ANSWER).contains(length));
            return length.ok_or(NotReady::Foreign("length"));
        }
    }
    Err(NotReady::Foreign("length"))
}

/// The JSON of a status response (packet 0), if it is one: an object with a `version`.
pub fn status_answer(packet: &[u8]) -> Option<serde_json::Value> {
    let (0, rest) = varint(packet)? else { return None };
    let (length, text) = varint(rest)?;
    let text = text.get(..usize::try_from(length).ok()?)?;
    let status: serde_json::Value = serde_json::from_slice(text).ok()?;
    status.get("version").is_some_and(serde_json::Value::is_object).then_some(status)
}

/// Reads a varint: seven bits a byte, lowest first, 32 bits in all. Gives the value and what follows.
pub fn varint(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().take(VARINT_BYTES).enumerate() {
        value |= u32::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value.cast_signed(), &bytes[index + 1..]));
        }
    }
    None
}

/// Writes a varint.
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    let mut rest = value.cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}
