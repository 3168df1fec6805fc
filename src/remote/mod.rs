//! Registries and engines: images that are somewhere else, behind a socket.

pub mod access;
pub mod config;
