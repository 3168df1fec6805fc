//! Manifests and indexes told apart, and the walk from one root to all that it names.

use crate::error::Doing;
use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::digest::Verifier;
use crate::oci::index::Index;
use crate::oci::json;
use crate::oci::manifest::Manifest;
use crate::oci::media_type::Kind;
use crate::oci::media_type::MediaType;
use crate::oci::platform::Platform;
use crate::oci::source::Source;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashSet;

/// Indexes of indexes of indexes: nobody makes more than two levels; conformance tests make three.
pub const INDEX_LEVELS_MAX: usize = 8;
/// Manifests under one root. The largest indexes in the field have some hundreds.
pub const MANIFESTS_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few are held at a time")]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Which fields are there: enough to tell the kinds apart without trusting a media type.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, rename = "schemaVersion")]
    schema_version: Option<serde_json::Number>,
    #[serde(default, rename = "mediaType", deserialize_with = "json::null_is_default")]
    media_type: MediaType,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

/// Reads a manifest or an index, whichever it is.
///
/// `said` is the media type that whoever named the document gave it. It must not contradict the
/// document's own, nor its fields; a document that is both is refused, for two readers could take
/// it for two things (CVE-2021-41190).
pub fn parse(thing: &str, bytes: &[u8], said: Option<&MediaType>) -> Result<Document> {
    let shape: Shape = json::parse(thing, bytes, json::MANIFEST_BYTES_MAX)?;
    let refuse = |problem: String| Err(Error::invalid(thing, problem));
    let schema_1 = shape.schema_version.as_ref().and_then(serde_json::Number::as_u64) == Some(1);
    let own = shape.media_type.kind();
    let said_kind = said.map_or(Kind::Other, MediaType::kind);
    if (schema_1 && shape.config.is_none())
        || shape.fs_layers.is_some()
        || [own, said_kind].contains(&Kind::Schema1)
    {
        return refuse("is a Docker manifest of schema 1, which imgit does not read".into());
    }
    let is_index = shape.manifests.is_some();
    let is_manifest = shape.config.is_some() || shape.layers.is_some();
    if is_index && is_manifest {
        return refuse("has both `manifests` and `layers`, so it could be taken for two things".into());
    }
    // An index may be empty and then be without its list (Go's `omitempty`), so a type counts too.
    let kind = match (is_manifest, is_index) {
        (true, _) => Kind::Manifest,
        (_, true) => Kind::Index,
        _ if own != Kind::Other => own,
        _ => said_kind,
    };
    for (whose, other) in [("its own", own), ("the given", said_kind)] {
        if other != Kind::Other && other != kind {
            return refuse(format!("has the fields of one kind, but {whose} media type says another"));
        }
    }
    if let Some(said) = said
        && !said.is_empty()
        && !shape.media_type.is_empty()
        && said.kind() != Kind::Other
        && said.bare() != shape.media_type.bare()
    {
        return refuse(format!("was named as {said}, but calls itself {}", shape.media_type));
    }
    match kind {
        Kind::Manifest => Ok(Document::Manifest(json::parse(thing, bytes, json::MANIFEST_BYTES_MAX)?)),
        Kind::Index => Ok(Document::Index(json::parse(thing, bytes, json::MANIFEST_BYTES_MAX)?)),
        _ => refuse("is neither an image manifest nor an index".into()),
    }
}

/// Reads the whole of a small blob, held to its digest and size.
pub fn read_blob(
    source: &dyn Source,
    descriptor: &Descriptor,
    thing: &str,
    bytes_max: u64,
) -> Result<Vec<u8>> {
    json::check_size(thing, descriptor.size, bytes_max)?;
    let reader = source.open(descriptor)?;
    json::read(thing, Verifier::new(thing, &descriptor.digest, descriptor.size, reader), bytes_max)
}

/// Reads and checks a manifest or an index, and returns its verbatim bytes beside it.
pub fn read(source: &dyn Source, descriptor: &Descriptor) -> Result<(Vec<u8>, Document)> {
    let thing = format!("manifest {}", descriptor.digest);
    let bytes = read_blob(source, descriptor, &thing, json::MANIFEST_BYTES_MAX)?;
    let document = parse(&thing, &bytes, Some(&descriptor.media_type))?;
    Ok((bytes, document))
}

