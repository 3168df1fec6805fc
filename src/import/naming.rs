//! What the images of a source are called in the store.
//!
//! A name that was typed wins; else the source's own names; else the file's.

use crate::error::Error;
use crate::error::Result;
use crate::history::refs::RefName;
use crate::oci::location::Location;
use crate::oci::location::Place;
use crate::oci::name::ImageName;
use crate::oci::source::Root;
use std::path::Path;

/// Pairs each image with the refs it is imported under.
pub fn name_all(
    roots: Vec<Root>,
    location: &Location,
    typed: Option<&ImageName>,
) -> Result<Vec<(Root, Vec<RefName>)>> {
    if roots.is_empty() {
        return Err(Error::not_found("image", format!("in {location}")));
    }
    let several = roots.len() > 1;
    let mut named = Vec::new();
    for root in roots {
        let names = match typed {
            Some(typed) if !several => vec![RefName::of(typed)],
            Some(typed) => under_one_name(&root, typed, location)?,
            None => own_names(&root, location)?,
        };
        named.push((root, names));
    }
    Ok(named)
}

/// Several images and one typed name: each keeps its own tag, if it has one and none was typed.
fn under_one_name(root: &Root, typed: &ImageName, location: &Location) -> Result<Vec<RefName>> {
    let mut names = Vec::new();
    for tag in root.names.iter().filter_map(|name| tag_of(name)) {
        let name = RefName::of(&typed.with_tag(&tag)?);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() || typed.tag().is_some() {
        let problem = format!("{location} holds several images");
        return Err(Error::Usage(problem)
            .with_hint("choose one with :REF or :@INDEX behind the path, or give a NAME alone"));
    }
    Ok(names)
}

/// A registry's name is the store's. What was asked for by digest alone is no version of `latest`.
fn registry_name(name: &ImageName) -> Result<ImageName> {
    match (name.tag(), name.digest()) {
        (None, Some(digest)) => name.with_tag(&format!("{}-{}", digest.algorithm(), digest.short())),
        _ => Ok(name.clone()),
    }
}

/// The names that the source carries: `web:v1`, or only a tag `v1`, which the file's name completes.
fn own_names(root: &Root, location: &Location) -> Result<Vec<RefName>> {
    if let Location::Docker(name) = location {
        return registry_name(name).map(|name| vec![RefName::of(&name)]);
    }
    let whole = root.image_names();
    if !whole.is_empty() {
        return Ok(whole.iter().map(RefName::of).collect());
    }
    let file = file_name(location)?;
    match root.names.first() {
        Some(tag) => Ok(vec![RefName::of(&file.with_tag(tag)?)]),
        None => Ok(vec![RefName::of(&file)]),
    }
}

fn tag_of(text: &str) -> Option<String> {
    if !text.contains([':', '/']) {
        return Some(text.to_string());
    }
    ImageName::parse(text).ok().map(|name| name.tag_or_default().to_string())
}

/// `images/web-v1.oci.tar.gz` is called `web-v1`.
pub fn file_name(location: &Location) -> Result<ImageName> {
    let no_name = || {
        Error::Usage(format!("{location} says no name"))
            .with_hint(format!("give one: imgit import {location} NAME"))
    };
    let path = path_of(location).ok_or_else(no_name)?;
    // `imgit import oci:.` is named by the folder that `.` is.
    let path = crate::fs::canonical(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?;
    const ENDINGS: [&str; 16] = [
        ".gz",
        ".zst",
        ".tar",
        ".tgz",
        ".oci-archive",
        ".oci",
        ".docker",
        ".dir",
        ".img",
        ".raw",
        ".qcow2",
        ".vmdk",
        ".vdi",
        ".vhd",
        ".vhdx",
        ".ova",
    ];
    let mut stem = name;
    while let Some(ending) =
        ENDINGS.iter().find(|ending| stem.len() > ending.len() && stem.ends_with(**ending))
    {
        stem = &stem[..stem.len() - ending.len()];
    }
    ImageName::parse(stem).map_err(|_| no_name())
}

fn path_of(location: &Location) -> Option<&Path> {
    match location {
        Location::Oci { path, .. }
        | Location::Dir(path)
        | Location::Directory(path)
        | Location::Disk { path, .. } => Some(path),
        Location::OciArchive { place, .. }
        | Location::DockerArchive { place, .. }
        | Location::Tar(place)
        | Location::Bare(place) => match place {
            Place::Path(path) => Some(path),
            Place::Standard => None,
        },
        Location::Docker(_) | Location::DockerDaemon(_) => None,
    }
}
