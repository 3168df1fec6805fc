//! Trees and images out of imgit.

pub mod checkout;
pub mod skipped;
pub mod steps;

#[cfg(test)]
mod testing;
