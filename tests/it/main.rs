//! The real binary, run as a user runs it, on real images.

mod fuzz_seeds;
mod help;
mod layering;
