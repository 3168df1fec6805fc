//! The real binary, run as a user runs it, on real images.

mod layering;
mod roundtrip;
mod support;