/// The image itself, or the one of an index that is for the wanted platform.
pub fn pick(source: &dyn Source, root: &Descriptor, wanted: Option<&Platform>) -> Result<Descriptor> {
    let mut at = root.clone();
    for _ in 0..INDEX_LEVELS_MAX {
        let Some(wanted) = wanted else { break };
        let (_, Document::Index(index)) = read(source, &at)? else { break };
        let offered = || format!("{wanted}; {at_digest} has {}", platforms(&index), at_digest = at.digest);
        at = index.pick(wanted).ok_or_else(|| Error::not_found("platform", offered()))?.clone();
    }
    Ok(at)
}

fn platforms(index: &Index) -> String {
    let all: Vec<String> =
        index.manifests.iter().filter_map(|child| child.platform.as_ref()).map(ToString::to_string).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// One manifest or index on the walk.
pub struct Visit<'a> {
    pub descriptor: &'a Descriptor,
    /// The verbatim bytes.
    pub bytes: &'a [u8],
    pub document: &'a Document,
    /// 0 for the root.
    pub level: usize,
}

/// What the walk does with a manifest that the source does not have.
///
/// OCI image-spec, "Image Layout": blobs may be missing. `docker save` of one platform writes the
/// whole index and the one manifest.
pub enum Missing<'a> {
    Fails,
    Told(&'a mut dyn FnMut(&Descriptor)),
}

/// Visits every manifest and index under `root`, each once, parents before children.
///
/// Children that are neither (an index may list any blob) are left to the visitor of their parent.
pub fn walk(
    source: &dyn Source,
    root: &Descriptor,
    missing: &mut Missing<'_>,
    visit: &mut dyn FnMut(Visit<'_>) -> Result<()>,
) -> Result<()> {
    let mut walk = Walk { source, missing, visit, seen: HashSet::new(), above: Vec::new() };
    walk.go(root)
}

struct Walk<'a, 'b> {
    source: &'a dyn Source,
    missing: &'a mut Missing<'b>,
    visit: &'a mut dyn FnMut(Visit<'_>) -> Result<()>,
    seen: HashSet<Digest>,
    above: Vec<Digest>,
}

