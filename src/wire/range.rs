//! Ranges of bytes: of a download that goes on, and of an upload that a server has so far.

/// The value of `Range` that asks for everything from byte `at` on. RFC 9110, section 14.2.
pub fn from(at: u64) -> String {
    format!("bytes={at}-")
}

/// The value of `Content-Range` for an uploaded chunk: inclusive, without a unit.
/// OCI distribution-spec, "Pushing a blob in chunks". `None` for no bytes, which it cannot express.
pub fn of_chunk(at: u64, length: u64) -> Option<String> {
    let last = at.checked_add(length.checked_sub(1)?)?;
    Some(format!("{at}-{last}"))
}

/// The first byte that an answer 206 holds, and the size of the whole where it is told:
/// `bytes 5-9/10`, `bytes 5-9/*`.
pub fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let size = match size.trim() {
        "*" => None,
        size => Some(number(size)?),
    };
    (first <= last && size.is_none_or(|size| last < size)).then_some((first, size))
}

/// How many bytes an upload has by the `Range` of its status: `0-99` is 100.
///
/// `0-0` is what Docker's registry says of an upload without bytes, so it counts as none.
pub fn uploaded(value: &str) -> Option<u64> {
    let value = value.trim();
    let value = value.strip_prefix("bytes=").unwrap_or(value);
    let (first, last) = value.split_once('-')?;
    match (number(first)?, number(last)?) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, None)));
        for bad in ["", "bytes", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "5-9/10", "bytes -5-9/10"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        assert_eq!(content_range("bytes 0-99999999999999999999/*"), None);
    }

    #[test]
    fn uploaded_so_far() {
        assert_eq!(uploaded("0-99"), Some(100));
        assert_eq!(uploaded("bytes=0-99"), Some(100));
        assert_eq!(uploaded("0-0"), Some(0));
        for bad in ["", "99", "5-99", "0--1", "0-18446744073709551615", "0-+5"] {
            assert_eq!(uploaded(bad), None, "{bad}");
        }
    }

    #[test]
    fn chunks_are_inclusive() {
        assert_eq!(of_chunk(0, 10).unwrap(), "0-9");
        assert_eq!(of_chunk(10, 1).unwrap(), "10-10");
        assert_eq!(of_chunk(10, 0), None);
        assert_eq!(of_chunk(u64::MAX, 2), None);
    }
}
