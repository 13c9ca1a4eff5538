//! Faults between the runner and its steps: a step that fails, or never returns, before or after its effect.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use domain::operation::StepName;
use provision_worker::saga::{Step, StepError, Steps, Work, standard};
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error before the effect.
    FailBefore,
    /// An error although the effect is there.
    FailAfter,
    /// The worker dies before the effect: the step never returns, and the test drops the worker.
    KillBefore,
    /// The worker dies after the effect, before it could be written down.
    KillAfter,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 4] = [Self::FailBefore, Self::FailAfter, Self::KillBefore, Self::KillAfter];

    /// Whether the worker dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

/// On the way forward or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In `apply`.
    Apply,
    /// In `undo`.
    Undo,
}

/// Which step goes wrong, how, and how often.
#[derive(Debug)]
pub struct Plan {
    rules: Vec<(StepName, When, Fault, AtomicU32)>,
    died: Notify,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn calm() -> Arc<Self> {
        Self::of(&[])
    }

    /// Each rule is played `times` times.
    pub fn of(rules: &[(StepName, When, Fault, u32)]) -> Arc<Self> {
        let rules =
            rules.iter().map(|(step, when, fault, times)| (*step, *when, *fault, AtomicU32::new(*times)));
        Arc::new(Self { rules: rules.collect(), died: Notify::new() })
    }

    /// Waits until a step was reached at which the worker dies.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    /// How often rules are still to be played.
    pub fn left(&self) -> u32 {
        self.rules.iter().map(|(_, _, _, times)| times.load(Ordering::SeqCst)).sum()
    }

    /// The real steps with this plan's faults.
    pub fn steps(self: &Arc<Self>) -> Steps {
        let (plan, real) = (self.clone(), standard());
        Arc::new(move |name| Arc::new(Faulty { name, plan: plan.clone(), real: real(name) }))
    }

    fn next(&self, step: StepName, when: When) -> Option<Fault> {
        let rule = self.rules.iter().find(|(s, w, _, times)| {
            (*s, *w) == (step, when)
                && times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
        });
        rule.map(|(_, _, fault, _)| *fault)
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

struct Faulty {
    name: StepName,
    plan: Arc<Plan>,
    real: Arc<dyn Step>,
}

impl Faulty {
    async fn play(
        &self,
        when: When,
        effect: impl Future<Output = Result<(), StepError>> + Send,
    ) -> Result<(), StepError> {
        let broken = || Err(StepError::failed("test_fault", "The test wanted it so."));
        match self.plan.next(self.name, when) {
            None => effect.await,
            Some(Fault::FailBefore) => broken(),
            Some(Fault::KillBefore) => self.plan.die().await,
            Some(Fault::FailAfter) => {
                effect.await?;
                broken()
            }
            Some(Fault::KillAfter) => {
                effect.await?;
                self.plan.die().await
            }
        }
    }
}

#[async_trait]
impl Step for Faulty {
    async fn apply(&self, work: &Work) -> Result<(), StepError> {
        self.play(When::Apply, self.real.apply(work)).await
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        self.play(When::Undo, self.real.undo(work)).await
    }
}
