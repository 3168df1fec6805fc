//! Trees and images out of imgit.

pub mod acl;
pub mod checkout;
pub mod skipped;
pub mod steps;
pub mod tar;

#[cfg(test)]
pub(crate) mod testing;
