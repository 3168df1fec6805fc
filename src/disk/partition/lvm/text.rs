//! The text in which LVM keeps what it knows: sections in braces, `key = value`, comments after `#`.

use crate::error::Error;
use crate::error::Result;
use std::collections::BTreeMap;

/// A group, its volumes, a volume, a segment: four, and one for the whole.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

/// By name. Of two with one name the later stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section(BTreeMap<String, Value>);

impl Section {
    pub fn parse(text: &[u8]) -> Result<Section> {
        let mut parser = Parser { text, at: 0 };
        let section = parser.section(0)?;
        match parser.peek() {
            None => Ok(section),
            Some(_) => Err(parser.wrong("a closing brace too many")),
        }
    }

    pub fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((&name[..], section)),
            _ => None,
        })
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        match self.0.get(name) {
            Some(Value::Section(section)) => Some(section),
            _ => None,
        }
    }

    pub fn number(&self, name: &str) -> Result<u64> {
        match self.0.get(name) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(lacks(name)),
        }
    }

    pub fn text(&self, name: &str) -> Result<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(lacks(name)),
        }
    }

    /// Empty where there is none.
    pub fn list(&self, name: &str) -> &[Value] {
        match self.0.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }
}

fn lacks(name: &str) -> Error {
    Error::invalid("LVM metadata", format!("lacks {name}"))
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn wrong(&self, found: &str) -> Error {
        let line =
            1 + self.text[..self.at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count();
        Error::invalid("LVM metadata", format!("has {found} in line {line}"))
    }

    /// The next byte that is neither space nor comment. The text may end with zeros.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.text.get(self.at)? {
                b'#' => {
                    let left = &self.text[self.at..];
                    self.at += left.iter().position(|byte| *byte == b'\n').unwrap_or(left.len());
                }
                byte if byte.is_ascii_whitespace() || byte == 0 => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Up to a closing brace or the end, neither of which is taken.
    fn section(&mut self, depth: usize) -> Result<Section> {
        let mut section = Section::default();
        while self.peek().is_some_and(|byte| byte != b'}') {
            let name = self.word()?;
            let value = if self.take(b'{') {
                if depth == DEPTH_MAX {
                    return Err(self.wrong("sections nested too deep"));
                }
                let inner = self.section(depth + 1)?;
                if !self.take(b'}') {
                    return Err(self.wrong("no closing brace"));
                }
                Value::Section(inner)
            } else if self.take(b'=') {
                if self.take(b'[') { self.list()? } else { self.scalar()? }
            } else {
                return Err(self.wrong("neither a value nor a section after a name"));
            };
            section.0.insert(name, value);
        }
        Ok(section)
    }

    fn list(&mut self) -> Result<Value> {
        let mut values = Vec::new();
        while !self.take(b']') {
            values.push(self.scalar()?);
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err(self.wrong("a list without an end"));
            }
        }
        Ok(Value::List(values))
    }

    fn scalar(&mut self) -> Result<Value> {
        if self.peek() == Some(b'"') {
            return Ok(Value::Text(self.quoted()?));
        }
        let word = self.word()?;
        match word.parse() {
            Ok(number) => Ok(Value::Number(number)),
            // Negative numbers and fractions: LVM writes some, none that is asked for here.
            Err(_) => Ok(Value::Text(word)),
        }
    }

    fn word(&mut self) -> Result<String> {
        self.peek();
        let left = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+/@".contains(byte);
        let len = left.iter().position(|byte| !is_part(byte)).unwrap_or(left.len());
        if len == 0 {
            return Err(self.wrong("something that is no name"));
        }
        self.at += len;
        Ok(String::from_utf8_lossy(&left[..len]).into_owned())
    }

    fn quoted(&mut self) -> Result<String> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let Some(byte) = self.text.get(self.at) else { return Err(self.wrong("a text without an end")) };
            self.at += 1;
            match byte {
                b'"' => return Ok(String::from_utf8_lossy(&text).into_owned()),
                b'\\' => {
                    text.extend(self.text.get(self.at));
                    self.at += 1;
                }
                byte => text.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_and_comments_are_told_apart() {
        let text = br#"vg { # a comment } with "signs"
            id = "a\"b\\c"  seqno = 7
            status = ["READ", "WRITE"] flags = []
            stripes = [
                "pv0", 0,
                "pv1", 12
            ]
            inner { negative = -1 }
        }
        version = 1
        "#;
        let whole = Section::parse(&[&text[..], b"\0"].concat()).unwrap();
        let group = whole.section("vg").unwrap();
        assert_eq!((group.text("id").unwrap(), group.number("seqno").unwrap()), ("a\"b\\c", 7));
        let name = |text: &str| Value::Text(text.into());
        assert_eq!(group.list("status"), [name("READ"), name("WRITE")]);
        assert_eq!(group.list("stripes"), [name("pv0"), Value::Number(0), name("pv1"), Value::Number(12)]);
        assert_eq!((group.list("flags"), group.list("none")), (&[][..], &[][..]));
        assert_eq!(group.sections().map(|(name, _)| name).collect::<Vec<_>>(), ["inner"]);
        assert_eq!(group.number("none").unwrap_err().to_string(), "LVM metadata: lacks none");
        assert!(group.number("id").is_err());
    }

    #[test]
    fn what_is_not_such_a_text_is_refused_with_its_line() {
        for (text, words) in [
            ("a {", "no closing brace in line 1"),
            ("a = 1\n}", "a closing brace too many in line 2"),
            ("a", "neither a value nor a section"),
            ("a =", "something that is no name"),
            ("a = [1 2]", "a list without an end"),
            ("a = [1,", "something that is no name"),
            ("a = \"b", "a text without an end"),
            ("a = \"b\\", "a text without an end"),
            ("= 1", "something that is no name"),
            (&"a {".repeat(100), "nested too deep"),
        ] {
            let problem = Section::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }
}
