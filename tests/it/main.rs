//! The real binary, run as a user runs it, on real images.

mod bad_input;
mod disks;
mod encoders;
mod flatten;
mod fuzz_seeds;
mod guestfs;
mod help;
mod interrupts;
mod layering;
mod repack;
mod roundtrip;
mod searches;
mod sinks;
mod store;
mod support;
mod versions;
