//! `Warning: 299 - "text"`: something a person should hear of. OCI distribution-spec, "Warnings".

use crate::path::shown;

/// The specification's limit for all warnings of one answer.
const BYTES_MAX: usize = 4_096;

/// The text of one header, safe to show; `None` for what is not a 299 of the server itself.
pub fn parse(value: &str) -> Option<String> {
    if value.len() > BYTES_MAX {
        return None;
    }
    let text = value.trim().strip_prefix("299 - \"")?.strip_suffix('"')?;
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(shown(plain.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_allows() {
        assert_eq!(parse(r#"299 - "tag \"x\" goes away""#).unwrap(), r#"tag "x" goes away"#);
        assert_eq!(parse("299 - \"\x07\"").unwrap(), "\\x07");
        for other in ["", "299 - \"", "199 - \"x\"", "299 host \"x\"", "299 - \"x\" \"date", r#"299 - "\""#] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse(&format!("299 - \"{}\"", "x".repeat(5000))), None);
    }
}
