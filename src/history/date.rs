//! Dates as people write them: `2026-05-03`, `yesterday`, `3 days ago`, `last tuesday at 9:30`.
//!
//! Git's usual forms, with one difference: a day without a time is that whole day, of which the
//! caller takes the start (`--since`) or the end (`--until`, `@{…}`). Git takes the time of day
//! that it happens to be.

use crate::attr;
use crate::error::Error;
use crate::error::Result;
use jiff::Span;
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::civil::DateTime;
use jiff::civil::Time;
use jiff::civil::Weekday;

/// Which moment of a day stands for it when no time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    Start,
    End,
}

/// Reads a date; `now` says when and in which time zone it is read.
pub fn parse(text: &str, now: &Zoned, day: Day) -> Result<attr::Time> {
    let read = exact(text.trim(), now).or_else(|| Words::read(text, now)?.moment(now, day));
    let timestamp = read.ok_or_else(|| {
        Error::invalid(format!("date `{text}`"), "is none that is known here")
            .with_hint("write it as 2026-05-03, 2026-05-03T14:00:00Z, yesterday, 3 days ago or last tuesday")
    })?;
    Ok(from_timestamp(timestamp))
}

/// Seconds and nanoseconds as the library keeps them.
pub fn from_timestamp(timestamp: Timestamp) -> attr::Time {
    const NANOS: i128 = 1_000_000_000;
    let nanos = timestamp.as_nanosecond();
    attr::Time { secs: nanos.div_euclid(NANOS) as i64, nanos: nanos.rem_euclid(NANOS) as u32 }
}

/// `None` outside the years -9999 to 9999.
pub fn to_timestamp(time: attr::Time) -> Option<Timestamp> {
    Timestamp::new(time.secs, i32::try_from(time.nanos).ok()?).ok()
}

