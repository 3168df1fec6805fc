//! An image to a sink, under the name it has there.

use super::ExportOptions;
use super::no_image;
use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefName;
use crate::oci::copy;
use crate::oci::copy::Copied;
use crate::oci::copy::CopyOptions;
use crate::oci::descriptor::Descriptor;
use crate::oci::digest::Digest;
use crate::oci::document;
use crate::oci::document::Document;
use crate::oci::location::Location;
use crate::oci::media_type::MediaType;
use crate::oci::open;
use crate::oci::open::CreateOptions;
use crate::oci::source::Root;
use crate::progress::Progress;
use crate::repo::Images;
use crate::repo::Repo;
use crate::repo::Version;

pub fn to_sink(
    repo: &Repo,
    version: &Version,
    location: &Location,
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<(String, Copied)> {
    let images = repo.images();
    let whole = version.descriptor()?.ok_or_else(|| no_image(version))?;
    let root = match &options.platform {
        Some(wanted) => {
            let tree = repo.platform_tree(version, Some(&wanted.to_string()))?;
            of_manifest(&images, &tree.manifest)?
        }
        None => whole,
    };
    let near = match Location::parse(&version.commit.source) {
        Ok(Location::Docker(name)) => Some(name),
        _ => None,
    };
    let creating = CreateOptions {
        replace: options.replace,
        standard_output: options.standard_output,
        outside: &*options.outside,
        near: near.as_ref(),
    };
    let sink = open::create(location, &creating)?;
    let digest = root.digest.to_string();
    let name = name_there(location, options.name.as_ref());
    let copying = CopyOptions { scratch: &repo.scratch(), jobs: options.jobs, referrers: options.referrers };
    let root = Root::new(root, name.into_iter().collect());
    let copied = copy::copy(&images, &[root], sink, &copying, progress)?;
    Ok((digest, copied))
}

/// A layout names images by a tag alone, docker by name and tag.
fn name_there(location: &Location, name: Option<&RefName>) -> Option<String> {
    if let Location::Docker(there) = location {
        // By digest alone it is found by its digest alone.
        return there.tag().map(str::to_string);
    }
    let docker = matches!(location, Location::DockerArchive { .. } | Location::DockerDaemon(_));
    match (location.reference(), name) {
        (Some(tag), Some(name)) if docker && !tag.contains([':', '/']) => {
            Some(format!("{}:{tag}", name.name()))
        }
        (Some(said), _) => Some(said.to_string()),
        (None, Some(name)) if docker => Some(name.to_string()),
        (None, name) => name.map(|name| name.reference().to_string()),
    }
}

/// The descriptor of one manifest of an index, whose size only the store knows.
fn of_manifest(images: &Images, digest: &str) -> Result<Descriptor> {
    let digest = Digest::parse(digest)?;
    let size = images.size(&digest)?.ok_or_else(|| Error::not_found("manifest", digest.to_string()))?;
    let descriptor = Descriptor::new(MediaType::default(), digest, size);
    let (_, document) = document::read(images, &descriptor)?;
    let Document::Manifest(manifest) = document else {
        return Err(Error::invalid(descriptor.digest.to_string(), "is an index, not a platform's manifest"));
    };
    Ok(Descriptor { media_type: manifest.media_type, ..descriptor })
}
