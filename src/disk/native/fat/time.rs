//! Dates and times of a directory entry, taken as UTC.

use crate::attr::Time;

const DAY_SECS: i64 = 86_400;
/// Days from 1970 to 1980, where the count of years begins.
const DAYS_TO_1980: i64 = 3_652;
/// Of years that are divisible by four in these 128 only this one is no leap year.
const YEAR_2100: i64 = 120;
/// Days before each month, from 1 on; a month that does not exist is taken as Linux takes it.
const DAYS_BEFORE: [i64; 16] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 0, 0, 0];

/// Linux's own reckoning, for dates that do not exist too.
pub fn unix_time(date: u16, time: u16) -> Time {
    let (date, time) = (i64::from(date), i64::from(time));
    let year = date >> 9;
    let month = (date >> 5 & 0xf).max(1);
    let day = (date & 0x1f).max(1) - 1;
    let mut leap_days = (year + 3) / 4;
    if year > YEAR_2100 {
        leap_days -= 1;
    }
    if year % 4 == 0 && year != YEAR_2100 && month > 2 {
        leap_days += 1;
    }
    let days = year * 365 + leap_days + DAYS_BEFORE[month as usize] + day + DAYS_TO_1980;
    let secs = days * DAY_SECS + (time >> 11) * 3_600 + (time >> 5 & 0x3f) * 60 + (time & 0x1f) * 2;
    Time { secs, nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for text in ["1980-01-01T00:00:00Z", "2000-02-29T23:59:58Z", "2026-11-22T18:26:20Z"]
            .into_iter()
            .chain(["2099-12-31T12:30:02Z", "2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z"])
            .chain(["2101-03-01T00:00:00Z", "2107-12-31T23:59:58Z", "2024-12-31T01:02:04Z"])
        {
            let stamp: jiff::Timestamp = text.parse().unwrap();
            let civil = stamp.to_zoned(jiff::tz::TimeZone::UTC);
            let (hour, minute) = (civil.hour() as u16, civil.minute() as u16);
            let date =
                ((civil.year() - 1980) << 9) | (i16::from(civil.month()) << 5) | i16::from(civil.day());
            let time = (hour << 11) | (minute << 5) | (civil.second() as u16 / 2);
            assert_eq!(unix_time(date as u16, time).secs, stamp.as_second(), "{text}");
        }
        assert_eq!(unix_time(0, 0).secs, 315_532_800);
    }
}
