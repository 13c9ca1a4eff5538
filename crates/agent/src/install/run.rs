//! Programs of an installation: no shell, the data folder as working folder, an end that is waited for.

use std::time::Duration;

use domain::agent::{ConsoleMode, RunSpec};
use rustix::process::Signal;
use shim::protocol::Purpose;
use tokio::time::timeout;

use super::{Site, error::InstallError, progress::file_name};
use crate::process::{exit::describe_status, launch::Launch, runtime, spawn::Process};

/// Runs `argv` to its end; its output goes to the console.
pub(super) async fn run(
    site: &Site,
    argv: &[String],
    spec: &RunSpec,
    seconds: u64,
) -> Result<(), InstallError> {
    let program = argv.first().map(|first| file_name(first).to_owned()).unwrap_or_default();
    let failed = |reason: String| InstallError::Program { program: program.clone(), reason };
    let argv = runtime::resolve(argv, &spec.runtime).await?;
    let launch = Launch { argv, env: spec.env.clone(), mode: ConsoleMode::Pipes };
    let (process, mut exited) = site
        .host
        .start(&launch, Purpose::Install)
        .await
        .map_err(|error| failed(format!("it could not be started ({error})")))?;
    let guard = KillOnDrop(process);
    let ended = timeout(Duration::from_secs(seconds), &mut exited).await;
    if ended.is_err() {
        guard.0.signal(Signal::KILL);
        // Its end is certain now; the next step must not meet it.
        let _ = exited.await;
        return Err(failed(format!("it did not end within {seconds} s and was stopped")));
    }
    match ended {
        Ok(Ok(exit)) if exit.status.success() => Ok(()),
        Ok(Ok(exit)) => Err(failed(describe_status(exit.status))),
        _ => Err(failed("it was lost".to_owned())),
    }
}

/// An installation that is given up does not leave its program behind.
struct KillOnDrop(Process);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.signal(Signal::KILL);
    }
}
