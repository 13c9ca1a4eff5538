//! Minecraft's Server List Ping, to see that a server can be joined (wiki.vg, "Server List Ping").

use std::{
    io::{Read, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// No status is longer; one that says so is not a Minecraft server's.
const LONGEST_STATUS: u32 = 1 << 20;

/// Asks the server at `host:port` for its status.
pub fn ping(address: &str, timeout: Duration) -> Result<serde_json::Value> {
    let to: SocketAddr = address.to_socket_addrs()?.next().context("no such address")?;
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    stream.write_all(&request(host, to.port()))?;
    let _packet_length = read_varint(&mut stream)?;
    ensure!(read_varint(&mut stream)? == 0, "not a status");
    let length = read_varint(&mut stream)?;
    ensure!(length <= LONGEST_STATUS, "a status of {length} bytes");
    let mut status = vec![0; length as usize];
    stream.read_exact(&mut status)?;
    serde_json::from_slice(&status).context("the status is not JSON")
}

/// Handshake (any protocol version, next state 1) and status request.
fn request(host: &str, port: u16) -> Vec<u8> {
    let mut handshake = vec![0x00];
    write_varint(&mut handshake, u32::MAX);
    write_varint(&mut handshake, u32::try_from(host.len()).unwrap_or_default());
    handshake.extend(host.as_bytes());
    handshake.extend(port.to_be_bytes());
    handshake.push(1);
    let mut bytes = Vec::new();
    write_varint(&mut bytes, u32::try_from(handshake.len()).unwrap_or_default());
    bytes.extend(handshake);
    bytes.extend([1, 0x00]);
    bytes
}

fn write_varint(to: &mut Vec<u8>, mut value: u32) {
    loop {
        let seven = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return to.push(seven);
        }
        to.push(seven | 0x80);
    }
}

fn read_varint(from: &mut impl Read) -> Result<u32> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        value |= u32::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    anyhow::bail!("a number longer than five bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_written() {
        for value in [0, 1, 127, 128, 25_565, 2_097_151, u32::MAX] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(read_varint(&mut bytes.as_slice()).unwrap(), value);
        }
        assert!(read_varint(&mut [0xff; 6].as_slice()).is_err());
    }
}
