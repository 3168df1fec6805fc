//! What people and machines have configured about registries: the files of the containers tools and
//! of Docker, read as those read them, and the logins written there.
//!
//! Nothing here reads the process's environment but [`environment::Environment::of_process`], which
//! the face calls once; nothing here opens a socket. The crate `docker_credential` was looked at and
//! left: it knows no namespaces and no search order of several files, sets no limits to a helper's
//! time and answer, reads the process's environment deep inside, and writes nothing.

pub mod auth;
mod auth_file;
pub mod certs;
pub mod endpoints;
pub mod environment;
mod helper;
mod host;
pub mod registries;
pub mod registries_file;
pub mod short_names;
#[cfg(test)]
pub(super) mod testing;
