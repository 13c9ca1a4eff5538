//! `zpack-repair-worker`: Level 1 repairs, each with its event.

use std::process::ExitCode;

use repair_worker::serve::serve;
use runtime::daemon::{self, About};

fn main() -> ExitCode {
    let about = About {
        name: "zpack-repair-worker",
        summary: "Makes the Level 1 repairs that the controller asks for: looks again, acts, looks after it, and writes down what it did.",
        version: env!("CARGO_PKG_VERSION"),
    };
    daemon::run(about, serve)
}
