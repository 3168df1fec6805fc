//! JSON from strangers: bounded in size and depth before anything is made of it.
//!
//! Unknown fields are skipped, `null` stands for a missing list, map or text (Go writes it so), and
//! the bytes themselves are the caller's to keep: nothing here writes them again.

use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::Visitor;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

/// OCI distribution-spec: a registry should take manifests of 4 MiB, and is free to refuse larger ones.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Configs are blobs without a limit of their own; the largest in the field are under 1 MiB.
pub const CONFIG_BYTES_MAX: u64 = 16 << 20;
/// What serde_json goes down to by itself; it does not look into fields that it skips, so we do.
const LEVELS_MAX: u64 = 128;

/// Reads `T` from `bytes`; `thing` is what an error names.
pub fn parse<T: DeserializeOwned>(thing: &str, bytes: &[u8], bytes_max: u64) -> Result<T> {
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(thing, bytes_max));
    }
    check_depth(thing, bytes)?;
    serde_json::from_slice(bytes).map_err(|err| {
        let what = if err.is_data() { "unexpected content" } else { "not JSON" };
        Error::invalid(thing, format!("{what}: {}", shown(err.to_string().as_bytes())))
    })
}

/// Reads a whole JSON file, or fails without having read more than its limit.
pub fn read(thing: &str, from: impl Read, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|err| crate::error::from_stream(thing, err))?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(thing, bytes_max));
    }
    Ok(bytes)
}

/// Fails when a descriptor promises more than the limit, before a byte is read.
pub fn check_size(thing: &str, size: u64, bytes_max: u64) -> Result<()> {
    if size > bytes_max {
        return Err(too_large(thing, bytes_max));
    }
    Ok(())
}

fn too_large(thing: &str, bytes_max: u64) -> Error {
    Error::Limit { thing: thing.to_owned(), limit: bytes_max, unit: "bytes" }
}

fn check_depth(thing: &str, bytes: &[u8]) -> Result<()> {
    let (mut level, mut in_string, mut escaped) = (0u64, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
        if level > LEVELS_MAX {
            return Err(Error::Limit {
                thing: format!("nesting in {thing}"),
                limit: LEVELS_MAX,
                unit: "levels",
            });
        }
    }
    Ok(())
}

/// For serde: `null` is the same as a field that is not there.
pub fn null_is_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// More elements than any list in a config or manifest has, few enough to hold in memory: a list
/// of empty things costs its reader fifty times the bytes it has in JSON.
const LIST_MAX: usize = 100_000;

/// For serde: a list of bounded length, `null`, or (Docker's `StrSlice`) one element without brackets.
pub fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(text.into_deserializer())?])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == LIST_MAX {
                    return Err(de::Error::custom(format!("a list of more than {LIST_MAX} elements")));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    from.deserialize_any(List(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    struct Known {
        #[serde(default, deserialize_with = "null_is_default")]
        list: Vec<String>,
    }

    fn check(json: &str, words: &str) {
        let err = parse::<Known>("config", json.as_bytes(), 4096).unwrap_err().to_string();
        assert!(err.contains(words), "{err}");
    }

    #[test]
    fn unknown_fields_and_nulls_are_fine() {
        let known: Known = parse("config", br#"{"list":null,"new":[{"a":"}]{["}]}"#, 99).unwrap();
        assert!(known.list.is_empty());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        check(&format!("{{\"list\":[\"{}\"]}}", "a".repeat(5000)), "config is over the limit of 4096 bytes");
        check(
            &format!("{{\"new\":{}{}}}", "[".repeat(1000), "]".repeat(1000)),
            "over the limit of 128 levels",
        );
        check("{\"list\":", "config: not JSON: EOF");
        check("", "not JSON");
        check("[1]", "unexpected content");
        check("{\"list\":[\"\u{1b}[2J\"]}", "config: not JSON: control character");
    }

    #[test]
    fn a_file_is_not_read_beyond_its_limit() {
        let mut endless = std::io::repeat(b' ').take(1 << 30);
        assert!(matches!(read("config", &mut endless, 1000), Err(Error::Limit { limit: 1000, .. })));
        assert_eq!(endless.limit(), (1 << 30) - 1001);
    }
}
