//! Watches over a running stack as systemd would: what ends by itself is started again, with growing pauses.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    interrupt,
    stack::{Daemon, Stack},
    ui,
};

const INTERVAL: Duration = Duration::from_millis(250);
/// The first pause before a restart; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// One part's restarts.
#[derive(Debug)]
struct Restarts {
    pause: Duration,
    due: Option<Instant>,
    begun: Instant,
}

impl Restarts {
    fn new(now: Instant) -> Self {
        Self { pause: FIRST_PAUSE, due: None, begun: now }
    }

    /// What to do about a part that is there or not.
    fn look(&mut self, alive: bool, now: Instant) -> Advice {
        match (alive, self.due) {
            (true, _) => {
                self.due = None;
                Advice::Leave
            }
            (false, None) => {
                if now.duration_since(self.begun) > LONGEST_PAUSE {
                    self.pause = FIRST_PAUSE;
                }
                self.due = Some(now + self.pause);
                Advice::Announce(self.pause)
            }
            (false, Some(due)) if now >= due => {
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                (self.due, self.begun) = (None, now);
                Advice::Start
            }
            (false, Some(_)) => Advice::Leave,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Advice {
    Leave,
    Announce(Duration),
    Start,
}

/// Watches until we are asked to end, then stops everything.
pub fn supervise(stack: &mut Stack) -> Result<ExitCode> {
    let mut parts: BTreeMap<&str, Restarts> = BTreeMap::new();
    while !interrupt::requested() {
        let alive: Vec<String> = stack.living();
        for name in ["postgres", "redis"].into_iter().chain(Daemon::ALL.iter().map(|daemon| daemon.name())) {
            let now = Instant::now();
            let restarts = parts.entry(name).or_insert_with(|| Restarts::new(now));
            match restarts.look(alive.iter().any(|other| other == name), now) {
                Advice::Leave => {}
                Advice::Announce(pause) => {
                    ui::warn(&format!("{name} has ended; starting it again in {} s", pause.as_secs()));
                }
                Advice::Start => restart(stack, name),
            }
        }
        thread::sleep(INTERVAL);
    }
    let step = ui::step("Stopping");
    stack.stop_all()?;
    step.done("");
    Ok(ExitCode::SUCCESS)
}

fn restart(stack: &mut Stack, name: &str) {
    let daemon = Daemon::ALL.iter().find(|daemon| daemon.name() == name);
    let outcome = match (name, daemon) {
        (_, Some(daemon)) => stack.start(*daemon),
        ("postgres", _) => stack.start_postgres(),
        _ => stack.start_redis(),
    };
    match outcome {
        Ok(()) => ui::say(&format!("{name} runs again")),
        Err(error) => ui::warn(&format!("{name}: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_ending_is_started_ever_more_rarely() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut restarts = Restarts::new(start);
        assert_eq!(restarts.look(true, at(1)), Advice::Leave);
        assert_eq!(restarts.look(false, at(2)), Advice::Announce(Duration::from_secs(1)));
        assert_eq!(restarts.look(false, at(2)), Advice::Leave);
        assert_eq!(restarts.look(false, at(3)), Advice::Start);
        assert_eq!(restarts.look(false, at(4)), Advice::Announce(Duration::from_secs(2)));
        assert_eq!(restarts.look(false, at(6)), Advice::Start);
        assert_eq!(restarts.look(true, at(7)), Advice::Leave);
        assert_eq!(restarts.look(false, at(200)), Advice::Announce(FIRST_PAUSE));
    }
}
