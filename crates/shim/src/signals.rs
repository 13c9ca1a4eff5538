//! Signals as something to be polled, for processes without a runtime.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
};

use signal_hook::low_level::pipe;

/// A stream with a byte for each of these signals from now on.
pub fn listen(numbers: &[i32]) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    for number in numbers {
        pipe::register(*number, theirs.try_clone()?)?;
    }
    Ok(ours)
}

/// Reads all there is. Whether there was anything.
pub fn empty(stream: &mut UnixStream) -> io::Result<bool> {
    let mut some = false;
    loop {
        match stream.read(&mut [0; 64]) {
            Ok(0) => return Ok(some),
            Ok(_) => some = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(some),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
