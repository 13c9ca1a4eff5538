//! Times on both sides of change-overs, and which times are made up for.

use std::{collections::BTreeSet, str::FromStr as _};

use chrono::{Datelike as _, LocalResult, NaiveDate, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::parse(cron, zone).unwrap()
}

/// The first `n` times after a moment, as the zone's own clock shows them.
fn local(cron: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
    let zone: Tz = zone.parse().unwrap();
    let times = table(cron, zone.name()).after(at(after));
    times.take(n).map(|time| time.with_timezone(&zone).format("%m-%d %H:%M %Z").to_string()).collect()
}

#[test]
fn a_time_that_does_not_exist_becomes_the_next_minute_that_does() {
    let berlin = local("30 2 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", 3);
    assert_eq!(berlin, ["03-27 02:30 CET", "03-28 03:00 CEST", "03-29 02:30 CEST"]);
    let new_york = local("15 2 * * *", "America/New_York", "2027-03-13T12:00:00Z", 2);
    assert_eq!(new_york, ["03-14 03:00 EDT", "03-15 02:15 EDT"]);
    // The whole gap is one moment.
    let often = local("*/15 * * * *", "Europe/Berlin", "2027-03-28T00:40:00Z", 3);
    assert_eq!(often, ["03-28 01:45 CET", "03-28 03:00 CEST", "03-28 03:15 CEST"]);
    // Two times a day are two: the one in the gap is not lost because there is another.
    let twice = local("0 2,14 * * *", "Europe/Berlin", "2027-03-27T14:00:00Z", 2);
    assert_eq!(twice, ["03-28 03:00 CEST", "03-28 14:00 CEST"]);
}

