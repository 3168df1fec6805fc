use super::session::Session;
use crate::error::Result;
use crate::store;

/// Print imgit's version and the store format it writes
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, session: &Session) -> Result<u8> {
    let mut out = session.output();
    let version = env!("CARGO_PKG_VERSION");
    let format = store::config::FORMAT;
    if out.is_json() {
        out.document(&serde_json::json!({ "version": version, "store_format": format }))?;
    } else {
        out.line(format!("imgit {version}, store format {format}"))?;
    }
    out.finish()?;
    Ok(0)
}
