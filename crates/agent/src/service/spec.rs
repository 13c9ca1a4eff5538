//! Looks a service spec over before it is accepted. What a path really leads to is decided when it is used
//! (`install::files`); here the caller is told early.

use domain::agent::{InstallStep, ServiceSpec};

use crate::install::files::{DataPath, PathRefused};

/// Largest download, in bytes (64 GiB): the largest dedicated servers have a quarter of that.
const MAX_DOWNLOAD: u64 = 64 << 30;

/// What is wrong with `spec`, for the caller's log.
pub fn check(spec: &ServiceSpec) -> Result<(), String> {
    spec.check_limits()?;
    for (index, step) in spec.install.iter().enumerate() {
        check_step(step).map_err(|flaw| format!("install[{index}]: {flaw}"))?;
    }
    Ok(())
}

fn check_step(step: &InstallStep) -> Result<(), String> {
    match step {
        InstallStep::Download { url, sha256, size, path, unpack } => {
            let url = reqwest::Url::parse(url).map_err(|_| "url: not a URL".to_owned())?;
            ensure(matches!(url.scheme(), "http" | "https"), || "url: http or https".to_owned())?;
            ensure(hex::decode(sha256).is_ok_and(|hash| hash.len() == 32), || {
                "sha256: 64 hex digits".to_owned()
            })?;
            ensure(*size <= MAX_DOWNLOAD, || format!("size: at most {MAX_DOWNLOAD}"))?;
            check_path(if unpack.is_some() { DataPath::folder(path) } else { DataPath::file(path) })
        }
        InstallStep::Write { path, .. } | InstallStep::Properties { path, .. } => {
            check_path(DataPath::file(path))
        }
        InstallStep::Run { .. } => Ok(()),
    }
}

fn check_path(path: Result<DataPath, PathRefused>) -> Result<(), String> {
    path.map(drop).map_err(|refused| format!("path: {refused}"))
}

fn ensure(holds: bool, flaw: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(flaw()) }
}
