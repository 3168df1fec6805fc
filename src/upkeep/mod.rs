//! Keeping the store sound and small.

pub mod fsck;
pub mod gc;
pub mod repack;
