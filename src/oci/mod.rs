//! Container images as others write them: names, documents, and the places they are kept.
//!
//! Everything is parsed beside the verbatim bytes, never instead of them. A [`source::Source`] hands
//! out blobs by descriptor, a [`sink::Sink`] takes them; layouts, archives and registries are both.
//! Nothing here knows of the store.

pub mod archive;
pub mod config;
pub mod copy;
pub mod descriptor;
pub mod digest;
pub mod dir;
pub mod docker_archive;
pub mod document;
pub mod files;
pub mod index;
pub mod json;
pub mod layout;
pub mod location;
pub mod manifest;
pub mod media_type;
pub mod members;
pub mod name;
pub mod open;
pub mod outside;
pub mod platform;
pub mod referrers;
pub mod sink;
pub mod source;
pub mod stream;
pub mod tar_output;
#[cfg(test)]
mod tests;
