//! One file of credentials: containers-auth.json(5), Docker's config.json, and the old `.dockercfg`.
//!
//! A file is kept as the fields it has, each value's bytes untouched: an edit changes the one entry
//! it is about, and whatever else a newer Docker keeps there stays. A value is looked into only when
//! it is asked for, so one bad entry does not shut out the others. Errors name file and key and never
//! show a value.

use crate::error::Error;
use crate::error::Result;
use crate::remote::config::host;
use crate::remote::endpoint::Credential;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// Hundreds of entries fit into 100 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Some tools leave out the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub struct AuthFile {
    path: PathBuf,
    is_legacy: bool,
    fields: Fields,
}

#[derive(Deserialize, Default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
    /// Kubernetes writes these two beside or instead of `auth`.
    username: Option<String>,
    password: Option<String>,
}

impl AuthFile {
    /// `None` where there is no such file. `is_legacy` is for `.dockercfg`, which is all entries.
    pub fn read(path: &Path, is_legacy: bool) -> Result<Option<AuthFile>> {
        if crate::fs::look(path)?.is_none() {
            return Ok(None);
        }
        let bytes = crate::fs::read_small(path, FILE_BYTES_MAX)?;
        let mut file = AuthFile::empty(path);
        file.is_legacy = is_legacy;
        // What `mktemp` made for `--authfile`.
        if !bytes.trim_ascii().is_empty() {
            file.fields = parse(path, "", &bytes)?;
        }
        Ok(Some(file))
    }

