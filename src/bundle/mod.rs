//! Bundles: versions in one file, for stores that no network connects.
//!
//! As with git's, a bundle names the refs that it brings and what it builds on; the rest is what
//! they need. [`have`] lists what a store has, [`create`] writes what another one lacks, [`apply`]
//! takes it in as one transaction. Bytes: `FORMAT.md`.
//!
//! A bundle is a stranger's. Contents, nodes, trees and commits are named by their hashes; the
//! rest is proven before anything is visible: layers and disks are rebuilt and hashed, layers taken
//! apart anew, stacks of layers flattened anew, compressed layers unpacked. So a bundle can spoil
//! nothing that was not named in it. What its commits say of who, when and why is their author's
//! word, as it is in git; so are the trees of a disk and the numbers in a tree's record.

pub mod apply;
pub mod create;
pub mod format;
pub mod have;
mod names;
mod plan;
mod prove;
pub mod reader;
mod shapes;
mod take;
pub mod verify;
pub mod writer;

pub use names::select;
