//! Container images as others write them: names, documents, and the places they are kept.
//!
//! Everything is parsed beside the verbatim bytes, never instead of them. A [`source::Source`] hands
//! out blobs by descriptor, a [`sink::Sink`] takes them; layouts, archives and registries are both.
//! Nothing here knows of the store.

pub mod config;
pub mod descriptor;
pub mod digest;
pub mod document;
pub mod index;
pub mod json;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod platform;
pub mod sink;
pub mod source;
