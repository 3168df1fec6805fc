//! imgit: git for container images and VM disks.

pub mod attr;
pub mod cli;
pub mod codec;
pub mod content;
pub mod error;
pub mod export;
pub mod fs;
pub mod history;
pub mod id;
pub mod import;
pub mod inspect;
pub mod layer;
pub mod oci;
pub mod path;
pub mod progress;
pub mod repo;
pub mod store;
pub mod tree;
pub mod upkeep;
