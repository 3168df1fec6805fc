//! Checking a bundle by itself: is it whole, and are its objects what it lists them as?
//!
//! Needs no store, and proves less than `apply`, which has the rest of what layers are made of.

use super::format::Head;
use super::format::ObjectKind;
use super::reader::Reader;
use super::reader::Section;
use super::take::hash_all;
use super::take::hold;
use crate::error::Doing as _;
use crate::error::Error;
use crate::error::Result;
use crate::progress::Progress;
use std::io::Read;

/// Reads the whole bundle.
pub fn verify((name, from): (&str, Box<dyn Read + Send + '_>), progress: &dyn Progress) -> Result<Head> {
    check(name, from, progress).doing(|| format!("cannot verify {name}"))
}

fn check(name: &str, from: Box<dyn Read + Send + '_>, progress: &dyn Progress) -> Result<Head> {
    let mut reader = Reader::open(name, from)?;
    progress.begin(&format!("reading {name}"), Some(reader.head().totals.bytes));
    while let Some(section) = reader.next()? {
        let Section::Objects(kind, rows) = section else { continue };
        for row in &rows {
            crate::progress::check(progress)?;
            let (len, hash) = hash_all(&mut reader.body(row.len), name)?;
            if len != row.len {
                return Err(Error::invalid(name, "ends early"));
            }
            match kind {
                // Filed under what it rebuilds.
                ObjectKind::Recipe => {}
                kind => hold(kind.noun(), row, hash)?,
            }
            progress.advance(len);
        }
    }
    Ok(reader.head().clone())
}

/// What a bundle is about, without reading the rest of it.
pub fn list((name, from): (&str, Box<dyn Read + Send + '_>)) -> Result<Head> {
    Ok(Reader::open(name, from).doing(|| format!("cannot list {name}"))?.head().clone())
}
