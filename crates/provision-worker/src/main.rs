//! `zpack-provision-worker`: durable create, delete, backup and restore.

use std::process::ExitCode;

use provision_worker::{commands, serve::serve};
use runtime::daemon::{self, About};

fn main() -> ExitCode {
    let about = About {
        name: "zpack-provision-worker",
        summary: "Durable create, delete, backup and restore of servers, step by step, undone cleanly when they fail.",
        version: env!("CARGO_PKG_VERSION"),
    };
    daemon::run_with_commands(about, serve, commands::run)
}
