//! The real binary, run as a user runs it, on real images.

mod flatten;
mod layering;
mod roundtrip;
mod searches;
mod store;
mod support;
mod versions;
