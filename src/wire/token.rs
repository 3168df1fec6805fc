//! Tokens: how one is asked for and what comes back. Docker's "Token Authentication" and its OAuth2
//! form for identity tokens.

use crate::error::Error;
use crate::error::Result;
use crate::oci::json;
use crate::wire::scope::Scopes;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use url::Url;
use url::form_urlencoded;

pub const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// What a server that names no time means: Docker's specification.
const LIFE_DEFAULT: Duration = Duration::from_secs(60);

/// The name that we give ourselves at a token server.
const CLIENT: &str = "imgit";

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub secret: String,
    /// Counted from its issue.
    pub life: Duration,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Token {
    pub fn parse(thing: &str, body: &[u8]) -> Result<Token> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "json::null_is_default")]
            token: String,
            #[serde(default, deserialize_with = "json::null_is_default")]
            access_token: String,
            #[serde(default, deserialize_with = "json::null_is_default")]
            expires_in: f64,
        }
        let answer: Answer = json::parse(thing, body, ANSWER_BYTES_MAX)?;
        let secret = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if secret.is_empty() {
            return Err(Error::invalid(thing, "has neither `token` nor `access_token`"));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(thing, "has a token of other letters than a header takes"));
        }
        let seconds = answer.expires_in as u64;
        let life = if seconds == 0 { LIFE_DEFAULT } else { Duration::from_secs(seconds) };
        Ok(Token { secret, life })
    }
}

/// The address of a token for `scopes`, with the account in it where there is one.
pub fn query(realm: &Url, service: Option<&str>, scopes: &Scopes, account: Option<&str>) -> Url {
    let mut url = realm.clone();
    {
        let mut pairs = url.query_pairs_mut();
        let named = [("service", service), ("account", account)];
        pairs.extend_pairs(named.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        pairs.extend_pairs(scopes.each().map(|scope| ("scope", scope)));
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

/// The form that exchanges an identity token for one to `scopes`.
pub fn form(service: Option<&str>, scopes: &Scopes, identity_token: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token");
    form.append_pair("client_id", CLIENT);
    form.append_pair("service", service.unwrap_or_default());
    form.append_pair("scope", &scopes.to_string());
    form.append_pair("refresh_token", identity_token);
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let found = match Token::parse("token", body.as_bytes()) {
            Ok(token) => format!("{} {}", token.secret, token.life.as_secs()),
            Err(err) => err.to_string(),
        };
        assert!(found.contains(expected), "{body}: {found}");
    }

    #[test]
    fn answers() {
        check(r#"{"token":"a","expires_in":300,"issued_at":"x"}"#, "a 300");
        check(r#"{"access_token":"a"}"#, "a 60");
        check(r#"{"token":"","access_token":"b","expires_in":null}"#, "b 60");
        check(r#"{"token":"a","expires_in":-5}"#, "a 60");
        check(r#"{"token":"a","expires_in":1e300}"#, "a 18446744073709551615");
        check("{}", "neither");
        check(r#"{"token":"a\r\nX: y"}"#, "a header takes");
        check("<html>", "not JSON");
    }

    #[test]
    fn questions() {
        let realm = Url::parse("https://auth/token?x=1").unwrap();
        let scopes = Scopes::push("a").and(&Scopes::pull("b"));
        assert_eq!(
            query(&realm, Some("reg"), &scopes, None).as_str(),
            "https://auth/token?x=1&service=reg&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull"
        );
        let bare = Url::parse("https://auth/token").unwrap();
        assert_eq!(query(&bare, None, &Scopes::none(), None).as_str(), "https://auth/token");
        assert_eq!(
            form(None, &Scopes::pull("a"), "t&s"),
            "grant_type=refresh_token&client_id=imgit&service=&scope=repository%3Aa%3Apull&refresh_token=t%26s"
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let token = Token { secret: "hunter2".into(), life: LIFE_DEFAULT };
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
