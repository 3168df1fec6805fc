//! Reading: what is in the store, what is where, what it weighs. Manifests only, never contents,
//! except for text diffs.

pub mod catalog;
pub mod compare;
pub mod find;
pub mod layers;
pub mod listing;
pub mod machine;
pub mod names;
pub mod usage;
pub mod whereis;
