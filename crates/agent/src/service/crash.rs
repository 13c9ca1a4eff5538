//! What follows a crash: a pause that doubles, and giving up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Longest pause before a server is started again.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// This many crashes …
pub const LIMIT: usize = 5;
/// … within this time are a crash loop.
pub const WINDOW: TimeDelta = TimeDelta::minutes(10);
/// A crash longer ago than this does not lengthen the pause.
pub const MEMORY: TimeDelta = TimeDelta::hours(1);

/// What to do after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after a pause.
    Restart(Duration),
    /// It would only crash again.
    GiveUp,
}

/// Judges by the times of crashes (the one at `now` included), forgetting those beyond [`MEMORY`].
pub fn judge(crashes: &mut Vec<DateTime<Utc>>, now: DateTime<Utc>, first_pause: Duration) -> Verdict {
    crashes.retain(|crash| now - crash < MEMORY);
    if crashes.iter().filter(|crash| now - **crash < WINDOW).count() >= LIMIT {
        return Verdict::GiveUp;
    }
    let doublings = u32::try_from(crashes.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
    Verdict::Restart(first_pause.saturating_mul(factor).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minutes)
    }

    #[test]
    fn the_pause_doubles_and_the_fifth_crash_in_ten_minutes_is_the_last() {
        let mut crashes = Vec::new();
        let mut verdicts = Vec::new();
        for _ in 0..LIMIT {
            crashes.push(at(0));
            verdicts.push(judge(&mut crashes, at(0), SECOND));
        }
        let pauses = [1, 2, 4, 8].map(|seconds| Verdict::Restart(SECOND * seconds));
        assert_eq!(verdicts[..4], pauses);
        assert_eq!(verdicts[4], Verdict::GiveUp);
    }

    #[test]
    fn crashes_far_apart_never_give_up_and_pause_at_most_a_minute() {
        let mut crashes = Vec::new();
        for crash in 0..200 {
            crashes.push(at(crash * 3));
            let Verdict::Restart(pause) = judge(&mut crashes, at(crash * 3), SECOND) else {
                panic!("gave up")
            };
            assert!(pause <= LONGEST_PAUSE);
        }
        assert!(crashes.len() <= 20, "old crashes are forgotten");
        crashes.push(at(10_000));
        assert_eq!(judge(&mut crashes, at(10_000), SECOND), Verdict::Restart(SECOND));
    }
}
