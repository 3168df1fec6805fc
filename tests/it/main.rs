//! The real binary, run as a user runs it, on real images.

mod bad_input;
mod disks;
mod flatten;
mod fuzz_seeds;
mod guestfs;
mod help;
mod interrupts;
mod layering;
mod machines;
mod roundtrip;
mod searches;
mod sinks;
mod store;
mod support;
mod versions;