/// A moment to the second: RFC 3339, or seconds since 1970 as `@1778000000` or nine digits and more.
fn exact(text: &str, now: &Zoned) -> Option<Timestamp> {
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('@') {
        Some(secs) => return Timestamp::from_second(secs.parse().ok()?).ok(),
        None if is_number(text) && text.len() >= 9 => {
            return Timestamp::from_second(text.parse().ok()?).ok();
        }
        None => {}
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    // A date without a time would be read as its midnight, so it must have one.
    let local: DateTime = text.contains(':').then(|| text.parse().ok())??;
    Some(local.to_zoned(now.time_zone().clone()).ok()?.timestamp())
}

/// What the words of a date add up to.
struct Words {
    date: Option<Date>,
    time: Option<Time>,
    /// How long ago, from now.
    back: Option<Zoned>,
}

impl Words {
    fn read(text: &str, now: &Zoned) -> Option<Words> {
        let text = text.to_lowercase();
        // git's `3.days.ago` needs no quotes in a shell.
        let words = text.split(|letter: char| letter.is_whitespace() || matches!(letter, '.' | ',' | '_'));
        let mut words =
            words.filter(|word| !word.is_empty() && !matches!(*word, "at" | "on" | "of")).peekable();
        words.peek()?;
        let mut read = Words { date: None, time: None, back: None };
        let (mut day_number, mut month, mut year) = (None, None, None);
        while let Some(word) = words.next() {
            if let Some(time) = clock(word) {
                set(&mut read.time, time)?;
            } else if let Ok(date) = word.parse::<Date>() {
                set(&mut read.date, date)?;
            } else if let Some(weekday) = weekday(word) {
                // The one that today is, if it is one, else the latest.
                let date = now.date().tomorrow().ok()?.nth_weekday(-1, weekday).ok()?;
                set(&mut read.date, date)?;
            } else if let Some(found) = month_number(word) {
                set(&mut month, found)?;
            } else {
                match word {
                    "now" => set(&mut read.back, now.clone())?,
                    "today" => set(&mut read.date, now.date())?,
                    "yesterday" => set(&mut read.date, now.date().yesterday().ok()?)?,
                    "ago" => read.back.is_some().then_some(())?,
                    "last" => {
                        let what = words.next()?;
                        match weekday(what) {
                            Some(weekday) => set(&mut read.date, now.date().nth_weekday(-1, weekday).ok()?)?,
                            None => read.go_back(1, what, now)?,
                        }
                    }
                    _ => {
                        let number = count(word)?;
                        match words.peek().copied().filter(|word| unit(word, 1).is_some()) {
                            Some(unit) => {
                                words.next();
                                read.go_back(number, unit, now)?;
                            }
                            None if number > 31 => set(&mut year, i16::try_from(number).ok()?)?,
                            None => set(&mut day_number, i8::try_from(number).ok()?)?,
                        }
                    }
                }
            }
        }
        if let (Some(day), Some(month)) = (day_number, month) {
            let date = |year| Date::new(year, month, day).ok();
            let latest =
                || date(now.year()).filter(|date| *date <= now.date()).or_else(|| date(now.year() - 1));
            let found = match year {
                Some(year) => date(year),
                None => latest(),
            };
            set(&mut read.date, found?)?;
        } else if day_number.is_some() || month.is_some() || year.is_some() {
            return None;
        }
        Some(read)
    }

    fn go_back(&mut self, number: i64, unit_word: &str, now: &Zoned) -> Option<()> {
        let from = self.back.as_ref().unwrap_or(now);
        self.back = Some(from.checked_sub(unit(unit_word, number)?).ok()?);
        Some(())
    }

    fn moment(self, now: &Zoned, day: Day) -> Option<Timestamp> {
        let date = match (self.date, self.back) {
            (Some(_), Some(_)) => return None,
            (None, Some(back)) if self.time.is_none() => return Some(back.timestamp()),
            (None, Some(back)) => back.date(),
            (Some(date), None) => date,
            (None, None) => now.date(),
        };
        let time = self.time.unwrap_or(match day {
            Day::Start => Time::midnight(),
            Day::End => Time::MAX,
        });
        let local = date.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?;
        Some(local.timestamp())
    }
}

/// Refuses to hear the same thing twice.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// `14:00`, `14:00:05`, `3pm`, `noon`, `midnight`.
fn clock(word: &str) -> Option<Time> {
    match word {
        "noon" => return Time::new(12, 0, 0, 0).ok(),
        "midnight" => return Some(Time::midnight()),
        _ => {}
    }
    let halves = [("am", 0), ("pm", 12)];
    if let Some((hour, afternoon)) =
        halves.iter().find_map(|(half, add)| Some((word.strip_suffix(half)?, add)))
    {
        let hour: i8 = hour.parse().ok().filter(|hour| (1..=12).contains(hour))?;
        return Time::new(hour % 12 + afternoon, 0, 0, 0).ok();
    }
    let mut parts = word.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        Some(second) => second?,
        None => 0,
    };
    parts.next().is_none().then(|| Time::new(hour, minute, second, 0).ok())?
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" | "tues" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" | "thur" | "thurs" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" | "sun" => Weekday::Sunday,
        _ => return None,
    })
}

fn month_number(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = MONTHS.iter().position(|month| word.len() >= 3 && month.starts_with(word))?;
    Some(at as i8 + 1)
}

fn count(word: &str) -> Option<i64> {
    const WORDS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    if matches!(word, "a" | "an") {
        return Some(1);
    }
    if let Some(at) = WORDS.iter().position(|known| *known == word) {
        return Some(at as i64 + 1);
    }
    let digits =
        word.trim_end_matches("st").trim_end_matches("nd").trim_end_matches("rd").trim_end_matches("th");
    digits.parse().ok().filter(|number| *number >= 0)
}

