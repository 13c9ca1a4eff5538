//! What the program knows of itself: `zlh-agent` starts its other parts by itself, and all of them keep out of a game's
//! sight.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing::warn;

/// What our processes are called where they start each other by [`OWN`].
pub const NAME: &str = "zlh-agent";

/// Always this very program, even when its file was replaced by an update (proc_pid_exe(5)).
pub const OWN: &str = "/proc/self/exe";

/// `EX_CONFIG` of sysexits.h: what was given is unusable, and starting again does not help.
pub const EXIT_CONFIG: u8 = 78;

/// Closes `/proc/PID` of this process to others of the same user: a game runs as that user, and could otherwise read
/// the agent's memory, or write its log through `fd/1`.
pub fn keep_from_the_game() {
    if let Err(errno) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%errno, "this process could not be closed to its own user ({errno}): the game can read its memory");
    }
}
