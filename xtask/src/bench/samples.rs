//! Many values of one kind, and what is said of them.

use std::time::Duration;

/// Bytes in a megabyte (SI).
pub(super) const MEGABYTE: f64 = 1e6;

/// Values in order, in milliseconds where they are times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(values: I) -> Self {
        values.into_iter().map(milliseconds).collect()
    }
}

impl Samples {
    /// How many.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that half of them do not exceed.
    pub(super) fn p50(&self) -> f64 {
        self.percentile(50)
    }

    /// The value that 99 of 100 do not exceed. With fewer than 100 it is the largest.
    pub(super) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    /// By nearest rank: one of the values, never something between two. Zero where there are none.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A time as it is reported.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A count as it is reported.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn count(count: usize) -> f64 {
    count as f64
}

/// How many a second.
pub(super) fn rate(done: usize, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count(done) / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Samples = (1..=200_u32).rev().map(f64::from).collect();
        assert!((values.p50() - 100.0).abs() < 1e-9 && (values.p99() - 198.0).abs() < 1e-9);
        let few: Samples = [3.0, 1.0, 2.0].into_iter().collect();
        assert!((few.p50() - 2.0).abs() < 1e-9 && (few.p99() - 3.0).abs() < 1e-9);
        assert!(Samples::default().p99().abs() < 1e-9);
    }

    #[test]
    fn a_rate_is_by_the_second() {
        assert!((rate(30, Duration::from_millis(1_500)) - 20.0).abs() < 1e-9);
        assert!(rate(1, Duration::ZERO).abs() < 1e-9);
    }
}
