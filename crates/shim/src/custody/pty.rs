//! Pseudo-terminals (pty(7)).

use std::os::fd::OwnedFd;

use rustix::{
    io::{self, FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// Both ends of a new one: ours, and the program's.
pub(super) fn open(size: (u16, u16)) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    resize(&ours, size)?;
    let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    fcntl_setfd(&theirs, FdFlags::CLOEXEC)?;
    Ok((ours, theirs))
}

/// Tells the program its terminal's size, columns and rows.
pub(super) fn resize(terminal: &OwnedFd, (columns, rows): (u16, u16)) -> io::Result<()> {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}
