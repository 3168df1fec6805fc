//! What a registry has: repositories, and their tags.

use crate::error::Result;
use crate::oci::json;
use crate::oci::name::is_tag;
use crate::remote::call::Call;
use crate::remote::host::Host;
use crate::remote::pages::PAGE_BYTES_MAX;
use crate::remote::pages::Pages;
use crate::remote::repository::Place;
use crate::wire::refusal;
use crate::wire::scope::Scopes;
use reqwest::Method;
use serde::Deserialize;

#[derive(Deserialize)]
struct Page {
    #[serde(default, deserialize_with = "json::null_is_default")]
    repositories: Vec<String>,
    #[serde(default, deserialize_with = "json::null_is_default")]
    tags: Vec<String>,
}

/// Asks whether this is a registry that knows us.
pub async fn ping(host: &Host) -> Result<()> {
    let call = Call::new(Method::GET, host.registry().ping(), "registry", &host.name);
    host.fetch(&call, refusal::BODY_BYTES_MAX).await?.good(&call)?;
    Ok(())
}

pub async fn repositories(host: &Host) -> Result<Vec<String>> {
    let call = Call::new(Method::GET, host.registry().catalog(), "catalog of", &host.name)
        .scopes(Scopes::catalog(), "");
    let mut names = names(host, call, |page| page.repositories).await?;
    // A name is printed and asked for again: what no name can be is nobody's.
    names.retain(|name| is_repository(name));
    Ok(names)
}

impl Place {
    pub async fn tags(&self) -> Result<Vec<String>> {
        let name = format!("{}/{}", self.host.name, self.repository);
        let call = Call::new(Method::GET, self.host.registry().tags(&self.repository), "tags of", name)
            .scopes(Scopes::pull(&self.repository), &self.repository);
        let mut tags = names(&self.host, call, |page| page.tags).await?;
        tags.retain(|tag| is_tag(tag));
        Ok(tags)
    }
}

async fn names(host: &Host, first: Call, pick: fn(Page) -> Vec<String>) -> Result<Vec<String>> {
    let mut pages = Pages::new(host, first);
    let mut names = Vec::new();
    while let Some(answer) = pages.next().await? {
        let answer = answer.good(pages.call())?;
        let page: Page = json::parse(&pages.call().thing(), &answer.body, PAGE_BYTES_MAX)?;
        names.extend(pick(page));
        pages.check(names.len())?;
    }
    Ok(names)
}

fn is_repository(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
    !name.is_empty() && name.len() <= crate::oci::name::NAME_BYTES_MAX && name.bytes().all(letters)
}
