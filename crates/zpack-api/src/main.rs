//! zpack-api: the HTTP API of ZLH. See `--help`.

use std::process::ExitCode;

use runtime::daemon::{self, About};
use zpack_api::{cli, serve::serve};

fn main() -> ExitCode {
    if let Some(code) = cli::run_without_config() {
        return code;
    }
    let about = About {
        name: "zpack-api",
        summary: "The HTTP API of ZLH: accounts, servers, operations, events",
        version: env!("CARGO_PKG_VERSION"),
    };
    daemon::run_with_commands(about, serve, cli::run)
}