impl Walk<'_, '_> {
    fn go(&mut self, descriptor: &Descriptor) -> Result<()> {
        if self.above.contains(&descriptor.digest) {
            return Err(Error::invalid(
                format!("index {}", descriptor.digest),
                "names itself among its manifests",
            ));
        }
        if self.above.len() > INDEX_LEVELS_MAX {
            return Err(Error::Limit {
                thing: format!("nesting of indexes under {}", self.above[0]),
                limit: INDEX_LEVELS_MAX as u64,
                unit: "levels",
            });
        }
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        if self.seen.len() > MANIFESTS_MAX {
            return Err(Error::Limit {
                thing: "number of manifests under one index".into(),
                limit: MANIFESTS_MAX as u64,
                unit: "manifests",
            });
        }
        if let Missing::Told(tell) = self.missing
            && !self.source.has(descriptor)
        {
            tell(descriptor);
            return Ok(());
        }
        let (bytes, document) = read(self.source, descriptor)?;
        (self.visit)(Visit { descriptor, bytes: &bytes, document: &document, level: self.above.len() })?;
        drop(bytes);
        if let Document::Index(index) = document {
            self.above.push(descriptor.digest.clone());
            for child in &index.manifests {
                if child.media_type.is_document() || child.media_type.is_empty() {
                    self.go(child).doing(|| format!("cannot read index {}", descriptor.digest))?;
                }
            }
            self.above.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::DOCKER_LIST;
    use crate::oci::media_type::DOCKER_MANIFEST;
    use crate::oci::source::Root;
    use std::collections::HashMap;
    use std::io::Read;

    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn config() -> String {
        format!(r#""config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{EMPTY}","size":2}}"#)
    }

    fn check(json: &str, said: Option<&str>, outcome: &str) {
        let said = said.map(MediaType::new);
        let found = match parse("manifest", json.as_bytes(), said.as_ref()) {
            Ok(Document::Manifest(_)) => "manifest".to_owned(),
            Ok(Document::Index(_)) => "index".to_owned(),
            Err(err) => err.to_string(),
        };
        assert!(found.contains(outcome), "{json}: {found}");
    }

    #[test]
    fn fields_and_types_agree_on_what_it_is() {
        let manifest = format!(r#"{{"schemaVersion":2,{},"layers":null,"unknown":[{{}}]}}"#, config());
        check(&manifest, None, "manifest");
        check(&manifest, Some(OCI_MANIFEST), "manifest");
        check(&manifest, Some("application/vnd.acme"), "manifest");
        check(&manifest, Some(OCI_INDEX), "the given media type says another");
        check(r#"{"schemaVersion":2,"manifests":[]}"#, Some(DOCKER_LIST), "index");
        check(&format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":null}}"#), None, "index");
        check(
            &format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[]}}"#),
            Some(DOCKER_LIST),
            "but calls itself",
        );
        check(
            &format!(r#"{{"mediaType":"{OCI_INDEX}",{}}}"#, config()),
            None,
            "its own media type says another",
        );
        check(&format!(r#"{{"manifests":[],{}}}"#, config()), None, "taken for two things");
        check(r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1");
        check(r#"{"schemaVersion":1,"name":"x"}"#, None, "schema 1");
        check("{}", None, "neither");
        check("[]", None, "unexpected content");
        check(r#"{"schemaVersion":2,"layers":[]}"#, Some(DOCKER_MANIFEST), "missing field `config`");
        check(&manifest.replace("sha256:4", "sha256:../"), None, "digest");
        check(&manifest.replace(":2}", ":-2}"), None, "unexpected content");
    }

    /// A source whose blobs need not have the digests that they are filed under.
    #[derive(Default)]
    struct Blobs(HashMap<Digest, Vec<u8>>);

    impl Source for Blobs {
        fn roots(&self) -> Result<Vec<Root>> {
            Ok(Vec::new())
        }
        fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
            let bytes = self
                .0
                .get(&descriptor.digest)
                .ok_or_else(|| Error::not_found("blob", descriptor.digest.as_str()))?;
            Ok(Box::new(std::io::Cursor::new(bytes.clone())))
        }
        fn has(&self, descriptor: &Descriptor) -> bool {
            self.0.contains_key(&descriptor.digest)
        }
    }

    impl Blobs {
        fn put(&mut self, digest: Option<Digest>, json: String) -> Descriptor {
            let digest = digest.unwrap_or_else(|| Digest::of(json.as_bytes()));
            let descriptor = Descriptor::new(OCI_INDEX, digest.clone(), json.len() as u64);
            self.0.insert(digest, json.into_bytes());
            descriptor
        }
    }

    fn index_of(children: &[&Descriptor]) -> String {
        format!(r#"{{"schemaVersion":2,"manifests":{}}}"#, serde_json::to_string(children).unwrap())
    }

    #[test]
    fn an_index_that_names_itself_ends_the_walk() {
        // An algorithm that nobody can compute is the only way to such an index.
        let mut blobs = Blobs::default();
        let own = Digest::parse("x:self").unwrap();
        let size = index_of(&[&Descriptor::new(OCI_INDEX, own.clone(), 100)]).len() as u64;
        let root = blobs.put(Some(own.clone()), index_of(&[&Descriptor::new(OCI_INDEX, own, size)]));
        let err = walk(&blobs, &root, &mut Missing::Fails, &mut |_| Ok(())).unwrap_err();
        assert!(err.root().to_string().contains("names itself"), "{err:?}");
    }

    #[test]
    fn indexes_nest_to_a_limit_and_are_visited_once() {
        let mut blobs = Blobs::default();
        let mut root = blobs.put(None, index_of(&[]));
        for level in 1..=INDEX_LEVELS_MAX + 1 {
            root = blobs.put(None, index_of(&[&root, &root]));
            let mut visits = 0;
            let walked = walk(&blobs, &root, &mut Missing::Fails, &mut |_| {
                visits += 1;
                Ok(())
            });
            match level <= INDEX_LEVELS_MAX {
                true => assert_eq!(visits, level + 1),
                false => assert!(matches!(walked.unwrap_err().root(), Error::Limit { unit: "levels", .. })),
            }
        }
    }

    #[test]
    fn a_missing_manifest_fails_or_is_told() {
        let mut blobs = Blobs::default();
        let absent = Descriptor::of(OCI_INDEX, b"not there");
        let root = blobs.put(None, index_of(&[&absent]));
        assert!(walk(&blobs, &root, &mut Missing::Fails, &mut |_| Ok(())).is_err());
        let mut told = Vec::new();
        let mut tell = |missing: &Descriptor| told.push(missing.digest.clone());
        walk(&blobs, &root, &mut Missing::Told(&mut tell), &mut |_| Ok(())).unwrap();
        assert_eq!(told, [absent.digest]);
    }

    #[test]
    fn wrong_bytes_are_found_before_they_are_read() {
        let mut blobs = Blobs::default();
        let root = blobs.put(Some(Digest::of(b"other")), index_of(&[]));
        assert!(matches!(read(&blobs, &root), Err(Error::Mismatch { .. })));
        let huge = Descriptor { size: 100 << 20, ..root };
        assert!(matches!(read(&blobs, &huge), Err(Error::Limit { .. })));
    }
}
