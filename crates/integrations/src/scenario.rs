//! What the fakes play: a call that fails before or after its work, or that never returns.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It fails and nothing was done.
    FailBefore,
    /// It was done and the acknowledgement was lost.
    FailAfter,
    /// It never returns, and nothing was done.
    HangBefore,
    /// It never returns, and was done.
    HangAfter,
}

/// A call that a fake received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The trait's method.
    pub name: &'static str,
    /// What it was about: an instance id, a file.
    pub subject: String,
}

#[derive(Debug)]
struct Rule {
    call: String,
    when: When,
    times: u32,
}

/// The rules of a fake, and the calls it received so far.
#[derive(Debug, Default)]
pub struct Scenario {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

impl Scenario {
    /// Lets the next `times` calls of this method go wrong.
    pub fn disturb(&self, call: &str, when: When, times: u32) {
        lock(&self.rules).push(Rule { call: call.to_owned(), when, times });
    }

    /// Forgets the rules that have not been played.
    pub fn calm(&self) {
        lock(&self.rules).clear();
    }

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// How often this method was called.
    pub fn count(&self, call: &str) -> usize {
        lock(&self.calls).iter().filter(|seen| seen.name == call).count()
    }

    /// Records the call and does its work, unless a rule says otherwise.
    pub(crate) async fn play<T, E>(
        &self,
        name: &'static str,
        subject: impl ToString + Send,
        failure: impl FnOnce() -> E + Send,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        lock(&self.calls).push(Call { name, subject: subject.to_string() });
        match self.rule_for(name) {
            None => work(),
            Some(When::FailBefore) => Err(failure()),
            Some(When::FailAfter) => work().and_then(|_| Err(failure())),
            Some(When::HangBefore) => std::future::pending().await,
            Some(When::HangAfter) => {
                // Dropped before the await, so that the future stays `Send` whatever `T` is.
                drop(work());
                std::future::pending().await
            }
        }
    }

    fn rule_for(&self, name: &str) -> Option<When> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| rule.call == name && rule.times > 0)?;
        rule.times -= 1;
        Some(rule.when)
    }
}

/// A fake's state stays usable after a panic in a test's other task.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
