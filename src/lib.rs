//! imgit: git for container images and VM disks.
//!
//! An image goes in through [`import`]: its layers are taken apart ([`layer`]) into file contents,
//! each kept once, and an exact recipe; the stack of layers is flattened into a [`tree`]; a commit
//! ([`history`]) names image and tree, and a branch moves to it. It goes out through [`export`],
//! which puts the very same bytes together again. A VM's disk goes the same way ([`disk`]): its file
//! systems give the trees, and its recipe says which of its bytes are in which file. From store to
//! store versions go by [`bundle`], in one file, without what the other store has. Everything in
//! between ([`inspect`]) reads manifests: what changed, who holds a file, what a version weighs.
//!
//! ```text
//! cli                                   what is typed, what is printed, how it ends
//!  │
//!  ├─ mirror                            many imports, as one file says
//!  ├─ import  export  bundle            deeds: synchronous, silent, progress last
//!  ├─ inspect  upkeep
//!  │      │
//!  └──── repo                           the front door: typed get and put over the store
//!         │
//!      history                          commits, branches, tags, reflog, revisions
//!         │
//!       store                           packs (the truth) and redb (their index)
//!
//!  remote   wire                        registries: the client, and its protocol without sockets
//!  remote  wire                         registries and engines, as places of images
//!  oci   layer   disk   tree   fs       formats, and the door to the host's files
//!  codec content hash progress attr path id error  words
//! ```
//!
//! A module imports from those below it and never from one above or beside it in its row, but that
//! `oci` uses `layer` and `fs`, `disk` those and `tree`, `layer`, `fs` and `store` use `tree`, and
//! `history` borrows the names and digests of `oci`. `tests/it/layering.rs` holds the exact table and
//! fails on any other import.
//!
//! # What is not there
//!
//! Most of what keeps this simple is an absence, and each is tested or forbidden by that table.
//!
//! - The formats know no store: [`layer`] and [`tree`] turn bytes into values and back, over the two
//!   traits of [`content`]. No bytes make them panic; what they may cost is bounded by named limits.
//! - Only [`store`] knows redb, and keeps it open for one look or one transaction, never during
//!   other I/O. So any number of commands share a store. The index can be deleted at any time.
//! - Nothing in [`store`] knows what an image, a layer or a branch rule is: it keeps contents, nodes,
//!   blobs, commits and ref moves, and knows only which of them name which.
//! - No pack is ever changed. What becomes visible was durable before: `store/FORMAT.md` has the
//!   order of writes and what a power cut leaves at each of them.
//! - Only [`fs`] and the store's `dir` backend open files, and no path from inside an image is ever
//!   given to the host on import, but for the extents that a vmdk has in its own folder, and for the
//!   backing files of a qcow2 where the person allows them. On a checkout paths are resolved by
//!   descriptors below the folder.
//! - [`inspect`] reads no file contents, but for `diff --patch` and a comparison with a
//!   folder or a disk of the host, of which nothing is stored.
//! - No deed knows another, and none prints: [`cli`] is the only one that writes to the terminal.
//! - An error keeps its identity on the way up ([`error::Error`]); only the face makes words and an
//!   exit code of it.
//! - Sockets and async stay in [`remote`], which blocks its callers; it knows no store: a registry
//!   is one more [`oci::source::Source`] and [`oci::sink::Sink`].
//!
//! # How to read it
//!
//! One file per noun and per deed, each of which opens with what it is for. Begin at
//! `cli/commands/import.rs`, go down through [`import`] to [`layer::read`], and from
//! `store/FORMAT.md` to [`store::Transaction`].

pub mod attr;
pub mod bundle;
pub mod cli;
pub mod codec;
pub mod content;
pub mod disk;
pub mod error;
pub mod export;
pub mod fs;
pub mod hash;
pub mod history;
pub mod id;
pub mod import;
pub mod inspect;
pub mod layer;
pub mod mirror;
pub mod oci;
pub mod path;
pub mod progress;
pub mod remote;
pub mod repo;
pub mod store;
pub mod tree;
pub mod upkeep;
pub mod wire;
