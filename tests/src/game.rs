//! The smallest game there is: says that it is ready, stops when told.

use domain::blueprint::Blueprint;

/// Its blueprint's id.
pub const BLUEPRINT: &str = "smallest";

const TEXT: &str = r#"
id = "smallest"
name = "The smallest game"
summary = "Says that it is ready and stops when told."
kind = "game"
min_memory_mib = 64
ports = [{ name = "game", protocol = "udp" }]

[[variants]]
id = "only"
name = "Only"
versions = ["1"]
install = [
  { kind = "write", path = "game.sh", content = "echo ready\nwhile read line; do test \"$line\" = stop && exit 0; done\n" },
]
run = { argv = ["/bin/sh", "game.sh"], stop_line = "stop", stop_grace_seconds = 5 }
ready = { probe = { kind = "log", pattern = "^ready$" }, deadline_seconds = 20 }
"#;

/// The blueprint's file, for a stack's catalogue. It listens on no port, so its transport is one that the edge does not try.
pub fn smallest() -> &'static str {
    TEXT
}

/// The blueprint.
pub fn blueprint() -> Blueprint {
    Blueprint::parse(TEXT).expect("a blueprint")
}
