//! How a process ended, in words for a customer.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

/// The end of a process.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Code or signal.
    pub status: ExitStatus,
    /// How long it ran.
    pub after: Duration,
}

impl Exit {
    /// For example "exit code 1 after 0.4 s".
    pub fn describe(&self) -> String {
        format!("{} after {}", describe_status(self.status), describe_time(self.after))
    }
}

/// For example "exit code 1" or "signal 11 (SIGSEGV, a fault in the program)".
pub fn describe_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(127), _) => "exit code 127, the program was not found".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}{}", signal_hint(signal)),
        (None, None) => "unknown status".to_owned(),
    }
}

fn signal_hint(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL, the program does not fit this processor)",
        6 => " (SIGABRT, the program gave up)",
        9 => " (SIGKILL, often because it needed more memory than it may use)",
        11 => " (SIGSEGV, a fault in the program)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

fn describe_time(time: Duration) -> String {
    match time.as_secs() {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        10..=119 => format!("{} s", time.as_secs()),
        seconds => format!("{} min", seconds / 60),
    }
}
