//! The tasks that the actor starts; each tells its end as an event of the run it belongs to.

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::agent::{AgentFault, FaultCode, Probe, ServiceSpec};
use rustix::process::Signal;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::Actor;
use crate::{
    install::progress::Progress,
    probe,
    process::{exit::Exit, launch::Launch, runtime, spawn::Process},
    service::{
        install,
        phase::{Event, Phase, Stage, Task, Up, What},
    },
};

/// How long a port of the server before may take to become free.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between looks at it.
const PORT_PAUSE: Duration = Duration::from_millis(50);

impl Actor {
    pub(super) fn begin_install(&mut self) {
        let Some(spec) = self.saved.spec.clone() else { return };
        self.next_run();
        let place = install::Place {
            data: self.root.data(),
            instance: self.instance.clone(),
            console: Arc::clone(&self.console),
        };
        let task = self.task(|run, tell| install::run(spec, place, run, tell));
        self.phase = Phase::Installing { view: Progress::default(), _task: task };
    }

    pub(super) fn begin_start(&mut self) {
        let Some(spec) = self.saved.spec.clone() else { return };
        self.next_run();
        let task = self.task(|run, tell| async move {
            let what = What::Prepared(prepare(spec).await);
            send(&tell, run, what).await;
        });
        self.phase = Phase::Preparing { _task: task };
    }

    pub(super) fn begin_pause(&mut self, pause: Duration) {
        self.phase = Phase::Pausing { _timer: self.timer(pause, What::PauseOver) };
    }

    /// Starts the process and asks it until it is ready or out of time.
    pub(super) fn launch(&mut self, launch: &Launch, spec: &ServiceSpec) -> std::io::Result<()> {
        let data: PathBuf = self.root.data();
        let (process, exited) = Process::spawn(launch, &data, &self.instance, &self.console)?;
        info!(pid = process.pid(), program = %launch.argv[0], "started");
        // Not tied to the phase: a process that is given up still has to be seen out.
        tokio::spawn(see_out(exited, self.run, self.tell.clone()));
        let probe = self.probe(spec.ready.probe.clone(), Duration::from_secs(spec.ready.deadline_seconds));
        self.phase = Phase::Up(Up { process, stage: Stage::Starting, ready_at: None, task: Some(probe) });
        Ok(())
    }

    /// Asks a running process to stop, and kills it after its grace.
    pub(super) fn ask_to_stop(&mut self, then_start: bool) {
        let Some(stop) = self.saved.spec.as_ref().map(|spec| spec.run.stop.clone()) else { return };
        let timer = self.timer(Duration::from_secs(stop.grace_seconds), What::GraceOver);
        let Phase::Up(up) = &mut self.phase else { return };
        let told = stop.line.as_ref().is_some_and(|line| up.process.write_line(line));
        if !told {
            up.process.signal(Signal::TERM);
        }
        up.stage = Stage::Stopping { then_start };
        up.task = Some(timer);
    }

    fn probe(&self, probe: Probe, deadline: Duration) -> Task {
        let console = Arc::clone(&self.console);
        self.task(move |run, tell| async move {
            let ready = timeout(deadline, probe::until_ready(&probe, &console)).await;
            let what = if ready.is_ok() { What::Ready } else { What::NotReadyInTime };
            send(&tell, run, what).await;
        })
    }

    fn timer(&self, pause: Duration, then: What) -> Task {
        self.task(move |run, tell| async move {
            sleep(pause).await;
            send(&tell, run, then).await;
        })
    }

    fn task<F>(&self, work: impl FnOnce(u64, mpsc::Sender<Event>) -> F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        AbortOnDropHandle::new(tokio::spawn(work(self.run, self.tell.clone())))
    }

    fn next_run(&mut self) {
        self.run += 1;
        self.console.begin_run();
    }
}

/// Tells the actor; it is gone only when the agent ends.
pub(in crate::service) async fn send(tell: &mpsc::Sender<Event>, run: u64, what: What) {
    let _ = tell.send(Event { run, what }).await;
}

async fn see_out(exited: oneshot::Receiver<Exit>, run: u64, tell: mpsc::Sender<Event>) {
    if let Ok(exit) = exited.await {
        send(&tell, run, What::Exited(exit)).await;
    }
}

/// Everything that can be known to be wrong before the process is started.
async fn prepare(spec: ServiceSpec) -> Result<Launch, AgentFault> {
    let fault = |code, message| AgentFault { code, message, last_output: Vec::new() };
    let argv = runtime::resolve(&spec.run.argv, &spec.run.runtime)
        .await
        .map_err(|missing| fault(FaultCode::RuntimeMissing, missing.to_string()))?;
    if let Some(port) = still_taken(&spec.ready.probe).await {
        let message = format!("Port {port}, which the server needs, is used by another program.");
        return Err(fault(FaultCode::CrashedAtStart, message));
    }
    Ok(Launch { argv, env: spec.run.env })
}

async fn still_taken(probe: &Probe) -> Option<u16> {
    let end = Instant::now() + PORT_TIMEOUT;
    loop {
        match probe::taken_port(probe) {
            Some(_) if Instant::now() < end => sleep(PORT_PAUSE).await,
            taken => return taken,
        }
    }
}
