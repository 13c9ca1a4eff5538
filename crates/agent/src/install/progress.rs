//! How far an installation is, as a customer sees it.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::agent::InstallStep;
use tokio::sync::watch;

/// What a step that is not a download counts, in bytes, beside those that are.
const STEP_WEIGHT: u64 = 256 * 1024;

/// A moment of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The step under way, for people.
    pub step: String,
    /// 0–100.
    pub percent: u8,
    /// Whether a download is being checked.
    pub verifying: bool,
}

/// Turns bytes and steps into percents; tells only what changed.
pub(super) struct Meter<'p> {
    progress: &'p watch::Sender<Progress>,
    total: u64,
    done: u64,
    within: AtomicU64,
}

impl<'p> Meter<'p> {
    pub(super) fn new(steps: &[InstallStep], progress: &'p watch::Sender<Progress>) -> Self {
        let total = steps.iter().map(weight).fold(0, u64::saturating_add);
        Self { progress, total, done: 0, within: AtomicU64::new(0) }
    }

    pub(super) fn begin(&mut self, step: &InstallStep) {
        self.within = AtomicU64::new(0);
        let text = describe(step);
        self.progress.send_if_modified(|progress| {
            progress.step = text;
            progress.verifying = false;
            true
        });
    }

    pub(super) fn end(&mut self, step: &InstallStep) {
        self.done = self.done.saturating_add(weight(step));
        self.within = AtomicU64::new(0);
        self.tell(false);
    }

    /// `bytes` of the step under way are there.
    pub(super) fn downloaded(&self, bytes: u64) {
        self.within.store(bytes, Ordering::Relaxed);
        self.tell(false);
    }

    /// All bytes are there and are being checked.
    pub(super) fn verifying(&self) {
        self.tell(true);
    }

    fn tell(&self, verifying: bool) {
        let done = u128::from(self.done.saturating_add(self.within.load(Ordering::Relaxed)));
        let percent = (done * 100).checked_div(u128::from(self.total)).unwrap_or(100).min(100);
        let percent = u8::try_from(percent).unwrap_or(100);
        self.progress.send_if_modified(|progress| {
            let changed = progress.percent != percent || progress.verifying != verifying;
            progress.percent = percent;
            progress.verifying = verifying;
            changed
        });
    }
}

fn weight(step: &InstallStep) -> u64 {
    match step {
        InstallStep::Download { size, .. } => size.saturating_add(STEP_WEIGHT),
        _ => STEP_WEIGHT,
    }
}

fn describe(step: &InstallStep) -> String {
    match step {
        InstallStep::Download { url, .. } => format!("Downloading {}", file_name(url)),
        InstallStep::Write { path, .. } | InstallStep::Properties { path, .. } => format!("Writing {path}"),
        InstallStep::Run { argv, .. } => {
            format!("Running {}", file_name(argv.first().map_or("", String::as_str)))
        }
    }
}

/// The last part of a URL or path, without a query: that may hold a signature.
pub(super) fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}
