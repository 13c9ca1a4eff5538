//! The tasks that the actor starts; each tells its end as an event of the run it belongs to.

use std::{sync::Arc, time::Duration};

use domain::agent::{AgentFault, FaultCode, Probe, ServiceSpec};
use shim::{
    clock,
    protocol::{Purpose, Run},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::Actor;
use crate::{
    install::progress::Progress,
    probe::{self, Watch},
    process::{exit::Exit, host::exit_of_found, launch::Launch, link::Connection, runtime},
    service::{
        install,
        phase::{Event, Phase, Stage, Task, Up, What},
        saved::Wanted,
    },
};

/// How long a port of the server before may take to become free.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);
/// An agent that finds a starting server looks at it for this long at least.
const SHORTEST_PROBE: Duration = Duration::from_secs(2);
/// Pause between looks at it.
const PORT_PAUSE: Duration = Duration::from_millis(50);

impl Actor {
    pub(super) fn begin_install(&mut self) {
        let Some(spec) = self.saved.spec.clone() else { return };
        self.next_run();
        let place = install::Place { data: self.root.data(), host: Arc::clone(&self.host) };
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
    pub(super) async fn launch(&mut self, launch: &Launch, spec: &ServiceSpec) -> std::io::Result<()> {
        let watch = self.watch(spec);
        let (process, exited) = self.host.start(launch, Purpose::Game).await?;
        let (pid, program) = (process.pid(), &launch.argv[0]);
        info!(pid, program, "the server was started: {program} as process {pid}");
        self.follow(exited);
        let probe = self.probe(watch, Duration::from_secs(spec.ready.deadline_seconds));
        self.phase = Phase::Up(Up { process, stage: Stage::Starting, ready_at: None, task: Some(probe) });
        Ok(())
    }

    /// Goes on with a process that an agent before started: as running, as starting, or as stopping.
    pub(super) fn attach(&mut self, connection: Connection) {
        let Some(spec) = self.saved.spec.clone() else { return };
        let run = connection.run.clone();
        let ready_at = self.saved.ready_at_of(&run);
        let left = Duration::from_secs(spec.ready.deadline_seconds).saturating_sub(age(&run));
        let (stage, task) = match ready_at {
            Some(_) => (Stage::Running, None),
            None => (Stage::Starting, Some(self.probe(self.watch(&spec), left.max(SHORTEST_PROBE)))),
        };
        let (process, exited) = self.host.attach(connection);
        self.follow(exited);
        self.phase = Phase::Up(Up { process, stage, ready_at, task });
        if run.asked || self.saved.wanted == Wanted::Stopped {
            self.ask_to_stop(self.saved.wanted == Wanted::Running);
        }
    }

    /// Makes up for the end of a process that no agent saw.
    pub(super) async fn ended_meanwhile(&mut self, run: &Run) {
        let then_start = self.saved.wanted == Wanted::Running;
        let stage = match self.saved.ready_at_of(run) {
            _ if run.asked || !then_start => Stage::Stopping { then_start },
            Some(_) => Stage::Running,
            None => Stage::Starting,
        };
        self.output_of(run).await;
        self.ended(stage, exit_of_found(run)).await;
    }

    /// Asks a running process to stop, and kills it after its grace.
    pub(super) fn ask_to_stop(&mut self, then_start: bool) {
        let Some(stop) = self.saved.spec.as_ref().map(|spec| spec.run.stop.clone()) else { return };
        let timer = self.timer(Duration::from_secs(stop.grace_seconds), What::GraceOver);
        let Phase::Up(up) = &mut self.phase else { return };
        up.process.stop(stop.line);
        up.stage = Stage::Stopping { then_start };
        up.task = Some(timer);
    }

    async fn output_of(&self, run: &Run) {
        self.host.output.end_run(run.end.map(|end| end.next)).await;
    }

    /// Not tied to the phase: a process that is given up still has to be seen out.
    fn follow(&self, exited: oneshot::Receiver<Exit>) {
        tokio::spawn(see_out(exited, self.run, self.tell.clone()));
    }

    /// Made before there is output, so that it sees all of it.
    fn watch(&self, spec: &ServiceSpec) -> Watch {
        Watch::new(&spec.ready.probe, &self.host.output.console)
    }

    fn probe(&self, watch: Watch, deadline: Duration) -> Task {
        self.task(move |run, tell| async move {
            let ready = timeout(deadline, watch.until_ready()).await;
            let what = if ready.is_ok() { What::Ready } else { What::NotReadyInTime };
            send(&tell, run, what).await;
        })
    }

    pub(super) fn timer(&self, pause: Duration, then: What) -> Task {
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
        self.host.output.console.begin_run();
    }
}

/// How long it has been running.
fn age(run: &Run) -> Duration {
    let age = clock::now().timestamp_millis() - run.started_ms;
    Duration::from_millis(u64::try_from(age).unwrap_or_default())
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
    Ok(Launch { argv, env: spec.run.env, mode: spec.run.console })
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
