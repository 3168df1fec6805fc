//! The encoder of github.com/klauspost/compress, which skopeo, buildah, podman and umoci use, and
//! which Go has as its own from 1.27 on.

pub mod variant;

mod block;
mod deflater;
mod fast;
mod history;
mod lazy;
mod level1;
mod level2;
mod level3;
mod level4;
mod level5;
mod level6;
mod table;
mod tokens;

pub use deflater::Deflater;
