//! `WWW-Authenticate`: how a server wants us to say who we are. RFC 9110, section 11.6.1.

use crate::wire::scope::Scopes;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// RFC 7617.
    Basic,
    /// Docker's token authentication: a token is fetched from `realm`.
    Bearer { realm: String, service: Option<String>, scopes: Scopes },
}

/// More challenges, or parameters in one, than any server sends.
const PARTS_MAX: usize = 64;

/// Reads all values of the header, in their order; schemes that we do not know are left out.
pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in values {
        // A header we cannot read to its end still may begin with what we know.
        let mut rest = Cursor { text: value };
        while let Some((scheme, params)) = rest.challenge() {
            let param = |wanted: &str| {
                let mut named = params.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                named.next().map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("basic") {
                found.push(Challenge::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = param("realm")
            {
                let scopes = Scopes::parse(&param("scope").unwrap_or_default());
                found.push(Challenge::Bearer { realm, service: param("service"), scopes });
            }
            if found.len() >= PARTS_MAX {
                return found;
            }
        }
    }
    found
}

struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    /// `scheme [token68 | name=value, name="value"…]`; a comma separates both parameters and challenges.
    fn challenge(&mut self) -> Option<(&'a str, Vec<(&'a str, String)>)> {
        self.skip(|letter| letter == ',' || letter.is_ascii_whitespace());
        let scheme = self.token()?;
        let mut params = Vec::new();
        while params.len() < PARTS_MAX {
            let before = self.text;
            self.skip(|letter| letter == ',' || letter.is_ascii_whitespace());
            let Some(name) = self.token() else { break };
            self.skip(|letter| letter.is_ascii_whitespace());
            if !self.text.starts_with('=') {
                // Not a parameter: the scheme of the next challenge.
                self.text = before;
                break;
            }
            self.text = &self.text[1..];
            self.skip(|letter| letter.is_ascii_whitespace());
            let value = match self.text.starts_with('"') {
                true => self.quoted()?,
                // `Negotiate abc==`: a token68 ends in more of these.
                false => self.token().unwrap_or_default().to_owned(),
            };
            self.skip(|letter| letter == '=');
            params.push((name, value));
        }
        Some((scheme, params))
    }

    fn token(&mut self) -> Option<&'a str> {
        // RFC 9110, "token", and `/` and `:`, which some servers leave without quotes.
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(letter);
        let end = self.text.find(|letter| !is_token(letter)).unwrap_or(self.text.len());
        let (token, rest) = self.text.split_at(end);
        self.text = rest;
        (!token.is_empty()).then_some(token)
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut letters = self.text.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.text = &self.text[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                _ => value.push(letter),
            }
        }
        None
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.text = self.text.trim_start_matches(is_skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &str) {
        let found: Vec<String> = parse([header])
            .into_iter()
            .map(|challenge| match challenge {
                Challenge::Basic => "basic".into(),
                Challenge::Bearer { realm, service, scopes } => {
                    format!("bearer {realm} {} [{scopes}]", service.unwrap_or("-".into()))
                }
            })
            .collect();
        assert_eq!(found.join(", "), expected, "{header}");
    }

    #[test]
    fn what_registries_send() {
        check(r#"Basic realm="Registry""#, "basic");
        check("Basic", "basic");
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#,
            "bearer https://auth.docker.io/token registry.docker.io [repository:library/debian:pull]",
        );
        check(
            r#"bearer scope="repository:a:pull,push repository:b:pull" , realm = "https://x/t?a=b,c""#,
            "bearer https://x/t?a=b,c - [repository:a:pull,push repository:b:pull]",
        );
        check(
            r#"Bearer realm="https://ghcr.io/token",error="invalid_token""#,
            "bearer https://ghcr.io/token - []",
        );
    }

    #[test]
    fn several_in_one_header() {
        check(r#"Negotiate, Basic realm="a", Bearer realm="b""#, "basic, bearer b - []");
        check(r#"Negotiate YWJj==, Basic realm=x"#, "basic");
        check(r#"Digest realm="a, Basic", qop="x", Bearer realm=https://b/"#, "bearer https://b/ - []");
    }

    #[test]
    fn quoted_strings_may_hide_anything() {
        check(r#"Bearer realm="a\"b\\c",service="x""#, r#"bearer a"b\c x []"#);
    }

    #[test]
    fn what_is_broken_gives_nothing() {
        for broken in ["", ",", "=", r#"Bearer realm="open"#, "Bearer", "\"", "é", r#"Bearer realm="\"#] {
            check(broken, "");
        }
        assert!(parse([&*"Basic,".repeat(10_000)]).len() <= PARTS_MAX);
    }
}
