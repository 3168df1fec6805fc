//! Places that images come from: a layout, an archive, a registry.

use crate::error::Error;
use crate::error::Result;
use crate::oci::descriptor::Annotations;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::name::ImageName;
use oci_spec::image::ANNOTATION_REF_NAME;
use std::io::Read;

/// Where containerd and Docker keep the whole name of an image in a layout.
pub const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";

/// One image, index or artifact that a place offers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub descriptor: Descriptor,
    /// What it is called there, whole names (`docker.io/library/debian:12`) before bare tags.
    pub names: Vec<String>,
    /// What the place says of it; not part of the image.
    pub annotations: Annotations,
}

impl Root {
    pub fn new(descriptor: Descriptor, names: Vec<String>) -> Root {
        Root { descriptor, names, annotations: Annotations::new() }
    }

    /// The names that say more than a tag.
    pub fn image_names(&self) -> Vec<ImageName> {
        let whole = |name: &&String| name.contains([':', '/']);
        self.names.iter().filter(whole).filter_map(|name| ImageName::parse(name).ok()).collect()
    }

    fn is_called(&self, wanted: &str) -> bool {
        let same = |name: &String| match (ImageName::parse(name), ImageName::parse(wanted)) {
            _ if name == wanted => true,
            // `debian` asks for `docker.io/library/debian:latest`; a bare tag is compared as it is.
            (Ok(name), Ok(wanted)) => name.tagged() == wanted.tagged() && wanted.digest().is_none(),
            _ => false,
        };
        self.names.iter().any(same)
    }
}

/// A place to read images from. Nothing it hands out is checked: whoever reads wraps it in a
/// [`crate::oci::digest::Verifier`].
pub trait Source: Send + Sync {
    /// What it offers, each image once with all its names, in the order of the place.
    fn roots(&self) -> Result<Vec<Root>>;

    /// Opens a blob or a manifest. A [`Error::NotFound`] when the place does not have it.
    ///
    /// The stream ends soon after `descriptor.size` bytes at the latest.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>>;

    fn has(&self, descriptor: &Descriptor) -> bool;

    /// A layer's uncompressed tar by its diff id, where the place can give it without being told more.
    fn plain(&self, _diff_id: &Digest) -> Result<Option<Descriptor>> {
        Ok(None)
    }

    /// What refers to a manifest or index, as far as the place knows.
    fn referrers(&self, _of: &Digest) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }
}

/// Which of several images in one place is meant: the `:ref` or `:@index` behind a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Select {
    #[default]
    All,
    Name(String),
    /// Counted from 0.
    Index(usize),
}

impl Select {
    pub fn from(&self, roots: Vec<Root>) -> Result<Vec<Root>> {
        let chosen: Vec<Root> = match self {
            Select::All => return Ok(roots),
            Select::Index(at) => roots.into_iter().skip(*at).take(1).collect(),
            Select::Name(name) => {
                let exact = roots.iter().any(|root| root.names.contains(name));
                let fits = |root: &Root| {
                    if exact { root.names.contains(name) } else { root.is_called(name) }
                };
                roots.into_iter().filter(fits).collect()
            }
        };
        match (chosen.len(), self) {
            (0, Select::Index(at)) => Err(Error::not_found("image", format!("@{at}"))),
            (0, Select::Name(name)) => Err(Error::not_found("image", name)),
            (1, _) => Ok(chosen),
            (n, _) => Err(Error::invalid(
                format!("image {}", self.shown()),
                format!("is the name of {n} images there; choose one by `:@INDEX`"),
            )),
        }
    }

    fn shown(&self) -> String {
        match self {
            Select::All => String::new(),
            Select::Name(name) => name.clone(),
            Select::Index(at) => format!("@{at}"),
        }
    }
}

/// Makes roots of the entries of an `index.json`: each digest once, with the names of all its entries.
pub fn roots_of(manifests: Vec<Descriptor>) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::new();
    let mut at: std::collections::HashMap<Digest, usize> = std::collections::HashMap::new();
    for mut descriptor in manifests {
        let annotations = std::mem::take(&mut descriptor.annotations);
        let name_of = |key: &str| annotations.get(key).filter(|name| !name.is_empty()).cloned();
        let names = [name_of(ANNOTATION_IMAGE_NAME), name_of(ANNOTATION_REF_NAME)];
        let index = *at.entry(descriptor.digest.clone()).or_insert_with(|| {
            roots.push(Root { descriptor, names: Vec::new(), annotations: Annotations::new() });
            roots.len() - 1
        });
        let root = &mut roots[index];
        for name in names.into_iter().flatten() {
            if !root.names.contains(&name) {
                root.names.push(name);
            }
        }
        for (key, value) in annotations {
            root.annotations.entry(key).or_insert(value);
        }
    }
    for root in &mut roots {
        root.names.sort_by_key(|name| !name.contains([':', '/']));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(content: &str, annotations: &[(&str, &str)]) -> Descriptor {
        let mut descriptor = Descriptor::of("application/vnd.oci.image.manifest.v1+json", content.as_bytes());
        descriptor.annotations =
            annotations.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        descriptor
    }

    #[test]
    fn an_image_with_two_tags_is_one_root() {
        let roots = roots_of(vec![
            named("a", &[(ANNOTATION_REF_NAME, "1"), (ANNOTATION_IMAGE_NAME, "docker.io/library/web:1")]),
            named("b", &[]),
            named("a", &[(ANNOTATION_REF_NAME, "2"), (ANNOTATION_IMAGE_NAME, "docker.io/library/web:2")]),
        ]);
        assert_eq!(roots.len(), 2);
        assert_eq!(roots[0].names, ["docker.io/library/web:1", "docker.io/library/web:2", "1", "2"]);
        assert_eq!(
            roots[0].image_names().iter().map(ImageName::to_string).collect::<Vec<_>>(),
            ["web:1", "web:2"]
        );
    }

    #[test]
    fn one_of_several_is_chosen_by_name_or_number() {
        let roots = roots_of(vec![
            named("a", &[(ANNOTATION_REF_NAME, "latest")]),
            named("b", &[(ANNOTATION_REF_NAME, "docker.io/library/debian:latest")]),
            named("c", &[(ANNOTATION_REF_NAME, "x")]),
            named("d", &[(ANNOTATION_REF_NAME, "x")]),
        ]);
        let pick =
            |select: Select| select.from(roots.clone()).map(|chosen| chosen[0].descriptor.digest.clone());
        let name = |name: &str| pick(Select::Name(name.into()));
        assert_eq!(name("latest").unwrap(), Digest::of(b"a"));
        assert_eq!(name("debian").unwrap(), Digest::of(b"b"));
        assert_eq!(pick(Select::Index(3)).unwrap(), Digest::of(b"d"));
        assert!(matches!(name("nope"), Err(Error::NotFound { .. })));
        assert!(matches!(pick(Select::Index(4)), Err(Error::NotFound { .. })));
        assert!(name("x").unwrap_err().to_string().contains("2 images"));
        assert_eq!(Select::All.from(roots.clone()).unwrap().len(), 4);
    }
}
