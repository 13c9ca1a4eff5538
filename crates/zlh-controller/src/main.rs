//! `zlh-controller`: compares what should be with what is.

use std::process::ExitCode;

use runtime::daemon::{self, About};
use zlh_controller::{commands, serve::serve};

fn main() -> ExitCode {
    let about = About {
        name: "zlh-controller",
        summary: "Compares what should be with what is, says what differs, and has Level 1 repaired where an operator allows it.",
        version: env!("CARGO_PKG_VERSION"),
    };
    daemon::run_with_commands(about, serve, commands::run)
}
