//! Keeping the store sound and small.

pub mod fsck;
pub mod gc;
mod reach;
pub mod repack;
