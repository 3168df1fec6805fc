//! Which branches and tags are meant.

use crate::error::Error;
use crate::error::Result;
use crate::history::refs::Ref;
use crate::repo::Repo;
use globset::GlobBuilder;

/// The refs that were named, by `NAME[:REF]` or by a pattern over the whole, as `web:*`; all if
/// nothing was. Sorted by name, each once.
pub fn select(repo: &Repo, named: &[String]) -> Result<Vec<Ref>> {
    let all = repo.refs()?;
    if named.is_empty() {
        return Ok(all);
    }
    let mut found: Vec<Ref> = Vec::new();
    for name in named {
        if !name.contains(['*', '?', '[', '{']) {
            found.push(repo.existing_ref(name)?);
            continue;
        }
        let pattern = GlobBuilder::new(name).build();
        let pattern =
            pattern.map_err(|err| Error::Usage(format!("pattern `{name}`: {err}")))?.compile_matcher();
        let before = found.len();
        found.extend(all.iter().filter(|one| pattern.is_match(one.name.to_string())).cloned());
        if found.len() == before {
            return Err(Error::not_found("branch or tag", format!("like {name}")));
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.dedup();
    Ok(found)
}