fn unit(word: &str, number: i64) -> Option<Span> {
    let zero = 0.days();
    match word.strip_suffix('s').unwrap_or(word) {
        "second" | "sec" => zero.try_seconds(number),
        "minute" | "min" => zero.try_minutes(number),
        "hour" => zero.try_hours(number),
        "day" => zero.try_days(number),
        "week" => zero.try_weeks(number),
        "fortnight" => zero.try_weeks(number.checked_mul(2)?),
        "month" => zero.try_months(number),
        "year" => zero.try_years(number),
        _ => return None,
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Sunday, in a zone that is two hours off.
    fn now() -> Zoned {
        "2026-11-22T15:30:00+02:00[+02:00]".parse().unwrap()
    }

    fn read(text: &str, day: Day) -> String {
        match parse(text, &now(), day) {
            Ok(time) => {
                let local = to_timestamp(time).unwrap().to_zoned(now().time_zone().clone());
                local.strftime("%F %T").to_string()
            }
            Err(err) => err.root().to_string(),
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text, Day::End), expected, "{text}");
    }

    #[test]
    fn moments_are_taken_as_they_are() {
        check("2026-05-03T10:00:00Z", "2026-05-03 12:00:00");
        check("2026-05-03T10:00:00+02:00", "2026-05-03 10:00:00");
        check("2026-05-03 10:00", "2026-05-03 10:00:00");
        check("2026-05-03T10:00:07", "2026-05-03 10:00:07");
        check("@0", "1970-01-01 02:00:00");
        check("1700000000", "2023-11-15 00:13:20");
        check("now", "2026-11-22 15:30:00");
    }

    #[test]
    fn a_day_is_its_start_or_its_end() {
        check("2026-05-03", "2026-05-03 23:59:59");
        assert_eq!(read("2026-05-03", Day::Start), "2026-05-03 00:00:00");
        check("20260503", "2026-05-03 23:59:59");
        check("today", "2026-11-22 23:59:59");
        check("yesterday", "2026-11-21 23:59:59");
        check("yesterday at 14:00", "2026-11-21 14:00:00");
        check("noon yesterday", "2026-11-21 12:00:00");
        check("9am", "2026-11-22 09:00:00");
        check("12am", "2026-11-22 00:00:00");
        check("3 may 2026", "2026-05-03 23:59:59");
        check("May 3rd, 2025 12pm", "2025-05-03 12:00:00");
        check("dec 24", "2025-12-24 23:59:59");
    }

    #[test]
    fn ago_counts_back_from_now() {
        check("3 days ago", "2026-11-19 15:30:00");
        check("3.days.ago", "2026-11-19 15:30:00");
        check("a week ago", "2026-11-15 15:30:00");
        check("2 weeks", "2026-11-08 15:30:00");
        check("1 day 2 hours ago", "2026-11-21 13:30:00");
        check("last month", "2026-10-22 15:30:00");
        check("two years ago", "2024-11-22 15:30:00");
        check("3 days ago at 9:05", "2026-11-19 09:05:00");
        check("90 minutes ago", "2026-11-22 14:00:00");
    }

    #[test]
    fn a_weekday_is_the_latest_one() {
        check("tuesday", "2026-11-17 23:59:59");
        check("last tuesday", "2026-11-17 23:59:59");
        check("sunday", "2026-11-22 23:59:59");
        check("last sunday", "2026-11-15 23:59:59");
        check("fri 18:30", "2026-11-20 18:30:00");
    }

    #[test]
    fn what_is_no_date_is_said_to_be_none() {
        for text in [
            "",
            "soon",
            "tomorrowish",
            "99",
            "12",
            "may",
            "31 february 2026",
            "yesterday today",
            "3 days yesterday",
            "last",
            "ago",
            "25:00",
            "13pm",
            "99999999999999999999 days ago",
            "9999999999 years ago",
            "é",
            "1m",
            "m",
            "ém",
        ] {
            assert_eq!(read(text, Day::End), format!("date `{text}`: is none that is known here"));
        }
    }

    #[test]
    fn times_before_1970_count_their_nanoseconds_forward() {
        let time = attr::Time { secs: -1, nanos: 500_000_000 };
        assert_eq!(from_timestamp(to_timestamp(time).unwrap()), time);
    }
}