    pub fn empty(path: &Path) -> AuthFile {
        AuthFile { path: path.to_path_buf(), is_legacy: false, fields: Fields::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The helper named for this registry alone, and the key that names it.
    pub fn helper_of(&self, registry: &str) -> Result<Option<(String, String)>> {
        let helpers = self.object("credHelpers")?;
        let key = helpers.keys().find(|key| host::of_key(key, false) == Some(registry));
        let Some(key) = key.map(str::to_owned) else { return Ok(None) };
        let name: Option<String> = self.value(&helpers, &place("credHelpers", &key), &key)?;
        Ok(name.filter(|name| !name.is_empty()).map(|name| (name, key)))
    }

    /// Every registry that has a helper of its own: key and helper.
    pub fn helpers(&self) -> Result<Vec<(String, String)>> {
        let helpers = self.object("credHelpers")?;
        let mut found = Vec::new();
        for key in helpers.keys() {
            let name: Option<String> = self.value(&helpers, &place("credHelpers", key), key)?;
            found.extend(name.filter(|name| !name.is_empty()).map(|name| (key.to_owned(), name)));
        }
        Ok(found)
    }

    /// The helper for every registry that has none of its own. Docker's files only have one.
    pub fn default_helper(&self) -> Result<Option<String>> {
        if self.is_legacy {
            return Ok(None);
        }
        let name: Option<String> = self.value(&self.fields, "`credsStore`", "credsStore")?;
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// Whether `docker login` left the mark of a credential that it gave to a helper.
    pub fn has_entry_of(&self, registry: &str) -> Result<bool> {
        let entries = self.entries()?;
        Ok(entries.keys().any(|key| host::of_key(key, self.is_legacy) == Some(registry)))
    }

    /// The credential of the most specific key: `host/ns/repo`, `host/ns`, `host`.
    ///
    /// An empty entry is a mark and no credential; the search goes on with the next key.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Option<Credential>> {
        let entries = self.entries()?;
        if !self.is_legacy {
            let whole = format!("{registry}/{repository}");
            let mut key = &whole[..];
            while key.len() > registry.len() {
                if entries.get(key).is_some()
                    && let Some(credential) = self.credential(&entries, key)?
                {
                    return Ok(Some(credential));
                }
                key = key.rsplit_once('/').map_or("", |(front, _)| front);
            }
        }
        let of_registry = |key: &&str| host::of_key(key, self.is_legacy) == Some(registry);
        let exact = entries.keys().filter(|key| *key == registry);
        let others = entries.keys().filter(|key| *key != registry).filter(of_registry);
        for key in exact.chain(others) {
            if let Some(credential) = self.credential(&entries, key)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    /// Puts a credential under `key`, in place of all that stood there.
    pub fn put(&mut self, key: &str, credential: &Credential) -> Result<()> {
        let mut entry = Fields::default();
        match credential {
            Credential::Password { user, .. } if user.contains(':') => {
                return Err(Error::Usage("a user name with `:` cannot be told from its password".to_owned()));
            }
            Credential::Password { user, password } => {
                entry.set_text("auth", &STANDARD.encode(format!("{user}:{password}")));
            }
            // Readers expect a user before the colon even where only the token counts.
            Credential::IdentityToken(token) => {
                entry.set_text("auth", &STANDARD.encode("<token>:"));
                entry.set_text("identitytoken", token);
            }
        }
        self.put_entry(key, &entry)
    }

    /// Leaves the mark of a credential that a helper keeps, as `docker login` does.
    pub fn mark(&mut self, key: &str) -> Result<()> {
        self.put_entry(key, &Fields::default())
    }

    fn put_entry(&mut self, key: &str, entry: &Fields) -> Result<()> {
        let mut entries = self.entries()?;
        // A registry has one entry, whichever way it was spelled before.
        if let Some(registry) = host::of_key(key, false) {
            entries.0.retain(|(other, _)| other == key || host::of_key(other, false) != Some(registry));
        }
        entries.set(key, verbatim(entry.text(2)));
        self.set_entries(&entries);
        Ok(())
    }

    fn set_entries(&mut self, entries: &Fields) {
        self.fields.set("auths", verbatim(entries.text(1)));
    }

    /// Takes out the entry of a registry, however it is spelled, or of a namespace.
    pub fn remove(&mut self, key: &str) -> Result<bool> {
        let mut entries = self.entries()?;
        let before = entries.0.len();
        let registry = host::of_key(key, false);
        entries.0.retain(|(other, _)| {
            other != key && (registry.is_none() || host::of_key(other, false) != registry)
        });
        let removed = entries.0.len() < before;
        self.set_entries(&entries);
        Ok(removed)
    }

    /// Takes out every entry and returns the keys.
    pub fn remove_all(&mut self) -> Result<Vec<String>> {
        let keys = self.entries()?.keys().map(str::to_owned).collect();
        self.set_entries(&Fields::default());
        Ok(keys)
    }

    /// Replaces the file whole, for its owner only; a symlink stays one.
    pub fn write(&self) -> Result<()> {
        let target = match crate::fs::look_no_follow(&self.path)? {
            Some(file) if file.is_symlink() => crate::fs::canonical(&self.path)?,
            _ => self.path.clone(),
        };
        crate::fs::write_atomic_private(&target, self.fields.text(0).as_bytes())
    }

    fn credential(&self, entries: &Fields, key: &str) -> Result<Option<Credential>> {
        let entry: Entry =
            self.value::<Option<Entry>>(entries, &place("auths", key), key)?.unwrap_or_default();
        let refuse = |problem: &str| {
            Err(Error::invalid(format!("{}, {}", self.path.display(), place("auths", key)), problem))
        };
        if let Some(token) = entry.identitytoken.filter(|token| !token.is_empty()) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        let mut auth = entry.auth.unwrap_or_default();
        auth.retain(|letter| !letter.is_ascii_whitespace());
        if auth.is_empty() {
            let user = entry.username.filter(|user| !user.is_empty());
            return Ok(
                user.map(|user| Credential::Password { user, password: entry.password.unwrap_or_default() })
            );
        }
        let Some(text) = LENIENT.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return refuse("expected `auth` to be base64 of USER:PASSWORD");
        };
        match text.split_once(':') {
            None => refuse("expected `auth` to have a colon between user and password"),
            Some((user, password)) => Ok(Some(Credential::Password {
                user: user.to_owned(),
                // Docker once padded passwords so.
                password: password.trim_matches('\0').to_owned(),
            })),
        }
    }

    fn entries(&self) -> Result<Fields> {
        if self.is_legacy {
            return Ok(self.fields.clone());
        }
        self.object("auths")
    }

    fn object(&self, field: &str) -> Result<Fields> {
        let found: Option<Fields> = self.value(&self.fields, &format!("`{field}`"), field)?;
        Ok(found.unwrap_or_default())
    }

    /// A field that is not there is `null`. `what` is how an error names it.
    fn value<T: DeserializeOwned>(&self, fields: &Fields, what: &str, key: &str) -> Result<T> {
        let text = fields.get(key).map_or("null", RawValue::get);
        parse(&self.path, what, text.as_bytes())
    }
}

/// Parses without the words of serde_json in an error: they would show a secret.
///
/// Values nobody asked for are skipped by a loop, not by recursion, so depth costs nothing.
fn parse<T: DeserializeOwned>(path: &Path, what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|err| {
        let (place, problem) = match (what, err.is_data()) {
            ("", true) => (String::new(), "expected an object"),
            ("", false) => (format!(", line {}", err.line()), "expected JSON"),
            (what, _) => (format!(", {what}"), "has a value of another kind than expected"),
        };
        Error::invalid(format!("{}{place}", path.display()), problem)
    })
}

/// How an error names an entry.
fn place(field: &str, key: &str) -> String {
    format!("`{field}`, `{}`", crate::path::shown(key.as_bytes()))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text fits into JSON")
}

fn verbatim(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("what is written here is JSON")
}

/// A JSON object as it stands: fields in order, values verbatim; of two of one name the last counts.
#[derive(Clone, Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rfind(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    fn set(&mut self, key: &str, value: Box<RawValue>) {
        let at = self.0.iter().position(|(name, _)| name == key);
        self.0.retain(|(name, _)| name != key);
        self.0.insert(at.unwrap_or(self.0.len()), (key.to_owned(), value));
    }

    fn set_text(&mut self, key: &str, text: &str) {
        self.set(key, verbatim(json(text)));
    }

    /// As JSON with tabs, as Docker and the containers tools write it. `depth` is the object's own.
    fn text(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let fields = self
            .0
            .iter()
            .map(|(name, value)| format!("{}{}: {}", "\t".repeat(depth + 1), json(name), value.get()));
        format!("{{\n{}\n{}}}", fields.collect::<Vec<_>>().join(",\n"), "\t".repeat(depth))
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &name[..])
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Fields, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(Object)
    }
}
