//! Times: seconds since 1970 as Stripe counts them, and what a billing period is.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Months};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// The machine's time, in seconds.
pub(crate) fn machine() -> i64 {
    i64::try_from(machine_ms() / 1_000).unwrap_or(i64::MAX)
}

/// The machine's time, in milliseconds.
#[expect(clippy::disallowed_methods, reason = "the sandbox is a service of its own, and this is its clock")]
pub(super) fn machine_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The first end of a period after `start`, counted from `anchor`: the 31st becomes the last day of a shorter month, and the
/// 31st again after it.
pub(super) fn period_end(anchor: i64, start: i64, interval: &str, count: u32) -> i64 {
    let count = count.max(1);
    if let "day" | "week" = interval {
        let length = if interval == "day" { DAY } else { 7 * DAY } * i64::from(count);
        return anchor + (start - anchor).div_euclid(length) * length + length;
    }
    let months = if interval == "year" { 12 * count } else { count };
    let Some(first) = DateTime::from_timestamp(anchor, 0) else { return start + 30 * DAY };
    let ends = (0..).map_while(|n: u32| first.checked_add_months(Months::new(months.checked_mul(n)?)));
    ends.map(|end| end.timestamp()).find(|end| *end > start).unwrap_or(start + 30 * DAY)
}

/// The time as people read it, in UTC.
pub(crate) fn shown(at: i64) -> String {
    DateTime::from_timestamp(at, 0)
        .map_or_else(|| at.to_string(), |it| it.format("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> i64 {
        DateTime::parse_from_rfc3339(&format!("{day}T12:00:00Z")).unwrap().timestamp()
    }

    #[test]
    fn a_period_that_began_on_the_31st_ends_with_each_month() {
        let mut ends = Vec::new();
        let anchor = at("2026-01-31");
        let mut start = anchor;
        for _ in 0..4 {
            start = period_end(anchor, start, "month", 1);
            ends.push(start);
        }
        assert_eq!(ends, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"].map(at));
        assert_eq!(period_end(anchor, anchor, "year", 1), at("2027-01-31"));
        assert_eq!(period_end(anchor, anchor + DAY, "week", 2), at("2026-02-14"));
    }
}
