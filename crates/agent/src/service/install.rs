//! Runs an installation and tells the actor how it goes.

use std::{path::PathBuf, sync::Arc};

use domain::agent::{AgentFault, ServiceSpec};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::{
    actor::send,
    phase::{Event, What},
};
use crate::{
    install::{self, progress::Progress},
    process::host::Host,
};

/// Lines of output in a fault.
const FAULT_LINES: usize = 20;

/// Where to install, and whose it is.
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) host: Arc<Host>,
}

/// Installs `spec`; every step and percent is an event, and so is the end.
pub(super) async fn run(spec: ServiceSpec, place: Place, run: u64, tell: mpsc::Sender<Event>) {
    let (progress, moved) = watch::channel(Progress::default());
    let Place { data, host } = place;
    let site = install::Site { data, host: Arc::clone(&host) };
    let result = tokio::select! {
        result = install::install(&spec, &site, &progress) => result,
        () = forward(moved, run, &tell) => return,
    };
    let result = result.map_err(|error| {
        warn!(%error, cause = ?std::error::Error::source(&error), "the installation failed: {error}");
        AgentFault {
            code: error.code(),
            message: error.to_string(),
            last_output: host.output.console.tail_of_run(FAULT_LINES),
        }
    });
    send(&tell, run, What::InstallEnded(result)).await;
}

/// Ends only when nobody can make progress any more.
async fn forward(mut moved: watch::Receiver<Progress>, run: u64, tell: &mpsc::Sender<Event>) {
    while moved.changed().await.is_ok() {
        let progress = moved.borrow_and_update().clone();
        send(tell, run, What::InstallMoved(progress)).await;
    }
}