#[test]
fn a_time_that_occurs_twice_runs_once() {
    let berlin = local("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2);
    assert_eq!(berlin, ["10-31 02:30 CEST", "11-01 02:30 CET"]);
    let new_york = local("30 1 * * *", "America/New_York", "2027-11-06T12:00:00Z", 2);
    assert_eq!(new_york, ["11-07 01:30 EDT", "11-08 01:30 EST"]);
    let often = local("*/30 * * * *", "Europe/Berlin", "2027-10-31T00:15:00Z", 2);
    assert_eq!(often, ["10-31 02:30 CEST", "10-31 03:00 CET"]);
    // Asked in the middle of the second hour, it is not made up for either.
    assert_eq!(local("30 2 * * *", "Europe/Berlin", "2027-10-31T01:10:00Z", 1), ["11-01 02:30 CET"]);
}

#[test]
fn a_gap_at_midnight_and_one_of_half_an_hour_are_gaps_too() {
    assert_eq!(local("@daily", "Africa/Cairo", "2027-04-29T12:00:00Z", 1), ["04-30 01:00 EEST"]);
    let lord_howe = local("15 2 * * *", "Australia/Lord_Howe", "2027-10-02T10:00:00Z", 1);
    assert!(lord_howe[0].starts_with("10-03 02:30"), "{lord_howe:?}");
}

#[test]
fn macros_names_and_days_from_the_end_are_understood() {
    let utc = |cron| local(cron, "UTC", "2027-01-15T10:30:00Z", 1)[0].clone();
    for (cron, first) in [
        ("@hourly", "01-15 11:00 UTC"),
        ("@Daily", "01-16 00:00 UTC"),
        ("@midnight", "01-16 00:00 UTC"),
        ("@weekly", "01-17 00:00 UTC"),
        ("@monthly", "02-01 00:00 UTC"),
        ("@yearly", "01-01 00:00 UTC"),
        ("0 4 * * mon-fri", "01-18 04:00 UTC"),
        ("0 4 L * *", "01-31 04:00 UTC"),
        ("0 4 29 2 *", "02-29 04:00 UTC"),
    ] {
        assert_eq!(utc(cron), first, "{cron}");
    }
}

#[test]
fn what_is_no_timetable_is_refused_with_a_reason() {
    for cron in [
        "",
        "* * * *",
        "0 0 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 0 * *",
        "a b c d e",
        "@reboot",
        "@every 5m",
        "0 0 1 * +1",
        "５ * * * *",
        &format!("{} * * * *", "1,".repeat(60)),
    ] {
        assert!(matches!(Timetable::parse(cron, "UTC"), Err(TimetableError::Cron(_))), "{cron:?}");
    }
    for zone in
        ["", "Berlin", "Europe/berlin", "+02:00", "Europe/Berlin\0", "../etc/passwd", "utc", "Etc/Unknown"]
    {
        assert!(matches!(Timetable::parse("@daily", zone), Err(TimetableError::Zone(_))), "{zone:?}");
    }
}

#[test]
fn every_zone_of_another_library_is_known_by_the_same_name() {
    for other in chrono_tz::TZ_VARIANTS {
        let zone = Timetable::parse("@daily", other.name()).map(|table| table.zone().to_owned());
        assert_eq!(zone.as_deref(), Ok(other.name()));
    }
}

#[test]
fn a_clock_shows_the_same_as_in_another_library() {
    // Of years that are past, and where nobody has since found out that it was otherwise.
    let names =
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Auckland"];
    for name in names {
        let (ours, other) = (zone::Zone::named(name).unwrap(), Tz::from_str(name).unwrap());
        for halves in 0..3 * 365 * 48 {
            let at = at("2022-01-01T00:00:00Z") + TimeDelta::minutes(halves * 30);
            assert_eq!(ours.civil(at), at.with_timezone(&other).naive_local(), "{name} {at}");
        }
    }
}

#[test]
fn a_date_that_never_comes_is_refused_and_so_is_what_runs_too_often() {
    let (now, five) = (at("2027-01-01T00:00:00Z"), TimeDelta::minutes(5));
    let check = |cron| table(cron, "Europe/Berlin").check(now, five);
    assert_eq!(check("0 0 30 2 *"), Err(TimetableError::Never));
    for cron in
        ["* * * * *", "*/4 * * * *", "0,59 * * * *", "0,58 0,23 * * *", "0,58 0,23 1 * 0", "0,1 0 29 2 *"]
    {
        assert_eq!(check(cron), Err(TimetableError::TooOften(5)), "{cron}");
    }
    for cron in ["*/5 * * * *", "3-59/5 * * * *", "0,30 * * * *", "@hourly", "0 0 29 2 *", "0 0 1 1 *"] {
        assert_eq!(check(cron), Ok(()), "{cron}");
    }
    assert_eq!(table("* * * * *", "UTC").check(now, TimeDelta::minutes(1)), Ok(()));
}

#[test]
fn names_and_commands_have_bounds() {
    let plan = SchedulePlan {
        name: "Nightly".into(),
        timetable: table("@daily", "UTC"),
        action: ScheduleAction::Command,
        command: Some("say good night".into()),
        enabled: true,
    };
    let check = |change: &dyn Fn(&mut SchedulePlan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        changed.check(at("2027-01-01T00:00:00Z"), TimeDelta::minutes(5))
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|plan| plan.name = "x".repeat(100)), Ok(()));
    assert_eq!(check(&|plan| plan.command = Some("x".repeat(1024))), Ok(()));
    for name in ["", " a", "a\nb", "a\u{202E}b", &"x".repeat(101)] {
        assert_eq!(check(&|plan| plan.name = name.to_owned()), Err(ScheduleError::Name), "{name:?}");
    }
    for line in ["", "  ", "say a\nstop", "say a\rstop", "say \0", &"x".repeat(1025)] {
        let refused = check(&|plan| plan.command = Some(line.to_owned()));
        assert_eq!(refused, Err(ScheduleError::Command), "{line:?}");
    }
    assert_eq!(check(&|plan| plan.command = None), Err(ScheduleError::CommandMissing));
    assert_eq!(check(&|plan| plan.action = ScheduleAction::Stop), Err(ScheduleError::CommandUnused));
}

