//! Lists that come in pages: one call after the other, as the `Link` of each answer says.

use crate::error::Error;
use crate::error::Result;
use crate::remote::call::Answer;
use crate::remote::call::Call;
use crate::remote::call::header_values;
use crate::remote::host::Host;
use crate::wire::link;
use crate::wire::location;
use reqwest::header::LINK;
use std::collections::HashSet;
use url::Url;

/// A page of a thousand names is some 100 KiB; servers that do not page send all at once.
pub const PAGE_BYTES_MAX: u64 = 32 << 20;
const PAGES_MAX: usize = 10_000;
const ENTRIES_MAX: usize = 1_000_000;

pub struct Pages<'a> {
    host: &'a Host,
    call: Call,
    is_over: bool,
    seen: HashSet<Url>,
}

impl<'a> Pages<'a> {
    pub fn new(host: &'a Host, first: Call) -> Pages<'a> {
        Pages { host, call: first, is_over: false, seen: HashSet::new() }
    }

    /// The call of the last page, for its errors.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The next page, whatever its status; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Answer>> {
        if self.is_over {
            return Ok(None);
        }
        if !self.seen.insert(self.call.url.clone()) {
            return Err(Error::invalid(self.call.thing(), "leads back to a page that was there before"));
        }
        if self.seen.len() > PAGES_MAX {
            return Err(self.too_many(PAGES_MAX, "pages"));
        }
        let answer = self.host.fetch(&self.call, PAGE_BYTES_MAX).await?;
        let next = link::next(header_values(&answer.headers, LINK.as_str()));
        match next.filter(|_| answer.status.is_success()) {
            None => self.is_over = true,
            Some(next) => {
                let next = location::resolve(&answer.url, next)?;
                // The next page is asked for with our authorization, so it must be here.
                if !location::same_origin(&next, self.host.registry().url()) {
                    let problem = format!("goes on at another host, {}", next.host_str().unwrap_or_default());
                    return Err(Error::invalid(self.call.thing(), problem));
                }
                self.call.url = next;
            }
        }
        Ok(Some(answer))
    }

    /// Refuses a list that has no end.
    pub fn check(&self, entries: usize) -> Result<()> {
        if entries > ENTRIES_MAX { Err(self.too_many(ENTRIES_MAX, "entries")) } else { Ok(()) }
    }

    fn too_many(&self, limit: usize, unit: &'static str) -> Error {
        Error::Limit { thing: self.call.thing(), limit: limit as u64, unit }
    }
}
