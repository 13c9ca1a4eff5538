//! Installation: the steps of a service spec, in order, each repeatable. What is on disk under its own name is whole;
//! what is not yet whole lies in a scratch folder that the next installation empties.

mod download;
pub mod error;
pub mod files;
mod hash;
pub mod progress;
pub mod properties;
mod run;
mod steps;
pub mod unpack;

use std::{path::PathBuf, sync::Arc};

use domain::agent::{InstallStep, ServiceSpec};
use tokio::sync::watch;

use self::{
    error::InstallError,
    files::DataFolder,
    progress::{Meter, Progress},
};
use crate::process::{host::Host, runtime};

/// Where to install, and whose it is.
#[derive(Clone, Debug)]
pub struct Site {
    /// The customer's folder.
    pub data: PathBuf,
    /// Runs the programs of installations.
    pub host: Arc<Host>,
}

/// Installs `spec`, telling `progress`. Repeating it after a failure or an interruption is safe.
pub async fn install(
    spec: &ServiceSpec,
    site: &Site,
    progress: &watch::Sender<Progress>,
) -> Result<(), InstallError> {
    // First, so that a missing runtime does not cost a download.
    runtime::resolve(&spec.run.argv, &spec.run.runtime).await?;
    let data = DataFolder::open(&site.data).await?;
    data.clear_scratch().await?;
    let mut meter = Meter::new(&spec.install, progress);
    let mut client = None;
    for step in &spec.install {
        meter.begin(step);
        match step {
            InstallStep::Download { .. } => {
                let client = match &client {
                    Some(client) => client,
                    None => client.insert(download::client()?),
                };
                steps::download(client, &data, step, spec.disk_limit_bytes, &meter).await?;
            }
            InstallStep::Write { path, content, keep_existing } => {
                steps::write(&data, path, content, *keep_existing).await?;
            }
            InstallStep::Properties { path, set } => steps::properties(&data, path, set).await?,
            InstallStep::Run { argv, timeout_seconds } => {
                run::run(site, argv, &spec.run, *timeout_seconds).await?;
            }
        }
        meter.end(step);
    }
    data.clear_scratch().await
}
