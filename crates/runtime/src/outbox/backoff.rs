//! When what was not sent is tried again.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(5);

/// However many there were.
const LONGEST: Duration = Duration::from_hours(1);

/// However long a receiver asks for.
const LONGEST_ASKED: Duration = Duration::from_hours(24);

/// The pause after the failure of this attempt (from 1): doubling up to an hour, of which `jitter` (0 to 1) decides the
/// second half, so that those that failed together are not tried together; and at least what the receiver asked for.
pub(super) fn pause(attempt: i32, asked: Option<Duration>, jitter: f64) -> Duration {
    let doublings = attempt.clamp(1, 16).unsigned_abs() - 1;
    let longest = FIRST.saturating_mul(2_u32.pow(doublings)).min(LONGEST);
    let pause = longest.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    asked.map_or(pause, |asked| pause.max(asked.min(LONGEST_ASKED)))
}

/// The pause of one that could not be sent because nothing could: always much the same, since it is nothing of its own, and
/// everything is to go soon after the cause is mended.
pub(super) fn pause_of_blocked(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_an_hour() {
        let seconds = |attempt, jitter| pause(attempt, None, jitter).as_secs_f64();
        for (attempt, longest) in
            [(1, 5.0), (2, 10.0), (3, 20.0), (10, 2_560.0), (11, 3_600.0), (i32::MAX, 3_600.0)]
        {
            assert!((seconds(attempt, 1.0) - longest).abs() < 0.001, "{attempt}");
            assert!((seconds(attempt, 0.0) - longest / 2.0).abs() < 0.001, "{attempt}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_or_an_endless_one() {
        assert_eq!(pause(1, Some(Duration::from_mins(2)), 1.0), Duration::from_mins(2));
        assert_eq!(pause(1, Some(Duration::ZERO), 1.0), Duration::from_secs(5));
        assert_eq!(pause(1, Some(Duration::MAX), 1.0), LONGEST_ASKED);
    }
}
