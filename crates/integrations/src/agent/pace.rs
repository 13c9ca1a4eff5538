//! How often somebody is asked who always has something new.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Questions asked at once before the interval counts: what really happens comes in bursts.
const BURST: u32 = 32;

/// Paces questions to an agent. A long poll of an honest one returns when something has happened; one whose game has taken
/// its place may answer at once, each time, and would keep us busy for nobody.
#[derive(Debug)]
pub struct Pace {
    every: Duration,
    /// When there would be no debt.
    free_at: Instant,
}

impl Pace {
    /// One question per interval on average, some at once before that.
    pub fn new(every: Duration) -> Self {
        Self { every, free_at: Instant::now() }
    }

    /// Waits until the next question may be asked.
    pub async fn next(&mut self) {
        sleep_until(self.due(Instant::now())).await;
    }

    /// What an answer has cost beside its question: it is made up for before the next is asked.
    pub fn spend(&mut self, time: Duration) {
        self.free_at += time;
    }

    /// When the question that somebody wants to ask now may be asked.
    fn due(&mut self, now: Instant) -> Instant {
        self.free_at = self.free_at.max(now) + self.every;
        now.max(self.free_at - self.every * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_what_follows_is_paced_and_quiet_is_made_up_for() {
        let every = Duration::from_millis(100);
        let mut pace = Pace::new(every);
        let began = pace.free_at;
        for _ in 0..BURST {
            assert_eq!(pace.due(began), began);
        }
        assert_eq!((pace.due(began), pace.due(began)), (began + every, began + every * 2));
        let later = began + every * (2 * BURST);
        assert_eq!((pace.due(later), pace.due(later)), (later, later));
        pace.spend(every * BURST);
        assert_eq!(pace.due(later), later + every * 3);
    }
}
