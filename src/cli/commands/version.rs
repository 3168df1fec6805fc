use super::session::Session;
use crate::disk::guestfs;
use crate::error::Result;
use crate::store;

/// Print the versions of imgit, its store format and libguestfs
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, session: &Session) -> Result<u8> {
    let mut out = session.output();
    let version = env!("CARGO_PKG_VERSION");
    let format = store::config::FORMAT;
    let guestfs = guestfs::version();
    if out.is_json() {
        let json = serde_json::json!({ "version": version, "store_format": format, "libguestfs": guestfs });
        out.document(&json)?;
    } else {
        out.line(format!("imgit {version}, store format {format}"))?;
        match guestfs {
            Some(version) => out.line(format!("libguestfs {version}"))?,
            None => out.line(format!("libguestfs is not installed; for it: {}", guestfs::INSTALL))?,
        }
    }
    out.finish()?;
    Ok(0)
}
