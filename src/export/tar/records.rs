//! The records of a pax extended header.

use crate::attr::Time;

/// Seconds since 1970 as pax has them. Nanoseconds count forward even before 1970, decimals do not.
pub fn decimal(time: Time) -> String {
    let nanos = i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let (secs, nanos) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let text = format!("{sign}{secs}.{nanos:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The records of one extended header.
#[derive(Default)]
pub struct Records {
    binary: bool,
    bytes: Vec<u8>,
}

impl Records {
    pub fn name(&mut self, key: &str, name: &[u8]) {
        self.binary |= std::str::from_utf8(name).is_err();
        self.add(key, name);
    }

    /// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
    pub fn add(&mut self, key: &str, value: &[u8]) {
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        self.bytes.extend_from_slice(format!("{len} {key}=").as_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.push(b'\n');
    }

    pub fn finish(self) -> Vec<u8> {
        if !self.binary {
            return self.bytes;
        }
        // Values are UTF-8 unless this comes first.
        let mut all = Records::default();
        all.add("hdrcharset", b"BINARY");
        all.bytes.extend_from_slice(&self.bytes);
        all.bytes
    }
}
