//! A time zone by its IANA name, from a database that is compiled in: what a schedule means does not depend on which
//! files a machine has.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use jiff::{
    Timestamp,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, which is spelt as the IANA spells it.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        // The lookup knows names in any case, and one that stands for a zone that is not known.
        (zone.iana_name() == Some(name) && !zone.is_unknown()).then_some(Self(zone))
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What a clock on a wall there shows.
    pub fn civil(&self, at: DateTime<Utc>) -> NaiveDateTime {
        let offset = second(at).map_or(Offset::UTC, |second| self.0.to_offset(second));
        at.naive_utc() + length(offset)
    }

    /// When a clock on a wall there first shows this; `None` if it never does, because it is put forward over it.
    pub fn first(&self, civil: NaiveDateTime) -> Option<DateTime<Utc>> {
        // The same figures on a clock, as the other library writes them.
        let figures = Offset::UTC.to_datetime(second(civil.and_utc())?);
        match self.0.to_ambiguous_timestamp(figures).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                Some((civil - length(offset)).and_utc())
            }
            AmbiguousOffset::Gap { .. } => None,
        }
    }
}

/// To the second; `None` for a year that has more than four digits.
fn second(at: DateTime<Utc>) -> Option<Timestamp> {
    Timestamp::from_second(at.timestamp()).ok()
}

fn length(offset: Offset) -> TimeDelta {
    TimeDelta::seconds(offset.seconds().into())
}
