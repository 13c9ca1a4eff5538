//! When a schedule runs: five cron fields, read on the wall clock of a time zone.
//!
//! What the change-overs do is decided here, and is the same for every pattern: the fields are matched against the
//! zone's civil time, and each civil time becomes one moment. One that does not exist (spring) becomes the next minute
//! that does; one that occurs twice (autumn) is the first of the two.

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use super::zone::Zone;

/// Longest cron expression, in characters.
pub const MAX_CRON_CHARS: usize = 100;

/// Longest name of a time zone, in characters.
pub const MAX_ZONE_CHARS: usize = 64;

/// How many years ahead a next time is looked for. A 29 February is at most eight years away.
const YEARS_AHEAD: i32 = 8;

/// How many times in a row are compared when it is asked how close they are: two days of one every five minutes, and
/// half a year of one that comes four times a day.
const COMPARED: usize = 600;

/// Longest jump of a civil clock, in minutes: a zone that changes sides of the date line skips a day.
const LONGEST_GAP_MINUTES: u32 = 25 * 60;

/// The macros, and what they stand for. `@reboot` has no meaning here.
const MACROS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Cron fields and a time zone, both understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    cron: String,
    zone: Zone,
    /// The five fields that `cron` stands for.
    fields: String,
}

/// Why there is no such timetable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// Not five fields, nor a macro.
    #[error(
        "this is not a cron expression of five fields (minute, hour, day of month, month, day of week) or a macro such as @daily: {0}"
    )]
    Cron(String),
    /// Not a time zone.
    #[error("{0:?} is not the IANA name of a time zone, such as Europe/Berlin or UTC")]
    Zone(String),
    /// A date that never comes.
    #[error("this date never comes")]
    Never,
    /// Too close together.
    #[error("this runs twice within {0} minutes, which is the least that lies between two runs")]
    TooOften(i64),
}

impl Timetable {
    /// Understands a cron expression and the IANA name of a time zone.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, TimetableError> {
        let cron = cron.trim();
        let fields = five_fields(cron)?;
        let shown: String = zone.chars().take(MAX_ZONE_CHARS).collect();
        let zone = Zone::named(zone).ok_or(TimetableError::Zone(shown))?;
        pattern(&fields, "*")?;
        Ok(Self { cron: cron.to_owned(), zone, fields })
    }

    /// The cron expression as it was written.
    pub fn cron(&self) -> &str {
        &self.cron
    }

    /// The IANA name of the time zone.
    pub fn zone(&self) -> &str {
        self.zone.name()
    }

    /// The first moment after this one.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.after(after).next()
    }

    /// All moments after this one.
    pub fn after(&self, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + use<> {
        let zone = self.zone.clone();
        let local = zone.civil(after);
        // Bounded, so that a date that never comes is not looked for until the end of time.
        let years = format!("{}-{}", local.year(), local.year() + YEARS_AHEAD);
        let cron = pattern(&self.fields, &years).ok();
        let civil = std::iter::successors(Some(local), move |at| {
            cron.as_ref().and_then(|cron| cron.find_next_occurrence(at, false).ok())
        });
        let mut last = after;
        civil.skip(1).filter_map(move |civil| {
            // Several civil times of a gap are one moment; those of the hour that comes again are past.
            let moment = moment(&zone, civil).filter(|moment| *moment > last)?;
            last = moment;
            Some(moment)
        })
    }

    /// Whether it ever runs, and never twice within less than `spacing`.
    pub fn check(&self, now: DateTime<Utc>, spacing: TimeDelta) -> Result<(), TimetableError> {
        let mut last = self.next_after(now).ok_or(TimetableError::Never)?;
        for next in self.after(last).take(COMPARED) {
            // Around a change-over, times come closer once a year; that is nobody's fault.
            let civil = |at| self.zone.civil(at);
            if next - last < spacing && civil(next) - civil(last) < spacing {
                return Err(TimetableError::TooOften(spacing.num_minutes()));
            }
            last = next;
        }
        Ok(())
    }
}

fn five_fields(cron: &str) -> Result<String, TimetableError> {
    let refused = |why: &str| Err(TimetableError::Cron(why.to_owned()));
    if cron.chars().count() > MAX_CRON_CHARS {
        return refused("it is too long");
    }
    if cron.starts_with('@') {
        let meant = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(cron));
        return meant
            .map_or_else(|| refused("this macro is not known"), |(_, fields)| Ok((*fields).to_owned()));
    }
    // `+` and `?` are dialects of the parser's own.
    if !cron.is_ascii() || cron.contains(['@', '+', '?']) {
        return refused("it has characters that no field has");
    }
    let fields: Vec<&str> = cron.split_ascii_whitespace().collect();
    if fields.len() == 5 { Ok(fields.join(" ")) } else { refused(&format!("it has {} fields", fields.len())) }
}

fn pattern(fields: &str, years: &str) -> Result<Cron, TimetableError> {
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    parser.parse(&format!("0 {fields} {years}")).map_err(|error| TimetableError::Cron(error.to_string()))
}

/// The one moment that a civil time stands for.
fn moment(zone: &Zone, civil: NaiveDateTime) -> Option<DateTime<Utc>> {
    (0..=LONGEST_GAP_MINUTES).find_map(|minutes| zone.first(civil + TimeDelta::minutes(minutes.into())))
}
