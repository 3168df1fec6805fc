//! The registry protocol without sockets: what is asked, and what an answer says.
//!
//! OCI distribution-spec 1.1, Docker's token authentication, and the few habits of real registries
//! beside them. Plain values in and out: [`crate::remote`] does the talking. All of it is read from
//! strangers, so each parser is bounded and none panics.

pub mod accept;
pub mod challenge;
pub mod link;
pub mod location;
pub mod range;
pub mod reference;
pub mod refusal;
pub mod retry_after;
pub mod route;
pub mod scope;
#[cfg(test)]
mod tests;
pub mod token;
pub mod warning;
