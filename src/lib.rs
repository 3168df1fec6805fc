//! imgit: git for container images and VM disks.

pub mod attr;
pub mod content;
pub mod error;
pub mod id;
pub mod layer;
pub mod path;
pub mod progress;
pub mod tree;
