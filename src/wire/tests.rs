//! No bytes of a server make a parser panic, or take from it more than it has.

use crate::wire::accept;
use crate::wire::challenge;
use crate::wire::link;
use crate::wire::location;
use crate::wire::range;
use crate::wire::refusal::Refusal;
use crate::wire::retry_after;
use crate::wire::route::Registry;
use crate::wire::scope::Scopes;
use crate::wire::token::Token;
use crate::wire::warning;
use proptest::prelude::*;
use url::Url;

/// Texts with the letters that mean something to these parsers.
fn header() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ ,;=<>\"\\\\/:?#@%0-9a-zA-Zé\u{1b}-]{0,80}",
        "(Bearer|Basic|Digest)( (realm|scope|service)=\"?[a-z:/, ]{0,9}\"?,?){0,4}",
        "(bytes ?)?[0-9]{0,22}-[0-9]{0,22}(/[0-9*]{0,22})?",
        "<[a-z:/?]{0,20}>(; ?rel=\"?(next|prev)\"?)?,?",
        "299 - \"[a-z\\\\\"]{0,9}\"",
    ]
}

proptest! {
    #[test]
    fn no_header_makes_a_parser_panic(text in header()) {
        let base = Url::parse("https://h:5000/v2/a").unwrap();
        challenge::parse([&*text]);
        Scopes::parse(&text);
        let _ = link::next([&*text]);
        retry_after::parse(&text, jiff::Timestamp::UNIX_EPOCH);
        let _ = Registry::new("https", &text);
        if let Some(warning) = warning::parse(&text) {
            prop_assert!(!warning.contains(char::is_control));
        }
        if let Some((first, size)) = range::content_range(&text) {
            prop_assert!(size.is_none_or(|size| first < size));
        }
        if let Some(uploaded) = range::uploaded(&text) {
            prop_assert!(uploaded != 1);
        }
        if let Ok(url) = location::resolve(&base, &text) {
            prop_assert!(matches!(url.scheme(), "http" | "https"));
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(url.host_str() != Some("h") || url.port() != Some(5000) || url.scheme() == "https");
        }
    }

    #[test]
    fn no_body_makes_a_parser_panic(body in any::<Vec<u8>>(), code in header()) {
        let json = serde_json::json!({ "errors": [{ "code": code, "message": code }], "token": code });
        for body in [&body[..], json.to_string().as_bytes()] {
            prop_assert!(!Refusal::parse(body).words.contains(char::is_control));
            let _ = accept::manifest_type("manifest", &code, body);
            if let Ok(token) = Token::parse("token", body) {
                prop_assert!(token.secret.is_ascii());
            }
        }
    }
}
