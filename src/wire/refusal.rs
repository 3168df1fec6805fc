//! The body of an answer that says no. OCI distribution-spec, "Error Codes".

use crate::path::shown;
use serde::Deserialize;
use serde_json::Value;

/// More of an error page than this tells a person nothing new.
pub const BODY_BYTES_MAX: u64 = 64 << 10;
const WORDS_LETTERS_MAX: usize = 500;
const ERRORS_MAX: usize = 5;

/// What a server said when it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `MANIFEST_UNKNOWN` and the like, as far as the answer followed the specification.
    pub codes: Vec<String>,
    /// The server's own words, short and safe to show; may be empty.
    pub words: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token servers: RFC 6749, section 5.2; `details` and `message` are of some registries.
    error: Option<Value>,
    error_description: Option<String>,
    details: Option<Value>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    detail: Value,
}

impl Refusal {
    pub fn parse(body: &[u8]) -> Refusal {
        let Ok(parsed) = serde_json::from_slice::<Body>(body) else {
            return Refusal { codes: Vec::new(), words: plain(body) };
        };
        let mut words = Vec::new();
        let mut codes = Vec::new();
        for entry in parsed.errors.iter().take(ERRORS_MAX) {
            let (code, message, detail) = (text(&entry.code), text(&entry.message), text(&entry.detail));
            let said: Vec<&str> =
                [code, message, detail].into_iter().flatten().filter(|text| !text.is_empty()).collect();
            words.push(said.join(": "));
            codes.extend(code.map(str::to_owned));
        }
        let others = [parsed.error.as_ref(), parsed.details.as_ref()].map(|value| value.and_then(text));
        let others =
            others.into_iter().chain([parsed.error_description.as_deref(), parsed.message.as_deref()]);
        words.extend(others.flatten().map(str::to_owned));
        words.retain(|text| !text.is_empty());
        Refusal { codes, words: brief(&words.join("; ")) }
    }

    pub fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own == code)
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// The words of a page that is not JSON: its text, or the title of its HTML.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let text = match (lower.find("<title>"), lower.find("</title>")) {
        (Some(start), Some(end)) if start + 7 <= end => &text[start + 7..end],
        _ if lower.trim_start().starts_with('<') => "",
        _ => &text,
    };
    brief(text)
}

/// On one line, without control characters, cut where nobody would read on.
fn brief(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = words.chars().take(WORDS_LETTERS_MAX).collect();
    let dots = if cut.len() < words.len() { "…" } else { "" };
    shown(cut.as_bytes()) + dots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, codes: &[&str], words: &str) {
        let refusal = Refusal::parse(body.as_bytes());
        assert_eq!(
            (refusal.codes, refusal.words),
            (codes.iter().map(|code| code.to_string()).collect(), words.to_owned())
        );
    }

    #[test]
    fn what_servers_say() {
        check(
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
            &["MANIFEST_UNKNOWN"],
            "MANIFEST_UNKNOWN: manifest unknown",
        );
        check(
            r#"{"errors":[{"code":"A","message":"a"},{"code":"B","detail":"why"}]}"#,
            &["A", "B"],
            "A: a; B: why",
        );
        check(r#"{"details":"incorrect username or password"}"#, &[], "incorrect username or password");
        check(r#"{"error":"invalid_grant","error_description":"expired"}"#, &[], "invalid_grant; expired");
        check("404 page not found\n", &[], "404 page not found");
        check("<html><Title>502 Bad\nGateway</title>…", &[], "502 Bad Gateway");
        check("<html>", &[], "");
        check("", &[], "");
        check(r#"{"errors":[{}]}"#, &[], "");
        check(r#"{"errors":"x"}"#, &[], r#"{"errors":"x"}"#);
    }

    #[test]
    fn hostile_words_are_short_and_harmless() {
        check("\x1b[2Jgone", &[], "\\x1b[2Jgone");
        check(r#"{"errors":[{"message":"\u001b]0;x\u0007"}]}"#, &[], "\\x1b]0;x\\x07");
        let long = Refusal::parse("x".repeat(1 << 16).as_bytes());
        assert!(long.words.chars().count() <= WORDS_LETTERS_MAX + 1);
        check("</title><title>", &[], "");
    }
}