#[test]
fn a_time_that_was_missed_is_made_up_for_once_if_it_is_not_long_past() {
    let every_five = table("*/5 * * * *", "UTC");
    let look = |planned, now| dues(&every_five, at(planned), at(now));
    let due = |run: Option<&str>, missed: Option<&str>, next: &str| Dues {
        run: run.map(at),
        missed: missed.map(at),
        next: Some(at(next)),
    };
    let (ten, next) = ("2027-01-01T10:00:00Z", "2027-01-01T10:05:00Z");
    assert_eq!(look(ten, "2027-01-01T10:00:00Z"), due(Some(ten), None, next));
    assert_eq!(look(ten, "2027-01-01T10:04:59Z"), due(Some(ten), None, next));
    // Two times, both within the grace: once.
    let later = "2027-01-01T10:10:00Z";
    assert_eq!(look(ten, "2027-01-01T10:07:00Z"), due(Some(next), None, later));
    // After an hour the newest is carried out, and the first is recorded as missed.
    let (eleven, after) = ("2027-01-01T11:00:00Z", "2027-01-01T11:05:00Z");
    assert_eq!(look(ten, "2027-01-01T11:01:00Z"), due(Some(eleven), Some(ten), after));

    let daily = table("0 4 * * *", "UTC");
    let (four, tomorrow) = ("2027-01-01T04:00:00Z", "2027-01-02T04:00:00Z");
    let look = |now| dues(&daily, at(four), at(now));
    assert_eq!(look("2027-01-01T04:10:00Z"), due(Some(four), None, tomorrow));
    assert_eq!(look("2027-01-01T04:10:01Z"), due(None, Some(four), tomorrow));
    assert_eq!(look("2027-06-01T12:00:00Z"), due(None, Some(four), "2027-06-02T04:00:00Z"));
}

/// Every moment of a year, minute by minute, against what the rule says of it; slow and obvious.
fn expected(zone: Tz, minute: u32, hour: u32, year: i32) -> BTreeSet<DateTime<Utc>> {
    let days = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().iter_days().take_while(|day| day.year() == year);
    days.map(|day| {
        let mut civil = day.and_hms_opt(hour, minute, 0).unwrap();
        loop {
            match zone.from_local_datetime(&civil) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return at.to_utc(),
                LocalResult::None => civil += TimeDelta::minutes(1),
            }
        }
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_daily_time_runs_exactly_once_each_day_of_any_year(
        minute in 0u32..60, hour in 0u32..24, year in 2026i32..2040,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    ) {
        let zone: Tz = zone.parse().unwrap();
        let begin = zone.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap().to_utc() - TimeDelta::seconds(1);
        let end = zone.with_ymd_and_hms(year + 1, 1, 1, 0, 0, 0).unwrap().to_utc();
        let times: Vec<_> = table(&format!("{minute} {hour} * * *"), zone.name())
            .after(begin).take_while(|at| *at < end).collect();
        prop_assert!(times.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(times.into_iter().collect::<BTreeSet<_>>(), expected(zone, minute, hour, year));
    }

    #[test]
    fn asking_from_any_moment_leads_to_the_same_times(
        offset in 0i64..(366 * 24 * 60), step in prop::sample::select(vec![5u32, 7, 15, 30]),
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York"]),
    ) {
        let timetable = table(&format!("*/{step} * * * *"), zone);
        let from = at("2027-01-01T00:00:30Z") + TimeDelta::minutes(offset);
        let next = timetable.next_after(from).unwrap();
        prop_assert!(next > from && next - from <= TimeDelta::minutes(120), "{from} {next}");
        prop_assert_eq!(next.second(), 0);
        // What comes after a moment between the two is the same, and what lies before it is not after it.
        let between = from + (next - from) / 2;
        prop_assert_eq!(timetable.next_after(between), Some(next));
        prop_assert!(timetable.next_after(next).unwrap() > next);
    }

    #[test]
    fn no_text_makes_the_parser_panic(cron in ".{0,40}", zone in ".{0,20}") {
        let _ = Timetable::parse(&cron, &zone);
        if let Ok(timetable) = Timetable::parse(&cron, "Europe/Berlin") {
            let _ = timetable.check(at("2027-01-01T00:00:00Z"), TimeDelta::minutes(5));
        }
    }

    #[test]
    fn no_fields_make_the_search_panic_or_go_back(
        cron in "[0-9*/,LW#-]{1,5} [0-9*/,-]{1,5} [0-9*/,LW-]{1,5} [0-9*/,-]{1,5} [0-9*/,L#-]{1,5}",
    ) {
        if let Ok(timetable) = Timetable::parse(&cron, "America/New_York") {
            let now = at("2027-01-01T00:00:00Z");
            prop_assert!(timetable.next_after(now).is_none_or(|next| next > now));
        }
    }
}
