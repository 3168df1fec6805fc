//! What a token is for: `repository:library/debian:pull,push`. Docker's "Token Scope Documentation".

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

/// Things a token opens, each with what may be done to it; sorted, so that equal sets look equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scopes(BTreeMap<String, BTreeSet<String>>);

/// A header may be long, our memory of it need not be.
const SCOPES_MAX: usize = 64;

impl Scopes {
    pub fn none() -> Scopes {
        Scopes::default()
    }

    pub fn pull(repository: &str) -> Scopes {
        Scopes::none().with(&format!("repository:{repository}"), &["pull"])
    }

    pub fn push(repository: &str) -> Scopes {
        Scopes::none().with(&format!("repository:{repository}"), &["pull", "push"])
    }

    pub fn delete(repository: &str) -> Scopes {
        Scopes::none().with(&format!("repository:{repository}"), &["delete", "pull"])
    }

    pub fn catalog() -> Scopes {
        Scopes::none().with("registry:catalog", &["*"])
    }

    /// Reads `type:name:action,action` separated by spaces; the name may hold colons (`host:5000/a`).
    pub fn parse(text: &str) -> Scopes {
        let mut scopes = Scopes::none();
        for word in text.split_ascii_whitespace().take(SCOPES_MAX) {
            if let Some((thing, actions)) = word.rsplit_once(':')
                && thing.contains(':')
            {
                let actions: Vec<&str> = actions.split(',').take(SCOPES_MAX).collect();
                scopes = scopes.with(thing, &actions);
            }
        }
        scopes
    }

    fn with(mut self, thing: &str, actions: &[&str]) -> Scopes {
        let all = self.0.entry(thing.to_owned()).or_default();
        all.extend(actions.iter().filter(|action| !action.is_empty()).map(|action| action.to_string()));
        self
    }

    pub fn and(mut self, other: &Scopes) -> Scopes {
        for (thing, actions) in &other.0 {
            self.0.entry(thing.clone()).or_default().extend(actions.iter().cloned());
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One text for each `scope=` of a token request.
    pub fn each(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(thing, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{thing}:{}", actions.join(","))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.each().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_sets() {
        let push = Scopes::push("a/b");
        assert_eq!(push.to_string(), "repository:a/b:pull,push");
        assert_eq!(Scopes::pull("a/b").and(&push), push);
        assert_eq!(push.clone().and(&Scopes::pull("c")).each().count(), 2);
        assert_eq!(Scopes::parse("repository:a/b:push,pull"), push);
        assert_eq!(Scopes::catalog().to_string(), "registry:catalog:*");
    }

    #[test]
    fn names_may_hold_colons_and_nonsense_is_left_out() {
        assert_eq!(Scopes::parse("repository:h:5000/a:pull").to_string(), "repository:h:5000/a:pull");
        assert_eq!(Scopes::parse("pull x:y  ").to_string(), "");
        assert!(Scopes::parse("").is_empty());
        assert!(Scopes::parse(&"a:b:c ".repeat(100_000)).each().count() == 1);
    }
}
