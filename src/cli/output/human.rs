//! Values as a person reads them.

use crate::attr::Time;
use crate::path::shown;
use crate::tree::Entry;
use crate::tree::Kind;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `812 B`, `4.1 MB`: decimal units, as registries and disk makers count.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `2026-05-03 14:12:00` in the zone of whoever looks.
pub fn time(time: Time) -> String {
    format(time, "%Y-%m-%d %H:%M:%S")
}

/// The same with fraction and offset, for `show`.
pub fn time_of_day(time: Time) -> String {
    format(time, "%Y-%m-%d %H:%M:%S %z")
}

fn format(time: Time, how: &str) -> String {
    match Timestamp::new(time.secs, time.nanos.min(999_999_999) as i32) {
        Ok(stamp) => stamp.to_zoned(TimeZone::system()).strftime(how).to_string(),
        // Files may carry any 64-bit time; calendars end at the year 9999.
        Err(_) => format!("@{}", time.secs),
    }
}

/// `-rwsr-xr-x`, as ls(1) writes it.
pub fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File { .. } => '-',
        Kind::Dir(_) => 'd',
        Kind::Symlink(_) => 'l',
        Kind::CharDevice { .. } => 'c',
        Kind::BlockDevice { .. } => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    };
    let mode = entry.attr.mode;
    let mut text = String::from(kind);
    for (shift, special, letters) in
        [(6, 0o4000, ['s', 'S']), (3, 0o2000, ['s', 'S']), (0, 0o1000, ['t', 'T'])]
    {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letters[0],
            (true, false) => letters[1],
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A name that is safe on a terminal; quoted where it holds what a shell would split.
pub fn quoted(name: &[u8]) -> String {
    let text = shown(name);
    if text.contains([' ', '\\', '\'', '"']) { format!("'{text}'") } else { text }
}

pub fn table(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width_of = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width_of).collect();
    // A column of sizes or counts reads best from the right.
    let to_right = |column: usize| {
        !rows.is_empty()
            && rows.iter().all(|row| {
                row[column].starts_with(|c: char| c.is_ascii_digit())
                    && row[column].len() < 12
                    && !row[column].contains('-')
            })
    };
    let right: Vec<bool> = (0..headings.len()).map(to_right).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            match right[column] {
                true => text.extend([&space, *cell]),
                false => text.extend([*cell, &space]),
            }
            text.push_str("  ");
        }
        text.trim_end().to_string()
    };
    let mut lines = vec![line(headings.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Attr;

    #[test]
    fn sizes_keep_three_digits() {
        for (count, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (u64::MAX, "18.4 EB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn modes_read_as_ls_writes_them() {
        let check = |kind: Kind, bits: u32, text: &str| {
            let attr = Attr { mode: bits, ..Attr::default() };
            assert_eq!(mode(&Entry { name: b"x"[..].into(), kind, attr }), text);
        };
        check(Kind::Fifo, 0o4755, "prwsr-xr-x");
        check(Kind::Socket, 0o1777, "srwxrwxrwt");
        check(Kind::Fifo, 0o6644, "prwSr-Sr--");
    }
}
